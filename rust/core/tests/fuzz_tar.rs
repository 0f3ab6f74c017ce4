//! A short, repeatable fuzz run of layer extraction: archives made here, mutated by a fixed generator. Nothing may panic,
//! hang, or touch what lies outside the directory.
#![cfg(feature = "layer")]
#![allow(missing_docs, clippy::unwrap_used)]

use std::os::fd::AsFd;
use std::path::PathBuf;

use pyctr_core::Kind;
use pyctr_core::layer::digest::Expected;
use pyctr_core::layer::{Limits, Whiteouts, extract};

const ROUNDS: usize = 3000;

/// xorshift64*: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound.max(1) as u64).unwrap()
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/tar");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Corrects the checksum of the block a change fell into, so that what lies behind it is reached.
fn reseal(bytes: &mut [u8], at: usize) {
    let start = at / 512 * 512;
    if let Some(block) = bytes.get_mut(start..start + 512) {
        block[148..156].copy_from_slice(b"        ");
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, b'/', b'.', b'x', 0x80, 0xff, b'2', b'5'][random.below(8)],
            2 => bytes.truncate(at.max(1)),
            3 => {
                let block = at / 512 * 512;
                let copy = bytes[block..(block + 512).min(bytes.len())].to_vec();
                bytes.splice(block..block, copy);
            }
            _ => bytes[at] = b"0123456789gxLKS"[random.below(15)],
        }
        if random.below(4) != 0 {
            reseal(&mut bytes, at);
        }
    }
    bytes
}

#[test]
fn mutated_archives_are_unpacked_inside_or_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let seeds = corpus();
    let mut random = Random(0x5eed_cafe_f00d_d00d);
    let base = tempfile::tempdir().unwrap();
    let limits = Limits { max_bytes: 1 << 20, max_entries: 1000 };
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let bytes = mutate(&mut random, &seeds);
        let path = base.path().join("root");
        std::fs::create_dir(&path).unwrap();
        let root = rustix::fs::open(&path, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        match extract(&bytes[..], root.as_fd(), Expected::default(), None, limits, Whiteouts::Trusted) {
            Ok(_) => accepted += 1,
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "round {round}: {error}");
                assert!(
                    matches!(error.kind, Kind::Corrupt | Kind::Kernel | Kind::InvalidArgument),
                    "round {round}: {error:?}"
                );
            }
        }
        std::fs::remove_dir_all(&path).unwrap();
        let left = std::fs::read_dir(base.path()).unwrap().count();
        assert_eq!(left, 0, "round {round} left something outside");
    }
    assert!(accepted > ROUNDS / 20, "only {accepted} of {ROUNDS} were valid: the mutations do not reach far");
}
