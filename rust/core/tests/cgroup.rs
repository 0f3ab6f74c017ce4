//! Control groups made for real on whatever this host has; needs root.
#![allow(missing_docs, clippy::unwrap_used)]

use oci_spec::runtime::LinuxResources;
use pyctr_core::cgroup::{Cgroup, Driver, Hierarchies};

fn host() -> Option<Hierarchies> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return None;
    }
    let found = Hierarchies::detect().ok().filter(|found| !found.v1.is_empty() || found.v2.is_some());
    if found.is_none() {
        println!("skipped: needs cgroup hierarchies");
    }
    found
}

fn resources(json: &serde_json::Value) -> LinuxResources {
    serde_json::from_value(json.clone()).unwrap()
}

fn read(cgroup: &Cgroup, controller: &str, v1: &str, v2: &str) -> String {
    let paths = cgroup.paths();
    let file = match paths.get(controller) {
        Some(path) => path.join(v1),
        None => paths[""].join(v2),
    };
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

fn path(test: &str) -> String {
    format!("/pyctr-test-{}-{test}", std::process::id())
}

#[test]
fn limits_are_in_the_kernels_files_and_the_group_goes_away() {
    let Some(host) = host() else { return };
    let wanted = resources(&serde_json::json!({
        "memory": {"limit": 64 << 20}, "pids": {"limit": 50},
        "cpu": {"shares": 512, "quota": 20000, "period": 100_000},
        "devices": [{"allow": false, "access": "rwm"}]
    }));
    let cgroup = Cgroup::create(&host, Driver::Cgroupfs, &path("limits"), Some(&wanted), false).unwrap();
    assert_eq!(read(&cgroup, "memory", "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(read(&cgroup, "pids", "pids.max", "pids.max"), "50");
    if host.v1.contains_key("devices") {
        assert!(!read(&cgroup, "devices", "devices.list", "").contains("a *:*"));
    }
    assert_eq!(cgroup.stats().pids.limit, 50);
    let update = resources(&serde_json::json!({"memory": {"limit": 128 << 20}, "pids": {"limit": -1}}));
    cgroup.update(&update).unwrap();
    assert_eq!(read(&cgroup, "pids", "pids.max", "pids.max"), "max");
    let paths = cgroup.paths();
    let again = Cgroup::open(&host, &paths).unwrap();
    assert_eq!(again.paths(), paths);
    cgroup.remove().unwrap();
    assert!(paths.values().all(|path| !path.exists()));
}

#[test]
fn joined_process_is_frozen_and_killed() {
    let Some(host) = host() else { return };
    let cgroup = Cgroup::create(&host, Driver::Cgroupfs, &path("freeze"), None, false).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    for directory in cgroup.paths().values() {
        std::fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    assert_eq!(cgroup.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    cgroup.thaw().unwrap();
    cgroup.kill_all(9).unwrap();
    assert!(!child.wait().unwrap().success());
    cgroup.remove().unwrap();
}

#[test]
fn refused_limit_leaves_no_group() {
    let Some(host) = host() else { return };
    let wanted = resources(&serde_json::json!({"cpu": {"cpus": "9999"}}));
    let name = path("refused");
    let error = Cgroup::create(&host, Driver::Cgroupfs, &name, Some(&wanted), false).unwrap_err();
    assert!(error.to_string().contains("cpuset.cpus"), "{error}");
    for mount in host.v1.values().chain(&host.v2) {
        assert!(!mount.join(&name[1..]).exists());
    }
}

#[test]
fn systemd_driver_is_refused_by_name() {
    let Some(host) = host() else { return };
    let error = Cgroup::create(&host, Driver::Systemd, "system.slice:pyctr:x", None, false).unwrap_err();
    assert!(error.to_string().contains("systemd"), "{error}");
}
