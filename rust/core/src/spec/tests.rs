#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

fn base() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"]},
        "root": {"path": "rootfs"},
        "hostname": "h",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [
            {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
        ]}
    })
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = base();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        Value::Array(list) => list.push(value),
        other => panic!("{other}"),
    }
    document
}

fn try_load(document: &Value) -> Result<(Spec, Vec<String>)> {
    load_with_warnings(document.to_string().as_bytes())
}

fn message(document: &Value) -> String {
    try_load(document).map_or_else(|error| error.to_string(), |_| String::from("accepted"))
}

#[test]
fn test_load_minimal_document_is_accepted() {
    let (spec, warnings) = try_load(&base()).unwrap();
    assert_eq!(spec.version(), "1.0.2");
    assert!(warnings.is_empty());
}

#[test]
fn test_load_what_is_not_oci_gives_one_clear_line() {
    for (bytes, expected) in [
        (&b""[..], "parse config.json: not a JSON object"),
        (b"\x7fELF", "parse config.json: not a JSON object"),
        (b"[\"1.0.0\"]", "parse config.json: not a JSON object"),
        (b"{", "parse config.json: not valid JSON: EOF while parsing an object at line 1 column 1"),
        (b"{}", "check config ociVersion: is missing; this is not an OCI runtime configuration"),
        (b"{\"services\": {}}", "check config ociVersion: is missing; this is not an OCI runtime configuration"),
        (
            b"{\"ociVersion\": 1}",
            "parse config.json: not an OCI document: invalid type: integer `1`, expected a string at line 1 column 16",
        ),
    ] {
        assert_eq!(load(bytes).unwrap_err().to_string(), expected);
    }
}

#[test]
fn test_load_larger_than_the_bound_is_refused() {
    let error = load(&vec![b' '; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(error.to_string(), "read config.json: larger than 16777216 bytes");
}

#[test]
fn test_load_nul_in_any_string_is_refused() {
    for pointer in ["/hostname", "/process/env/-", "/process/args/-", "/mounts/0/source", "/root/path"] {
        assert_eq!(message(&with(pointer, json!("a\0b"))), "parse config.json: contains a NUL character", "{pointer}");
    }
    // An escaped backslash before u0000 is six harmless characters.
    assert_eq!(message(&with("/process/args/-", json!("\\u0000"))), "accepted");
}

#[test]
fn test_check_version_accepts_one_dot_x_only() {
    for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.2.0-rc.1+build", "1.0.0+x"] {
        assert!(check_version(version).is_ok(), "{version}");
    }
    for version in [
        "",
        "0.9.0",
        "2.0.0",
        "1.0",
        "1.0.0.0",
        "1.0.0-rc5",
        "1.0.0-",
        "v1.0.0",
        "1.+1.0",
        "1. 0.0",
        "one",
        "1.0.99999999999",
    ] {
        assert!(check_version(version).is_err(), "{version}");
    }
}

#[test]
fn test_load_single_mistake_names_the_field() {
    let long = "x".repeat(65);
    let table: Vec<(&str, Value, &str)> = vec![
        ("/ociVersion", json!("2.0.0"), "ociVersion"),
        ("/root", Value::Null, "root: is missing"),
        ("/root/path", json!(""), "root.path: is empty"),
        ("/process", Value::Null, "process: is missing"),
        ("/process/args", json!([]), "process.args: is empty"),
        ("/process/args", Value::Null, "process.args: is empty"),
        ("/process/cwd", json!("tmp"), "process.cwd"),
        ("/process/cwd", json!(""), "process.cwd"),
        ("/process/env", json!(["A"]), "process.env: \"A\" has no ="),
        ("/process/env", json!(["=1"]), "process.env: \"=1\" has no name"),
        ("/process/user", json!({"uid": 4_294_967_295_u32}), "process.user.uid"),
        ("/process/user", json!({"gid": 4_294_967_295_u32}), "process.user.gid"),
        ("/process/user", json!({"additionalGids": [4_294_967_295_u32]}), "additionalGids"),
        ("/process/user", json!({"umask": 512}), "umask"),
        ("/process/user", json!({"uid": -1}), "not an OCI document"),
        ("/process/rlimits", json!([{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]), "soft limit above"),
        ("/process/rlimits", json!([{"type": "RLIMIT_CPU"}, {"type": "RLIMIT_CPU"}]), "given twice"),
        ("/process/rlimits", json!([{"type": "RLIMIT_FOO"}]), "unknown variant `RLIMIT_FOO`"),
        ("/process/oomScoreAdj", json!(1001), "oomScoreAdj"),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), "ioPriority"),
        ("/process/consoleSize", json!({"width": 65536, "height": 1}), "consoleSize"),
        ("/process/scheduler", json!({"policy": "SCHED_ISO"}), "SCHED_ISO"),
        ("/process/scheduler", json!({"policy": "SCHED_FIFO", "nice": 1}), "nice does not go with"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}), "nice is outside"),
        ("/process/scheduler", json!({"policy": "SCHED_OTHER", "priority": 1}), "priority does not go with"),
        ("/process/scheduler", json!({"policy": "SCHED_RR", "runtime": 1}), "do not go with"),
        ("/mounts/-", json!({"destination": ""}), "mounts[1]: destination is empty"),
        (
            "/mounts/-",
            json!({"destination": "/a", "type": "bind", "uidMappings": [{"hostID": 0, "containerID": 0, "size": 1}]}),
            "go together",
        ),
        (
            "/mounts/-",
            json!({"destination": "/a", "type": "tmpfs", "uidMappings": [{"size": 1}], "gidMappings": [{"size": 1}]}),
            "bind mounts only",
        ),
        ("/linux", Value::Null, "linux: is missing"),
        ("/linux/namespaces", json!([]), "a mount namespace is required"),
        ("/linux/namespaces/-", json!({"type": "pid"}), "pid is given twice"),
        ("/linux/namespaces/-", json!({"type": "user", "path": "ns"}), "path ns is not absolute"),
        ("/linux/namespaces/-", json!({"type": "user"}), "needs uidMappings and gidMappings"),
        ("/linux/namespaces", json!([{"type": "mount", "path": "/x"}]), "joining a mount namespace"),
        ("/linux/namespaces", json!([{"type": "mount"}]), "hostname: needs a private uts namespace"),
        ("/hostname", json!(long), "longer than 64 bytes"),
        ("/domainname", json!(long), "domainname: is longer"),
        ("/linux/uidMappings", json!([{"hostID": 0, "containerID": 0, "size": 1}]), "need a user namespace"),
        ("/linux/devices", json!([{"path": "dev/x", "type": "c"}]), "linux.devices[0]"),
        ("/linux/devices", json!([{"path": "/dev/../x", "type": "c"}]), "linux.devices[0]"),
        ("/linux/devices", json!([{"path": "/", "type": "c"}]), "path is /"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "a"}]), "type a"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c", "major": 4096}]), "4096:0 is not a device number"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "b", "minor": -1}]), "0:-1 is not a device number"),
        ("/linux/maskedPaths", json!(["proc"]), "linux.maskedPaths"),
        ("/linux/readonlyPaths", json!(["proc"]), "linux.readonlyPaths"),
        ("/linux/cgroupsPath", json!("/a/../../b"), "cgroupsPath"),
        ("/linux/rootfsPropagation", json!("public"), "rootfsPropagation"),
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt: is not supported"),
        ("/linux/personality", json!({"domain": "LINUX", "flags": ["X"]}), "personality.flags"),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "needs a new time namespace"),
        ("/hooks", json!({"prestart": [{"path": "bin/x"}]}), "hooks.prestart: path bin/x is not absolute"),
        ("/hooks", json!({"poststop": [{"path": "/x", "timeout": 0}]}), "hooks.poststop: timeout"),
        ("/annotations", json!({"": "x"}), "annotations: has an empty key"),
    ];
    for (pointer, value, expected) in table {
        let message = message(&with(pointer, value));
        assert!(message.contains(expected), "{pointer}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn test_load_namespace_path_empty_means_a_new_one() {
    assert_eq!(
        message(&with("/linux/namespaces", json!([{"type": "mount", "path": ""}, {"type": "uts"}]))),
        "accepted"
    );
}

#[test]
fn test_sysctl_of_a_private_namespace_is_accepted() {
    for name in [
        "net.ipv4.ip_forward",
        "net/ipv4/conf/eth0.100/forwarding",
        "kernel.shmmax",
        "fs.mqueue.msg_max",
        "kernel.domainname",
    ] {
        assert_eq!(message(&with("/linux/sysctl", json!({name: "1"}))), "accepted", "{name}");
    }
}

#[test]
fn test_sysctl_outside_the_allow_list_is_refused() {
    for (name, value) in [
        ("kernel.core_pattern", "|/bin/x"),
        ("kernel/core_pattern", "x"),
        ("kernel.hostname", "x"),
        ("vm.swappiness", "1"),
        ("kernel.shm_rmid_forced+kernel.core_pattern", "1"),
        ("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x"),
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=x"),
        ("kernel.shm_rmid_forced\n", "1"),
        ("net.ipv4..x", "1"),
        ("net/../kernel/core_pattern", "1"),
        ("net.ipv4/../../kernel", "1"),
        ("net.", "1"),
        ("", "1"),
        ("user.max_pid_namespaces", "1"),
    ] {
        let message = message(&with("/linux/sysctl", json!({name: value})));
        assert!(message.starts_with("check config linux.sysctl: "), "{name:?}={value:?}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn test_sysctl_without_its_namespace_is_refused() {
    let mut document = with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    let rest = json!([{"type": "mount"}, {"type": "uts"}]);
    *document.pointer_mut("/linux/namespaces").unwrap() = rest;
    assert!(message(&document).contains("needs a private network namespace"));
    *document.pointer_mut("/linux/namespaces").unwrap() =
        json!([{"type": "mount"}, {"type": "uts"}, {"type": "network", "path": "/proc/1/ns/net"}]);
    assert!(message(&document).contains("cannot be set in the host's network namespace"));
}

#[test]
fn test_user_namespace_mappings_are_checked_as_the_kernel_does() {
    let mapping =
        |host: u32, container: u32, size: u32| json!({"hostID": host, "containerID": container, "size": size});
    for (mappings, expected) in [
        (vec![mapping(1000, 0, 1)], "accepted"),
        (vec![mapping(1000, 0, 1), mapping(2000, 1, 1)], "accepted"),
        (vec![mapping(1000, 0, 0)], "size 0"),
        (vec![mapping(u32::MAX, 0, 1)], "beyond"),
        (vec![mapping(1000, 0, 10), mapping(2000, 5, 1)], "overlapping"),
        (vec![mapping(1000, 0, 10), mapping(1009, 20, 1)], "overlapping"),
        ((0..341).map(|n| mapping(n, n, 1)).collect(), "more than 340"),
    ] {
        let mut document = with("/linux/namespaces/-", json!({"type": "user"}));
        let linux = document.pointer_mut("/linux").unwrap().as_object_mut().unwrap();
        linux.insert("uidMappings".into(), Value::Array(mappings.clone()));
        linux.insert("gidMappings".into(), Value::Array(mappings));
        assert!(message(&document).contains(expected), "{expected}: {}", message(&document));
    }
}

#[test]
fn test_time_offsets_need_known_clocks() {
    for (offsets, expected) in [
        (json!({"monotonic": {"secs": 5, "nanosecs": 1}, "boottime": {"secs": -5}}), "accepted"),
        (json!({"realtime": {"secs": 5}}), "is not monotonic or boottime"),
        (json!({"boottime": {"nanosecs": 1_000_000_000}}), "nanosecs"),
    ] {
        let mut document = with("/linux/namespaces/-", json!({"type": "time"}));
        document.pointer_mut("/linux").unwrap()["timeOffsets"] = offsets;
        assert!(message(&document).contains(expected), "{}", message(&document));
    }
}

#[test]
fn test_seccomp_structure_is_checked() {
    let rule = |extra: Value| {
        let mut rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"});
        rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    };
    for (profile, expected) in [
        (rule(json!({})), "accepted"),
        (json!({}), "missing field `defaultAction`"),
        (json!({"defaultAction": "SCMP_ACT_PERHAPS"}), "unknown variant"),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}), "cannot be SCMP_ACT_NOTIFY"),
        (rule(json!({"names": []})), "has no name"),
        (rule(json!({"errnoRet": 4096})), "errnoRet"),
        (rule(json!({"args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})), "index above 5"),
        (rule(json!({"action": "SCMP_ACT_NOTIFY"})), "needs a listenerPath"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "x"}), "listenerPath"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}), "listenerMetadata"),
    ] {
        let message = message(&with("/linux/seccomp", profile));
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn test_unknown_capabilities_are_dropped_with_a_warning() {
    let (spec, warnings) = try_load(&with(
        "/process/capabilities",
        json!({"bounding": ["CAP_KILL", "CAP_TELEPORT"], "permitted": ["CAP_X"]}),
    ))
    .unwrap();
    assert_eq!(
        warnings,
        [
            "unknown capability \"CAP_TELEPORT\" in process.capabilities.bounding is ignored",
            "unknown capability \"CAP_X\" in process.capabilities.permitted is ignored"
        ]
    );
    let capabilities = spec.process().as_ref().unwrap().capabilities().as_ref().unwrap();
    assert_eq!(capabilities.bounding().as_ref().unwrap().len(), 1);
    assert!(capabilities.permitted().as_ref().unwrap().is_empty());
}

#[test]
fn test_repair_does_not_hide_another_mistake() {
    let mut document = with("/process/capabilities", json!({"bounding": ["CAP_TELEPORT"]}));
    document["process"]["rlimits"] = json!([{"type": "RLIMIT_FOO"}]);
    assert!(message(&document).contains("unknown variant `RLIMIT_FOO`"));
}

#[test]
fn test_missing_user_is_root_as_in_runc() {
    let mut document = base();
    document["process"].as_object_mut().unwrap().remove("user");
    let (spec, _) = try_load(&document).unwrap();
    assert_eq!(spec.process().as_ref().unwrap().user().uid(), 0);
}

#[test]
fn test_deadline_overrun_flag_of_the_specification_is_understood() {
    let scheduler = json!({"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_DL_OVERRUN"], "runtime": 1, "deadline": 2, "period": 3});
    assert_eq!(message(&with("/process/scheduler", scheduler)), "accepted");
}

#[test]
fn test_relative_mount_destination_is_made_absolute_with_a_warning() {
    let (spec, warnings) = try_load(&with("/mounts/-", json!({"destination": "../data/./x"}))).unwrap();
    assert_eq!(spec.mounts().as_ref().unwrap()[1].destination(), std::path::Path::new("/data/x"));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn test_section_of_another_platform_is_ignored_with_a_warning() {
    let (_, warnings) = try_load(&with("/solaris", json!({}))).unwrap();
    assert_eq!(warnings, ["section solaris is for another platform and ignored"]);
}

#[test]
fn test_load_process_checks_the_same_rules() {
    assert!(load_process(br#"{"user":{},"args":["ls"],"cwd":"/"}"#).is_ok());
    assert!(load_process(br#"{"args":["ls"],"cwd":"/"}"#).is_ok());
    let error = load_process(br#"{"user":{},"args":["ls"],"cwd":"x"}"#).unwrap_err();
    assert!(error.to_string().contains("process.cwd"));
    assert_eq!(load_process(b"nonsense").unwrap_err().to_string(), "parse process.json: not a JSON object");
}

#[test]
fn test_load_resources_reads_what_update_takes() {
    let resources = load_resources(br#"{"memory":{"limit":1048576},"pids":{"limit":5}}"#).unwrap();
    assert_eq!(resources.memory().unwrap().limit(), Some(1_048_576));
    assert!(load_resources(br#"{"memory":"much"}"#).is_err());
}
