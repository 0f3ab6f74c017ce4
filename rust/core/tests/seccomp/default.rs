//! Docker's default profile: what it lets through, and what it costs.

use std::borrow::Cow;

use pyctr_core::seccomp::{Abi, DEFAULT_CAPABILITIES, HostArch, docker_default, syscall_names, syscall_number};

use crate::bpf::{Data, Program};
use crate::reference::{ALLOW, ENOSYS, EPERM, KILL};

fn program(capabilities: u64) -> Program {
    Program::check(&docker_default(capabilities).unwrap().program)
}

fn call(abi: Abi, name: &str, args: [u64; 6]) -> Data {
    let nr = syscall_number(name, abi).unwrap_or_else(|| panic!("no {name} on {abi:?}"));
    Data { nr, arch: abi.audit_arch(), args }
}

fn native(program: &Program, name: &str, first: u64) -> u32 {
    program.verdict(&call(HostArch::NATIVE.native_abi(), name, [first, 0, 0, 0, 0, 0]))
}

#[test]
fn test_docker_default_usual_capabilities_is_ready_made() {
    const NET_RAW: u64 = 1 << 13;
    for capabilities in [DEFAULT_CAPABILITIES, DEFAULT_CAPABILITIES & !NET_RAW, DEFAULT_CAPABILITIES | 1 << 12, 0] {
        let filter = docker_default(capabilities).unwrap();
        assert!(matches!(filter.program, Cow::Borrowed(_)), "{capabilities:#x}");
        assert_eq!((filter.flags, filter.notify), (4, false));
    }
    let filter = docker_default(DEFAULT_CAPABILITIES | 1 << 21).unwrap();
    assert!(matches!(filter.program, Cow::Owned(_)));
}

#[test]
fn test_docker_default_is_small_and_shallow() {
    let program = program(DEFAULT_CAPABILITIES);
    assert!(program.len() <= 235, "{} instructions", program.len());
    // At load the kernel runs the filter for every native and every 32-bit number (seccomp_cache_prepare).
    let (mut steps, mut longest, mut count) = (0, 0, 0);
    for abi in &HostArch::NATIVE.abis()[..2] {
        for nr in 0..470 {
            let (_, taken, _) = program.run(&Data { nr, arch: abi.audit_arch(), args: [0; 6] });
            (steps, longest, count) = (steps + taken, longest.max(taken), count + 1);
        }
    }
    assert!(longest <= 20 && steps / count <= 12, "longest {longest}, mean {}", steps / count);
}

/// What is allowed whatever the arguments must be so to the kernel too: then the filter is not even run (Linux 5.11).
#[test]
fn test_docker_default_unconditional_calls_can_be_cached() {
    let program = program(DEFAULT_CAPABILITIES);
    let mut cached = 0;
    for abi in &HostArch::NATIVE.abis()[..2] {
        for name in syscall_names().filter(|name| syscall_number(name, *abi).is_some()) {
            let (verdict, _, constant) = program.run(&call(*abi, name, [0; 6]));
            assert!(constant || ["socket", "personality", "clone"].contains(&name), "{name}");
            cached += usize::from(constant && verdict == ALLOW);
        }
    }
    assert!(cached > 600, "{cached}");
}

#[test]
fn test_docker_default_always_allowed_and_never_allowed() {
    for capabilities in [0, DEFAULT_CAPABILITIES, u64::MAX] {
        let program = program(capabilities);
        for name in [
            "read",
            "execve",
            "openat2",
            "futex",
            "mseal",
            "setxattrat",
            "ptrace",
            "seccomp",
            "statmount",
            "close_range",
        ] {
            assert_eq!(native(&program, name, 0), ALLOW, "{name}");
        }
        for name in [
            "keyctl",
            "add_key",
            "request_key",
            "userfaultfd",
            "io_uring_setup",
            "kexec_load",
            "swapon",
            "pivot_root",
            "nfsservctl",
            "move_pages",
            "io_uring_enter",
            "kexec_file_load",
        ] {
            assert_eq!(native(&program, name, 0), EPERM, "{name}");
        }
        // Newer than anything the profile names.
        for nr in [469, 470, 1000, 0x3fff_ffff] {
            let data = Data { nr, arch: HostArch::NATIVE.native_abi().audit_arch(), args: [0; 6] };
            assert_eq!(program.verdict(&data), ENOSYS, "{nr}");
        }
        assert_eq!(program.verdict(&Data { nr: 0, arch: 0xc000_00f3, args: [0; 6] }), KILL);
    }
}

#[test]
fn test_docker_default_capability_lets_its_calls_in() {
    let groups: [(u32, &[&str]); 14] = [
        (2, &["open_by_handle_at"]),
        (16, &["delete_module", "init_module", "finit_module"]),
        (18, &["chroot"]),
        (19, &["kcmp", "pidfd_getfd", "process_madvise"]),
        (20, &["acct"]),
        (
            21,
            &[
                "bpf",
                "fanotify_init",
                "fsconfig",
                "fsmount",
                "fsopen",
                "fspick",
                "lsm_get_self_attr",
                "lsm_list_modules",
                "lsm_set_self_attr",
                "mount",
                "mount_setattr",
                "move_mount",
                "open_tree",
                "perf_event_open",
                "quotactl",
                "quotactl_fd",
                "setdomainname",
                "sethostname",
                "setns",
                "syslog",
                "umount2",
                "unshare",
            ],
        ),
        (22, &["reboot"]),
        (23, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
        (25, &["settimeofday", "clock_settime"]),
        (26, &["vhangup"]),
        (34, &["syslog"]),
        (38, &["perf_event_open"]),
        (39, &["bpf"]),
        #[cfg(target_arch = "x86_64")]
        (17, &["iopl", "ioperm"]),
        #[cfg(not(target_arch = "x86_64"))]
        (22, &["reboot"]),
    ];
    let without = program(0);
    for (number, names) in groups {
        let with = program(1 << number);
        for name in names {
            assert_eq!((native(&without, name, 0), native(&with, name, 0)), (EPERM, ALLOW), "{name}");
        }
    }
}

#[test]
fn test_docker_default_clone_may_not_make_namespaces() {
    let (without, with) = (program(DEFAULT_CAPABILITIES), program(DEFAULT_CAPABILITIES | 1 << 21));
    for flag in [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(native(&without, "clone", flag | 0x11), EPERM, "{flag:#x}");
        assert_eq!(native(&with, "clone", flag | 0x11), ALLOW, "{flag:#x}");
    }
    assert_eq!(native(&without, "clone", 0x003d_0f00), ALLOW); // a thread
    assert_eq!((native(&without, "clone3", 0), native(&with, "clone3", 0)), (ENOSYS, ALLOW));
}

#[test]
fn test_docker_default_socket_families_and_personalities() {
    let program = program(DEFAULT_CAPABILITIES);
    let denied = [12, 19, 20, 23, 25, 34, 37, 38, 40, 46, 47, 1 << 32, u64::MAX];
    for family in (0..48).chain([1 << 32, 1 << 32 | 2, u64::MAX]) {
        let wanted = if denied.contains(&family) || family > 1 << 32 { EPERM } else { ALLOW };
        assert_eq!(native(&program, "socket", family), wanted, "{family:#x}");
    }
    for (persona, wanted) in [
        (0, ALLOW),
        (8, ALLOW),
        (0x2_0000, ALLOW),
        (0x2_0008, ALLOW),
        (0xffff_ffff, ALLOW),
        (1, EPERM),
        (0x4_0000, EPERM),
        (0x2_0009, EPERM),
        (1 << 32, EPERM),
        (u64::MAX, EPERM),
    ] {
        assert_eq!(native(&program, "personality", persona), wanted, "{persona:#x}");
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn test_docker_default_32_bit_abis_have_the_same_rules() {
    let program = program(DEFAULT_CAPABILITIES);
    for abi in [Abi::X86, Abi::X32] {
        let verdict = |name, first| program.verdict(&call(abi, name, [first, 0, 0, 0, 0, 0]));
        assert_eq!(verdict("read", 0), ALLOW);
        assert_eq!(verdict("mount", 0), EPERM);
        assert_eq!(verdict("clone3", 0), ENOSYS);
        assert_eq!(verdict("socket", 40), EPERM);
        assert_eq!(verdict("socket", 2), ALLOW);
        // Only the low words are arguments here.
        assert_eq!(verdict("socket", 2 | 1 << 32), ALLOW);
        assert_eq!(verdict("clone", 0x1000_0011), EPERM);
    }
    assert_eq!(program.verdict(&call(Abi::X86, "waitpid", [0; 6])), ALLOW);
    assert_eq!(program.verdict(&call(Abi::X86, "socketcall", [1, 0, 0, 0, 0, 0])), ALLOW);
    let nr = 0x4000_0000 | syscall_number("rt_sigaction", Abi::X86_64).unwrap();
    assert_eq!(program.verdict(&Data { nr, arch: Abi::X32.audit_arch(), args: [0; 6] }), EPERM); // x32 has its own
}
