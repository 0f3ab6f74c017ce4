//! Seccomp: OCI and Docker profiles compiled to classic BPF.
//!
//! Pure: bytes in, bytes out. `abi`, `policy`, `graph`, `emit` and `docker` also make up the build script, which compiles
//! Docker's default profile so that a start does not have to. Loading is `pyctr-init`'s.

mod abi;
mod docker;
mod emit;
mod errno;
mod graph;
mod json;
mod oci;
mod policy;
mod table;

use std::borrow::Cow;
use std::path::PathBuf;

pub use abi::{Abi, HostArch};
pub use docker::DEFAULT_CAPABILITIES;
pub use json::resolve_docker_profile;
pub use oci::compile;
pub use table::{syscall_names, syscall_number};

use crate::{Error, Result};
use policy::Policy;

/// Flags of seccomp(2) `SECCOMP_SET_MODE_FILTER` (linux/seccomp.h).
pub mod flag {
    /// Apply to all threads (Linux 3.17).
    pub const TSYNC: u32 = 1 << 0;
    /// Log every action but ALLOW (Linux 4.14).
    pub const LOG: u32 = 1 << 1;
    /// Leave the mitigation of speculative store bypass off (Linux 4.17).
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// Return a listener (Linux 5.0).
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// A failed TSYNC is ESRCH and not a thread id, so that it can go with `NEW_LISTENER` (Linux 5.7).
    pub const TSYNC_ESRCH: u32 = 1 << 4;
    /// A call that the listener has received waits for its answer unless a signal kills (Linux 5.19).
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// A compiled filter: what seccomp(2) `SECCOMP_SET_MODE_FILTER` takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// `struct sock_filter[]`, native byte order, 8 bytes an instruction.
    pub program: Cow<'static, [u8]>,
    /// `SECCOMP_FILTER_FLAG_*`, to be passed as they are; with `notify` [`flag::NEW_LISTENER`] is among them.
    pub flags: u32,
    /// A user-notification listener is wanted.
    pub notify: bool,
    /// The unix socket that the listener goes to (OCI `listenerPath`).
    pub listener_path: Option<PathBuf>,
    /// What is sent along with it (OCI `listenerMetadata`).
    pub listener_metadata: Option<String>,
}

/// Docker's default profile for a container whose bounding set has these capabilities (bit n: capability number n).
///
/// Ready-made, compiled at build time, for every set that differs from Docker's default one, or from the empty one, only in
/// capabilities the profile does not ask for; compiled now for others.
pub fn docker_default(capabilities: u64) -> Result<Filter> {
    let ready: [(u64, &'static [u8]); 2] = [
        (DEFAULT_CAPABILITIES, include_bytes!(concat!(env!("OUT_DIR"), "/docker_default.bpf"))),
        (0, include_bytes!(concat!(env!("OUT_DIR"), "/docker_none.bpf"))),
    ];
    let wanted = docker::relevant(capabilities);
    let program = match ready.iter().find(|(set, _)| docker::relevant(*set) == wanted) {
        Some((_, program)) => Cow::Borrowed(*program),
        None => Cow::Owned(assemble(&docker::policy(wanted, HostArch::NATIVE))?),
    };
    Ok(Filter { program, flags: flag::SPEC_ALLOW, notify: false, listener_path: None, listener_metadata: None })
}

/// Compiles a profile in Docker's JSON form, or the OCI form, for a container whose bounding set has these capabilities (bit n:
/// capability number n) on this host with a kernel of this version (major, minor).
///
/// Strict: unknown fields and names are errors, and the error names the field.
pub fn compile_docker_profile(json: &[u8], capabilities: u64, kernel: (u32, u32)) -> Result<Filter> {
    compile(&resolve_docker_profile(json, capabilities, kernel)?, &HostArch::NATIVE)
}

fn assemble(policy: &Policy) -> Result<Vec<u8>> {
    graph::Graph::of(policy)
        .and_then(|(graph, root)| emit::emit(&graph, root))
        .map_err(|fault| Error::invalid("compile", "seccomp profile", fault.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_assemble_default_policy_is_small_on_every_host() {
        for (host, alone, all) in [(HostArch::X86_64, 90, 240), (HostArch::Aarch64, 90, 190)] {
            let mut policy = docker::policy(DEFAULT_CAPABILITIES, host);
            let length = |policy: &Policy| assemble(policy).unwrap().len() / 8;
            assert!(length(&policy) <= all, "{host:?}: {}", length(&policy));
            policy.listed = vec![host.native_abi()];
            assert!(length(&policy) <= alone, "{host:?} alone: {}", length(&policy));
        }
    }

    #[test]
    fn test_docker_default_ready_made_equals_compiled_now() {
        for capabilities in [DEFAULT_CAPABILITIES, 0] {
            let compiled = assemble(&docker::policy(capabilities, HostArch::NATIVE)).unwrap();
            assert_eq!(docker_default(capabilities).unwrap().program.as_ref(), compiled.as_slice());
        }
    }

    #[test]
    fn test_syscall_number_finds_every_row_of_the_table() {
        let abis = [Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm];
        let mut rows = 0;
        for line in include_str!("syscalls.tbl").lines().filter(|line| !line.starts_with('#')) {
            let (name, numbers) = line.split_once(' ').unwrap();
            let numbers: Vec<&str> = numbers.split(' ').collect();
            for (abi, text) in abis.iter().zip(numbers.iter().cycle()) {
                let bit = if *abi == Abi::X32 { 0x4000_0000 } else { 0 };
                assert_eq!(syscall_number(name, *abi), text.parse().ok().map(|n: u32| n | bit), "{name} on {abi:?}");
            }
            rows += 1;
        }
        assert_eq!(syscall_names().count(), rows);
        assert_eq!((syscall_number("set_tls", Abi::Arm), syscall_number("", Abi::X86)), (Some(0xf_0005), None));
        assert_eq!((syscall_number("zzz", Abi::X86), syscall_number("_", Abi::X86)), (None, None));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn test_syscall_number_is_the_c_librarys() {
        for (name, number) in [
            ("read", libc::SYS_read),
            ("mseal", libc::SYS_mseal),
            ("fchmodat2", libc::SYS_fchmodat2),
            ("bpf", libc::SYS_bpf),
        ] {
            assert_eq!(syscall_number(name, Abi::X86_64), u32::try_from(number).ok(), "{name}");
        }
    }
}
