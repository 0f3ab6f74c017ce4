use oci_spec::runtime::{ProcessBuilder, RootBuilder, SpecBuilder, UserBuilder};

use super::*;

fn process() -> Process {
    let mut process = ProcessBuilder::default()
        .args(vec!["true".to_owned()])
        .cwd("/work")
        .user(UserBuilder::default().uid(7u32).gid(8u32).build().unwrap())
        .build()
        .unwrap();
    // The builder's defaults are an example container's, not absence.
    process.set_capabilities(None).set_no_new_privileges(None);
    process
}

fn common<'a>(credentials: &'a Credentials, filter: Option<&'a Filter>) -> Common<'a> {
    Common {
        credentials,
        stdio: StdioPlan::Inherit,
        filter,
        preserve_fds: 2,
        gate: None,
        parent_death_signal: Some(9),
        reaper: false,
        permitted: u64::MAX,
        join_cgroups: &[5, 6],
        set_groups: true,
        keyring: None,
        label_file: None,
    }
}

fn names(list: &SetupList) -> Vec<String> {
    list.ops().iter().map(|op| format!("{op:?}").split([' ', '{']).next().unwrap_or_default().to_owned()).collect()
}

fn position(names: &[String], name: &str) -> usize {
    names.iter().position(|other| other == name).unwrap_or_else(|| panic!("no {name} in {names:?}"))
}

fn filter(notify: bool) -> Filter {
    Filter { program: vec![0u8; 8].into(), flags: 0, notify, listener_path: None, listener_metadata: None }
}

fn start_list(process: Process, filter: Option<&Filter>, gate: Option<i32>) -> SetupList {
    let credentials = Credentials { uid: 7, gid: 8, ..Credentials::default() };
    let spec = SpecBuilder::default()
        .process(process)
        .root(RootBuilder::default().path("rootfs").readonly(true).build().unwrap())
        .hostname("box")
        .build()
        .unwrap();
    let namespaces = NamespacePlan { clone: NEWNS | NEWNET, cgroup: true, ..NamespacePlan::default() };
    let start = Start {
        common: Common { gate, ..common(&credentials, filter) },
        namespaces: &namespaces,
        namespace_fds: &[],
        root_fd: 9,
        root_target: Path::new("/merged"),
        mounts: &[],
        prepared: &[],
        devices: &[],
        device_fds: &[],
        readonly_cgroups: &[],
        sync: true,
        no_pivot: false,
    };
    plan_start(&spec, &start).unwrap()
}

#[test]
fn filter_without_no_new_privs_loads_before_capabilities_go() {
    let names = names(&start_list(process(), Some(&filter(false)), None));
    let seccomp = position(&names, "Seccomp");
    assert_eq!(names[seccomp - 1], "Capabilities", "CAP_SYS_ADMIN is put in force for a user that is not root");
    assert_eq!(names[seccomp + 1], "Capabilities");
    assert_eq!(names[seccomp + 2], "Exec");
}

#[test]
fn filter_with_no_new_privs_loads_last() {
    let mut process = process();
    process.set_no_new_privileges(Some(true));
    let names = names(&start_list(process, Some(&filter(false)), None));
    assert_eq!(position(&names, "Seccomp") + 1, position(&names, "Exec"));
    assert!(position(&names, "NoNewPrivileges") < position(&names, "Capabilities"));
}

#[test]
fn listener_is_sent_while_the_parent_still_waits() {
    let names = names(&start_list(process(), Some(&filter(true)), Some(4)));
    assert!(position(&names, "Seccomp") < position(&names, "Gate"));
}

#[test]
fn gate_is_passed_before_the_filter_judges() {
    let names = names(&start_list(process(), Some(&filter(false)), Some(4)));
    assert!(position(&names, "Gate") < position(&names, "Seccomp"));
}

#[test]
fn cgroup_namespace_is_made_after_the_cgroups_are_joined() {
    let names = names(&start_list(process(), None, None));
    let last_join = names.iter().rposition(|name| name == "JoinCgroup").unwrap();
    assert!(last_join < position(&names, "Unshare"));
}

#[test]
fn root_becomes_read_only_after_the_working_directory_exists() {
    let names = names(&start_list(process(), None, None));
    assert!(position(&names, "Directory") < position(&names, "SetAttributes"));
    assert!(position(&names, "SetAttributes") < position(&names, "PivotRoot"));
}

#[test]
fn directory_is_verified_on_both_sides_of_the_change_of_user() {
    let names = names(&start_list(process(), None, None));
    let user = position(&names, "User");
    assert!(position(&names, "WorkingDirectory") < user && user < position(&names, "VerifyWorkingDirectory"));
}

#[test]
fn descriptors_are_closed_after_the_preserved_ones() {
    let list = start_list(process(), None, None);
    assert!(list.ops().contains(&SetupOp::CloseFrom { first: 5 }));
}

#[test]
fn exec_joins_cgroups_before_namespaces() {
    let credentials = Credentials::default();
    let list = plan_exec(&process(), &common(&credentials, None), (3, 0x2000_0000), false).unwrap();
    let names = names(&list);
    assert!(position(&names, "JoinCgroup") < position(&names, "JoinNamespaces"));
    assert!(position(&names, "JoinNamespaces") < position(&names, "Fork"));
}

#[test]
fn missing_capabilities_mean_none() {
    let list = start_list(process(), None, None);
    assert!(list.ops().contains(&SetupOp::Capabilities { effective: 0, permitted: 0, inheritable: 0, ambient: 0 }));
    assert!(list.ops().contains(&SetupOp::BoundingSet { keep: 0 }));
}

#[test]
fn apparmor_profile_without_apparmor_is_refused() {
    let mut process = process();
    process.set_apparmor_profile(Some("docker-default".to_owned()));
    let credentials = Credentials::default();
    let error = plan_exec(&process, &common(&credentials, None), (3, 0), false).unwrap_err();
    assert!(error.to_string().contains("no AppArmor"));
}

#[test]
fn affinity_list_becomes_a_mask() {
    let mut process = process();
    process.set_exec_cpu_affinity(Some(
        oci_spec::runtime::ExecCPUAffinityBuilder::default().initial("0-1,9").build().unwrap(),
    ));
    let mask = affinity(&process).unwrap().unwrap();
    assert_eq!(&mask[..2], &[0b11, 0b10]);
}
