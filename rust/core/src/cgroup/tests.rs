//! Groups made for real, on whatever this host has (v1, hybrid, v2); need root and a shell.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// The host's hierarchies, or a reason not to test.
fn host() -> Option<Hierarchies> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return None;
    }
    let hierarchies = Hierarchies::detect().unwrap();
    let usable = hierarchies.has("memory").unwrap() && hierarchies.has("pids").unwrap();
    if !usable {
        println!("skipped: no memory or pids controller");
    }
    usable.then_some(hierarchies)
}

/// A group that is removed, with all that is in it, when the test ends, passed or failed.
struct Scratch {
    cgroup: Cgroup,
    name: String,
}

impl Scratch {
    fn new(hierarchies: &Hierarchies, test: &str, resources: &serde_json::Value) -> Result<Self> {
        let name = format!("/pyctr-test-{}/{test}", std::process::id());
        let resources: LinuxResources = serde_json::from_value(resources.clone()).unwrap();
        let cgroup = Cgroup::create(hierarchies, Driver::Cgroupfs, &name, Some(&resources), false)?;
        Ok(Self { cgroup, name })
    }

    fn update(&self, resources: &serde_json::Value) -> Result<()> {
        self.cgroup.update(&serde_json::from_value(resources.clone()).unwrap())
    }

    /// Runs a script inside.
    fn spawn(&self, script: &str) -> Child {
        let mut text = String::new();
        for group in self.cgroup.groups.iter().filter(|group| !group.is_absent()) {
            let file = if group.version == Version::V1 { "tasks" } else { "cgroup.procs" };
            writeln!(text, "echo 0 >{}/{file} || exit 99", group.path).unwrap();
        }
        text.push_str(script);
        let mut command = Command::new("sh");
        command.arg("-c").arg(text).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    fn run(&self, script: &str) -> Option<i32> {
        self.spawn(script).wait().unwrap().code()
    }

    fn path(&self, controller: &dyn Controller) -> &str {
        &self.cgroup.group_of(controller).unwrap().path
    }

    /// Reads a controller's file by its v1 or v2 name.
    fn read(&self, controller: &dyn Controller, v1: &str, v2: &str) -> String {
        let group = self.cgroup.group_of(controller).unwrap();
        let name = if group.version == Version::V1 { v1 } else { v2 };
        file::read(&format!("{}/{name}", group.path)).unwrap().trim().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.cgroup.kill_all(libc::SIGKILL).unwrap();
        self.cgroup.remove().unwrap();
        assert_eq!(leftovers(&self.name), [""; 0]);
        for group in &self.cgroup.groups {
            // The tests' common parent goes with the last of them.
            let _ = file::remove_directory(group.path.rsplit_once('/').unwrap().0);
        }
    }
}

/// Directories of a name in any hierarchy.
fn leftovers(name: &str) -> Vec<String> {
    let hierarchies = Hierarchies::detect().unwrap();
    let paths = hierarchies.iter().map(|hierarchy| format!("{}{name}", hierarchy.mount_point));
    paths.filter(|path| std::path::Path::new(path).exists()).collect()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn test_create_with_limits_shows_in_the_kernels_files() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(
        &host,
        "limits",
        &json!({
            "memory": {"limit": 64 << 20, "reservation": 32 << 20}, "pids": {"limit": 50},
            "cpu": {"shares": 2048, "quota": 20_000, "period": 50_000, "cpus": "0", "mems": "0"},
        }),
    )
    .unwrap();
    let read = |one, v1, v2| scratch.read(one, v1, v2);
    assert_eq!(read(&memory::Memory, "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(read(&memory::Memory, "memory.soft_limit_in_bytes", "memory.low"), (32 << 20).to_string());
    assert_eq!(read(&pids::Pids, "pids.max", "pids.max"), "50");
    assert_eq!(read(&cpuset::Cpuset, "cpuset.cpus", "cpuset.cpus"), "0");
    let (v1, v2) = ("2048".to_owned(), shares_to_weight(2048).to_string());
    let v2_cpu = scratch.cgroup.group_of(&cpu::Cpu).unwrap().version == Version::V2;
    assert_eq!(read(&cpu::Cpu, "cpu.shares", "cpu.weight"), if v2_cpu { v2 } else { v1 });
    assert_eq!(read(&cpu::Cpu, "cpu.cfs_quota_us", "cpu.max"), if v2_cpu { "20000 50000" } else { "20000" });
    assert_eq!(scratch.run("true"), Some(0));
}

#[test]
fn test_create_refused_limit_leaves_nothing() {
    let Some(host) = host() else { return };
    for (resources, word) in [
        (json!({"cpu": {"cpus": "9999"}}), "cpuset.cpus"),
        (json!({"cpu": {"quota": 1}}), "cpu quota"),
        (json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}), "huge"),
        (json!({"unified": {"nosuch.max": "1"}}), "nosuch"),
        (json!({"blockIO": {"throttleReadBpsDevice": [{"major": 511, "minor": 9, "rate": 1}]}}), "device read bps"),
    ] {
        let error = Scratch::new(&host, "refused", &resources).map(|scratch| scratch.name.clone()).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(leftovers(&format!("/pyctr-test-{}/refused", std::process::id())), [""; 0]);
    }
}

#[test]
fn test_create_where_processes_are_is_a_conflict() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "taken", &json!({})).unwrap();
    let mut child = scratch.spawn("exec sleep 600");
    wait_for("joining", || scratch.cgroup.pids().is_ok_and(|pids| !pids.is_empty()));
    let again = Cgroup::create(&host, Driver::Cgroupfs, &scratch.name, None, false);
    assert_eq!(again.unwrap_err().kind, Kind::Conflict);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn test_open_by_paths_finds_the_group_until_it_is_gone() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "open", &json!({})).unwrap();
    let paths = scratch.cgroup.paths();
    let again = Cgroup::open(&host, &paths).unwrap();
    assert_eq!(again.paths(), paths);
    drop(again.join().unwrap());
    drop(scratch);
    assert_eq!(Cgroup::open(&host, &paths).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn test_update_moves_memory_and_swap_up_and_down() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "swap", &json!({"memory": {"limit": 32 << 20, "swap": 64 << 20}}));
    let scratch = match scratch {
        Err(error) if error.errno == Some(Errno::NOENT) => return println!("skipped: no swap accounting"),
        result => result.unwrap(),
    };
    for (limit, swap) in
        [(128 << 20, 256 << 20), (16 << 20, 20 << 20), (64 << 20, 64 << 20), (-1_i64, -1_i64), (32 << 20, 33 << 20)]
    {
        scratch.update(&json!({"memory": {"limit": limit, "swap": swap}})).unwrap();
        let read = scratch.read(&memory::Memory, "memory.limit_in_bytes", "memory.max");
        if limit > 0 {
            assert_eq!(read, limit.to_string());
        }
    }
}

#[test]
fn test_update_makes_a_missing_directory_and_moves_processes_there() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "later", &json!({})).unwrap();
    let mut child = scratch.spawn("sleep 600 & wait");
    wait_for("two processes", || scratch.cgroup.pids().is_ok_and(|pids| pids.len() == 2));
    scratch.update(&json!({"cpu": {"quota": 50_000, "period": 100_000, "cpus": "0"}, "pids": {"limit": 77}})).unwrap();
    let mut expected = scratch.cgroup.pids().unwrap();
    expected.sort_unstable();
    for controller in [&cpu::Cpu as &dyn Controller, &cpuset::Cpuset] {
        let mut moved = processes::list(scratch.path(controller)).unwrap();
        moved.sort_unstable();
        assert_eq!(moved, expected);
    }
    // The period alone keeps the quota.
    scratch.update(&json!({"cpu": {"period": 200_000}})).unwrap();
    let cpu = scratch.read(&cpu::Cpu, "cpu.cfs_quota_us", "cpu.max");
    assert!(cpu.starts_with("50000"), "{cpu}");
    assert_eq!(scratch.cgroup.stats().unwrap().pids.limit, 77);
    scratch.cgroup.kill_all(libc::SIGKILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn test_what_another_process_made_later_is_joined_and_removed() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "other", &json!({})).unwrap();
    let joined = scratch.cgroup.join().unwrap().v1_tasks.len();
    let other = Cgroup::open(&host, &scratch.cgroup.paths()).unwrap();
    other.update(&serde_json::from_value(json!({"cpu": {"shares": 512}})).unwrap()).unwrap();
    other.freeze().unwrap();
    assert!(scratch.cgroup.is_frozen().unwrap());
    scratch.cgroup.thaw().unwrap();
    let again = scratch.cgroup.join().unwrap();
    if !host.is_v2_only() {
        assert_eq!(again.v1_tasks.len(), joined + 2);
        assert!(scratch.cgroup.mount_view().iter().any(|(name, _)| name.contains("freezer")));
    }
}

#[test]
fn test_create_reuses_an_empty_directory_with_the_rules_of_the_new_container() {
    let Some(host) = host() else { return };
    let deny = json!({"allow": false, "access": "rwm"});
    let kmsg = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"});
    let first = Scratch::new(&host, "again", &json!({"devices": [deny]})).unwrap();
    let second = Scratch::new(&host, "again", &json!({"devices": [deny, kmsg]})).unwrap();
    assert_eq!(second.run("dd if=/dev/kmsg of=/dev/null bs=8k count=1"), Some(0));
    drop(first);
}

#[test]
fn test_pids_limit_holds() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "pids", &json!({"pids": {"limit": 3}})).unwrap();
    // The shell and its children: the fourth task is refused.
    let code = scratch.run("sleep 90 & sleep 90 & sleep 90 & exit 0");
    assert_ne!(code, Some(0));
    assert_eq!(scratch.cgroup.stats().unwrap().pids.limit, 3);
}

#[test]
fn test_oom_kill_is_counted_and_told() {
    let Some(host) = host() else { return };
    let resources = json!({"memory": {"limit": 16 << 20, "swap": 16 << 20}});
    let scratch = Scratch::new(&host, "oom", &resources).unwrap();
    let watch = scratch.cgroup.watch_oom().unwrap();
    assert_eq!(scratch.cgroup.oom_kills(), Some(0));
    assert!(!watch.take().unwrap());
    // One line without an end must be kept whole.
    assert_ne!(scratch.run("exec tail -n 1 /dev/zero"), Some(0));
    assert!(scratch.cgroup.oom_kills().unwrap() >= 1);
    wait_for("the notice", || watch.take().unwrap());
    assert!(scratch.cgroup.stats().unwrap().memory.usage.max > 1 << 20);
}

#[test]
fn test_device_rules_hold_and_change() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "devices", &json!({"devices": [{"allow": false, "access": "rwm"}]})).unwrap();
    let read_kmsg = "dd if=/dev/kmsg of=/dev/null bs=8k count=1";
    if Command::new("dd")
        .args(["if=/dev/kmsg", "of=/dev/null", "bs=8k", "count=1"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| !s.success())
    {
        return println!("skipped: /dev/kmsg cannot be read here");
    }
    assert_eq!(scratch.run("dd if=/dev/zero of=/dev/null bs=1 count=1"), Some(0));
    assert_ne!(scratch.run(read_kmsg), Some(0));
    let rule = |allow: bool| json!({"allow": allow, "type": "c", "major": 1, "minor": 11, "access": "r"});
    let deny = json!({"allow": false, "access": "rwm"});
    scratch.update(&json!({"devices": [deny, rule(true)]})).unwrap();
    assert_eq!(scratch.run(read_kmsg), Some(0));
    scratch.update(&json!({"devices": [deny, rule(true), rule(false)]})).unwrap();
    assert_ne!(scratch.run(read_kmsg), Some(0));
    scratch.update(&json!({"devices": [{"allow": true, "access": "rwm"}]})).unwrap();
    assert_eq!(scratch.run(read_kmsg), Some(0));
}

#[test]
fn test_create_without_rules_still_confines_devices() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "norules", &json!({})).unwrap();
    assert_ne!(scratch.run("dd if=/dev/kmsg of=/dev/null bs=8k count=1"), Some(0));
    assert_eq!(scratch.run("echo >/dev/null"), Some(0));
}

#[test]
fn test_freeze_stops_and_thaw_goes_on() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "freeze", &json!({})).unwrap();
    let mut child = scratch.spawn("while :; do :; done");
    wait_for("running", || scratch.cgroup.stats().unwrap().cpu.usage.total > 1_000_000);
    for _ in 0..3 {
        scratch.cgroup.freeze().unwrap();
        assert!(scratch.cgroup.is_frozen().unwrap());
        let used = || scratch.cgroup.stats().unwrap().cpu.usage.total;
        let before = std::cell::Cell::new(used());
        // A task counts as frozen before its last slice is charged: that happens once, when it is switched away, which a
        // busy machine puts off.
        wait_for("standing still", || {
            std::thread::sleep(Duration::from_millis(50));
            before.replace(used()) == before.get()
        });
        scratch.cgroup.thaw().unwrap();
        assert!(!scratch.cgroup.is_frozen().unwrap());
        wait_for("running again", || used() > before.get());
    }
    // A paused container can be killed.
    scratch.cgroup.freeze().unwrap();
    scratch.cgroup.kill_all(libc::SIGKILL).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn test_kill_all_ends_a_group_that_keeps_forking() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "kill", &json!({"pids": {"limit": 200}})).unwrap();
    let mut child = scratch.spawn("while :; do (while :; do sleep 0.01; done) & sleep 0.01; done");
    wait_for("some processes", || scratch.cgroup.pids().is_ok_and(|pids| pids.len() > 20));
    scratch.cgroup.kill_all(libc::SIGKILL).unwrap();
    child.wait().unwrap();
    wait_for("an empty group", || scratch.cgroup.pids().is_ok_and(|pids| pids.is_empty()));
}

#[test]
fn test_kill_all_with_a_gentle_signal_reaches_nested_groups() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "nested", &json!({})).unwrap();
    let directory = scratch.cgroup.members().unwrap().path.clone();
    let nested = format!("{directory}/inner");
    std::fs::create_dir(&nested).unwrap();
    let mut child = scratch.spawn(&format!("echo 0 >{nested}/cgroup.procs; exec sleep 600"));
    wait_for("nesting", || processes::list(&nested).is_ok_and(|pids| !pids.is_empty()));
    assert_eq!(scratch.cgroup.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
    scratch.cgroup.kill_all(libc::SIGTERM).unwrap();
    assert!(!child.wait().unwrap().success());
}

#[test]
fn test_remove_waits_for_the_dying() {
    let Some(host) = host() else { return };
    let scratch = Scratch::new(&host, "remove", &json!({})).unwrap();
    let mut child = scratch.spawn("exec sleep 600");
    wait_for("joining", || scratch.cgroup.pids().is_ok_and(|pids| !pids.is_empty()));
    scratch.cgroup.kill_all(libc::SIGKILL).unwrap();
    scratch.cgroup.remove().unwrap();
    assert_eq!(leftovers(&scratch.name), [""; 0]);
    child.wait().unwrap();
}

#[test]
fn test_hugetlb_limit_lands_where_the_controller_is() {
    let Some(host) = host() else { return };
    if !host.has("hugetlb").unwrap() || !std::path::Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB").exists() {
        return println!("skipped: no hugetlb controller or no 2 MB pages");
    }
    let resources = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]});
    let scratch = Scratch::new(&host, "huge", &resources).unwrap();
    let read = scratch.read(&hugetlb::Hugetlb, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
    assert_eq!(read, (4 << 20).to_string());
    assert!(scratch.cgroup.stats().unwrap().hugetlb.contains_key("2MB"));
    assert_eq!(scratch.run("true"), Some(0));
}

#[test]
fn test_block_weight_and_throttle_show_in_the_kernels_files() {
    let Some(host) = host() else { return };
    let Some(device) = std::fs::read_dir("/sys/block")
        .ok()
        .and_then(|mut list| list.find_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("dev")).ok()))
    else {
        return println!("skipped: no block device");
    };
    let (major, minor) = device.trim().split_once(':').unwrap();
    let (major, minor): (u32, u32) = (major.parse().unwrap(), minor.parse().unwrap());
    let throttle = json!([{"major": major, "minor": minor, "rate": 1 << 20}]);
    if !host.has("blkio").unwrap() {
        return println!("skipped: no block controller");
    }
    let resources = json!({"blockIO": {"throttleReadBpsDevice": throttle, "throttleWriteIOPSDevice": throttle}});
    let scratch = Scratch::new(&host, "block", &resources).unwrap();
    let read = scratch.read(&blkio::Blkio, "blkio.throttle.read_bps_device", "io.max");
    assert!(read.contains("1048576"), "{read}");
    match scratch.update(&json!({"blockIO": {"weight": 300}})) {
        Ok(()) => {}
        Err(error) => assert!(error.to_string().contains("block io weight") && error.hint.is_some(), "{error}"),
    }
}

#[test]
fn test_unified_key_is_written_or_refused_by_name() {
    let Some(host) = host() else { return };
    let result = Scratch::new(&host, "unified", &json!({"unified": {"memory.high": "67108864"}}));
    if host.is_v2_only() {
        assert_eq!(result.unwrap().read(&memory::Memory, "", "memory.high"), "67108864");
    } else {
        let error = result.map(|scratch| scratch.name.clone()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}

#[test]
fn test_systemd_driver_without_systemd_is_refused_by_name() {
    let Some(host) = host() else { return };
    if host.has_systemd() {
        return println!("skipped: systemd runs here");
    }
    let error = Cgroup::create(&host, Driver::Systemd, "system.slice:pyctr:x", None, false).unwrap_err();
    assert!(error.to_string().contains("systemd does not run"), "{error}");
}
