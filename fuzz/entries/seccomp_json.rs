//! Whatever the bytes, a profile is refused in one line or becomes a program the kernel takes.

#[path = "../../rust/core/tests/seccomp/bpf.rs"]
mod bpf;

use bpf::{Data, Program};
use pyctr_core::seccomp::{DEFAULT_CAPABILITIES, HostArch, compile_docker_profile};

/// Panics if the profile does neither.
pub fn run(data: &[u8]) {
    for (capabilities, kernel) in [(DEFAULT_CAPABILITIES, (6, 18)), (u64::MAX, (4, 0))] {
        let filter = match compile_docker_profile(data, capabilities, kernel) {
            Ok(filter) => filter,
            Err(error) => {
                let line = error.to_string();
                assert!(line.contains("seccomp profile") && !line.contains('\n'), "{line:?}");
                continue;
            }
        };
        assert_eq!(filter.notify, filter.flags & 8 != 0);
        let program = Program::check(&filter.program);
        assert!(program.len() <= 4096);
        for abi in HostArch::NATIVE.abis() {
            for nr in [0, 41, 102, 1000, 0x4000_0000, u32::MAX] {
                program.verdict(&Data { nr, arch: abi.audit_arch(), args: [1, u64::MAX, 0, 1 << 32, 7, 9] });
            }
        }
    }
}
