//! Profiles in Docker's form: their conditions, and one clear line for every mistake.

use oci_spec::runtime::Arch;
use pyctr_core::seccomp::{HostArch, compile_docker_profile, resolve_docker_profile};

use crate::bpf::{Data, Program};
use crate::reference::{ALLOW, EPERM, decide};

const KERNEL: (u32, u32) = (6, 18);

fn error(json: &str) -> String {
    let error = compile_docker_profile(json.as_bytes(), 0, KERNEL).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

/// The names that a profile with these rules leaves.
fn names(rules: &str, capabilities: u64, kernel: (u32, u32)) -> Vec<String> {
    let json = format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{rules}]}}"#);
    let profile = resolve_docker_profile(json.as_bytes(), capabilities, kernel).unwrap();
    profile.syscalls().iter().flatten().flat_map(|rule| rule.names().clone()).collect()
}

#[test]
fn test_resolve_docker_profile_conditions_choose_rules() {
    let rule =
        |name: &str, conditions: &str| format!(r#"{{"names": ["{name}"], "action": "SCMP_ACT_ALLOW", {conditions}}}"#);
    let rules = [
        rule("both", r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#),
        rule("neither", r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#),
        rule("new", r#""includes": {"minKernel": "4.8"}"#),
        rule("old", r#""excludes": {"minKernel": "4.8"}"#),
        rule("here", r#""includes": {"arches": ["s390x", "arm64", "amd64"]}"#),
        rule("elsewhere", r#""excludes": {"arches": ["s390x", "arm64", "amd64"]}"#),
        rule("foreign", r#""includes": {"arches": ["ppc64le"], "caps": []}"#),
        rule("empty", r#""includes": {}, "excludes": {"caps": null}, "args": null, "comment": "x""#),
    ]
    .join(",");
    let (admin, bpf) = (1 << 21, 1 << 39);
    assert_eq!(names(&rules, 0, KERNEL), ["neither", "new", "here", "empty"]);
    assert_eq!(names(&rules, admin, KERNEL), ["new", "here", "empty"]);
    assert_eq!(names(&rules, admin | bpf, KERNEL), ["both", "new", "here", "empty"]);
    assert_eq!(names(&rules, 0, (4, 7)), ["neither", "old", "here", "empty"]);
    assert_eq!(names(&rules, 0, (3, 99)), ["neither", "old", "here", "empty"]);
}

#[test]
fn test_resolve_docker_profile_arch_map_takes_the_hosts_entry() {
    let json = br#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [
        {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}]}"#;
    let profile = resolve_docker_profile(json, 0, KERNEL).unwrap();
    let wanted = match HostArch::NATIVE {
        HostArch::X86_64 => vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
        HostArch::Aarch64 => vec![Arch::ScmpArchAarch64],
    };
    assert_eq!(profile.architectures().as_deref(), Some(&wanted[..]));
}

#[test]
fn test_compile_docker_profile_broken_profile_names_the_field() {
    let cases = [
        (error("{"), "read seccomp profile: EOF while parsing an object at line 1 column 1"),
        (error("[]"), "read seccomp profile: must be an object, is a list"),
        (error("{}"), "read seccomp profile: defaultAction: missing"),
        (error(r#"{"defaultAction": "ALLOW"}"#), r#"read seccomp profile: defaultAction: unknown action "ALLOW""#),
        (error(r#"{"defaultAction": 7}"#), "read seccomp profile: defaultAction: must be a string, is another number"),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscall": []}"#),
            "read seccomp profile: syscall: unknown field",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#),
            "compile seccomp profile: defaultErrnoRet: SCMP_ACT_ALLOW takes none",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#),
            "compile seccomp profile: defaultErrnoRet: 4096 is more than 4095",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"}"#),
            "read seccomp profile: defaultErrno: ENOSYS is 38, defaultErrnoRet is 1",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#),
            "compile seccomp profile: defaultAction: SCMP_ACT_NOTIFY cannot be the default",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}"#),
            r#"read seccomp profile: architectures[0]: unknown architecture "SCMP_ARCH_PDP11""#,
        ),
        (
            error(
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_ARM"], "archMap": [{"architecture": "SCMP_ARCH_ARM"}]}"#,
            ),
            "read seccomp profile: archMap: not together with architectures",
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_FAST"]}"#),
            r#"read seccomp profile: flags[0]: unknown flag "SECCOMP_FILTER_FLAG_FAST""#,
        ),
        (
            error(r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#),
            "compile seccomp profile: flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs SCMP_ACT_NOTIFY",
        ),
    ];
    for (got, wanted) in cases {
        assert_eq!(got, wanted);
    }
}

#[test]
fn test_compile_docker_profile_broken_rule_names_the_field() {
    let rule = |fields: &str| {
        error(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ALLOW"}}, {fields}]}}"#
        ))
    };
    let cases = [
        (rule(r#"{"action": "SCMP_ACT_ALLOW"}"#), "read seccomp profile: syscalls[1].names: missing or empty"),
        (
            rule(r#"{"names": ["a"], "name": "b", "action": "SCMP_ACT_LOG"}"#),
            "read seccomp profile: syscalls[1].name: not together with names",
        ),
        (
            rule(r#"{"names": [3], "action": "SCMP_ACT_LOG"}"#),
            "read seccomp profile: syscalls[1].names[0]: must be a string, is another number",
        ),
        (rule(r#"{"names": ["a"]}"#), "read seccomp profile: syscalls[1].action: missing"),
        (
            rule(r#"{"names": [""], "action": "SCMP_ACT_LOG"}"#),
            "compile seccomp profile: syscalls[1].names: an empty name",
        ),
        (
            rule(
                r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "read seccomp profile: syscalls[1].args[0].index: more than 5",
        ),
        (
            rule(
                r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "read seccomp profile: syscalls[1].args[0].value: must be a whole number of at most 64 bits, is another number",
        ),
        (
            rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "EQ"}]}"#),
            r#"read seccomp profile: syscalls[1].args[0].op: unknown operator "EQ""#,
        ),
        (
            rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["SYS_ADMIN"]}}"#),
            r#"read seccomp profile: syscalls[1].includes.caps[0]: unknown capability "SYS_ADMIN""#,
        ),
        (
            rule(r#"{"names": ["a"], "action": "SCMP_ACT_LOG", "excludes": {"minKernel": "4.8.1"}}"#),
            r#"read seccomp profile: syscalls[1].excludes.minKernel: "4.8.1" is not KERNEL.MAJOR"#,
        ),
        (
            rule(r#"{"names": ["close"], "action": "SCMP_ACT_NOTIFY"}"#),
            "compile seccomp profile: listenerPath: needed by SCMP_ACT_NOTIFY",
        ),
        (
            rule(r#"{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}"#),
            "compile seccomp profile: syscalls[1].names: SCMP_ACT_NOTIFY cannot be used for write",
        ),
        (
            rule(
                r#"{"names": ["mount"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
                    {"names": ["mount"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "compile seccomp profile: two actions for the same arguments of mount",
        ),
    ];
    for (got, wanted) in cases {
        assert_eq!(got, wanted);
    }
}

#[test]
fn test_compile_docker_profile_notify_passes_the_listener_on() {
    let json = br#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent.sock", "listenerMetadata": "m",
        "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}"#;
    let filter = compile_docker_profile(json, 0, KERNEL).unwrap();
    assert_eq!(filter.flags, 1 | 2 | 8 | 16 | 32);
    assert!(filter.notify);
    assert_eq!(filter.listener_path.as_deref(), Some("/run/agent.sock".as_ref()));
    assert_eq!(filter.listener_metadata.as_deref(), Some("m"));
}

#[test]
fn test_compile_docker_profile_too_many_values_is_refused() {
    let args = |value: u32| {
        format!(
            r#"{{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 1, "value": {value}, "op": "SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules = |count: u32| (0..count).map(|i| args(i * 3)).collect::<Vec<_>>().join(",");
    let json = |count| format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{}]}}"#, rules(count));
    let filter = compile_docker_profile(json(2000).as_bytes(), 0, KERNEL).unwrap();
    let program = Program::check(&filter.program);
    let abi = HostArch::NATIVE.native_abi();
    let nr = pyctr_core::seccomp::syscall_number("ioctl", abi).unwrap();
    for value in 0..6100 {
        let verdict = program.verdict(&Data { nr, arch: abi.audit_arch(), args: [0, value, 0, 0, 0, 0] });
        assert_eq!(verdict, if value % 3 == 0 && value < 6000 { ALLOW } else { EPERM }, "{value}");
    }
    assert!(error(&json(5000)).ends_with("more than the kernel's 4096"), "{}", error(&json(5000)));
    assert!(error(&" ".repeat(2 << 20)).ends_with("more than 1048576"));
}

/// The profile of the containers project (podman's), where it is installed: conditions, errno names, conflicting rules.
#[test]
fn test_compile_docker_profile_of_the_containers_project_decides_as_the_plain_reading() {
    let Ok(json) = std::fs::read("/usr/share/containers/seccomp.json") else {
        eprintln!("skipped: no /usr/share/containers/seccomp.json here");
        return;
    };
    for capabilities in [0, u64::MAX, 0xa804_25fb] {
        let profile = resolve_docker_profile(&json, capabilities, KERNEL).unwrap();
        let filter = compile_docker_profile(&json, capabilities, KERNEL).unwrap();
        let program = Program::check(&filter.program);
        assert!(program.len() < 400, "{} instructions", program.len());
        for abi in HostArch::NATIVE.abis() {
            for nr in (0..600).map(|nr| nr | if *abi == pyctr_core::seccomp::Abi::X32 { 0x4000_0000 } else { 0 }) {
                for args in [[0; 6], [16, 0, 9, 0, 0, 0], [8, 3, 9, 0, 0, 0], [u64::MAX; 6]] {
                    let data = Data { nr, arch: abi.audit_arch(), args };
                    assert_eq!(program.verdict(&data), decide(&profile, HostArch::NATIVE, &data), "{data:x?}");
                }
            }
        }
    }
}
