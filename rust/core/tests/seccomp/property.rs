//! Random profiles: the program decides every call as the plain reading of the profile does.

use pyctr_core::seccomp::{HostArch, compile};

use crate::bpf::Program;
use crate::generate::{OPERATORS, Random, Shape, calls, profile};
use crate::reference::decide;

fn agree(shape: Shape, rounds: u64) {
    let mut compiled = 0;
    for seed in 0..rounds {
        let mut random = Random::new(seed);
        let profile = profile(&mut random, shape);
        let host = random.of(&[HostArch::X86_64, HostArch::Aarch64]);
        let filter = match compile(&profile, &host) {
            Ok(filter) => filter,
            // Rules that contradict each other are refused.
            Err(error) if shape.conflicts && error.to_string().contains("two actions") => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        compiled += 1;
        let program = Program::check(&filter.program);
        for call in calls(&mut random, &profile, host) {
            let (got, wanted) = (program.verdict(&call), decide(&profile, host, &call));
            assert_eq!(
                got,
                wanted,
                "seed {seed}, {host:?}, {call:x?}: {got:#x} not {wanted:#x}\n{}",
                serde_json::to_string(&profile).unwrap()
            );
        }
    }
    assert!(compiled > rounds / 4, "{compiled} of {rounds} compiled");
}

#[test]
fn test_compile_random_profiles_decides_as_the_plain_reading() {
    agree(Shape { conflicts: false, several_arguments: true, wide_values: true, operators: OPERATORS }, 300);
}

#[test]
fn test_compile_random_overlapping_rules_decides_as_the_plain_reading() {
    agree(Shape { conflicts: true, several_arguments: false, wide_values: true, operators: OPERATORS }, 300);
    agree(Shape { conflicts: true, several_arguments: true, wide_values: true, operators: OPERATORS }, 300);
}
