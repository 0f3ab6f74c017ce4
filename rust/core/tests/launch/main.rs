//! Containers started for real, from a busybox root file system; needs root and busybox-static.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use pyctr_core::process::{Child, Launch, Rootfs, SeccompChoice, Stdio, UserRequest, launch, launch_beside};
use pyctr_core::{Error, Kind};
use rustix::process::{WaitId, WaitIdOptions};
use tempfile::TempDir;

mod attacks;

fn busybox() -> Option<&'static Path> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return None;
    }
    let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().map(Path::new).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: needs busybox-static");
    }
    found
}

fn root_file_system(busybox: &Path) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    // By another process: what is open for writing here, a process that another test clones meanwhile would hold until its
    // own exec, and till then nobody could execute it (execve(2), ETXTBSY).
    assert!(std::process::Command::new("cp").arg(busybox).arg(dir.path().join("bin")).status().unwrap().success());
    for applet in ["sh", "cat", "id", "ls", "mount", "true", "hostname", "sleep", "touch", "stat", "readlink"] {
        std::os::unix::fs::symlink("busybox", dir.path().join("bin").join(applet)).unwrap();
    }
    std::fs::write(dir.path().join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n").unwrap();
    std::fs::write(dir.path().join("etc/group"), "root:x:0:\ndisk:x:6:web\n").unwrap();
    dir
}

fn spec(args: &[&str], change: impl FnOnce(&mut serde_json::Value)) -> Spec {
    let mut value = serde_json::json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"],
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]}
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}],
            "maskedPaths": ["/proc/meminfo", "/proc/irq", "/sys/firmware", "/proc/none"],
            "readonlyPaths": ["/proc/sys", "/proc/bus"]
        }
    });
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

struct Container {
    root: TempDir,
}

impl Container {
    fn start(&self, spec: &Spec, output: &OwnedFd, user: Option<&str>) -> Result<Child, Error> {
        let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
        let (out, error) = (output.as_fd(), output.as_fd());
        self.start_with(spec, Stdio::Descriptors([null.as_fd(), out, error]), user)
    }

    fn start_with(&self, spec: &Spec, stdio: Stdio<'_>, user: Option<&str>) -> Result<Child, Error> {
        launch(&self.request(spec, stdio, user))
    }

    fn request<'a>(&self, spec: &'a Spec, stdio: Stdio<'a>, user: Option<&str>) -> Launch<'a> {
        Launch {
            id: "test",
            bundle: Path::new("/"),
            spec,
            rootfs: Rootfs::Directory(self.root.path().to_owned()),
            stdio,
            cgroup: None,
            seccomp: SeccompChoice::Unconfined,
            user: user.map(|user| UserRequest { user: user.to_owned(), additional_groups: Vec::new() }),
            gate: None,
            preserve_fds: 0,
            no_pivot: false,
            no_new_keyring: false,
            parent_death_signal: Some(9),
            reaper: false,
        }
    }

    /// Runs a container to its end: what it wrote, and its exit status.
    fn run(&self, spec: &Spec, user: Option<&str>) -> Result<(String, i32), Error> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let child = self.start(spec, &writer, user)?;
        drop(writer);
        let mut text = String::new();
        std::fs::File::from(reader).read_to_string(&mut text).unwrap();
        let status =
            rustix::process::waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        Ok((text, status.exit_status().unwrap_or(-1)))
    }
}

fn container() -> Option<Container> {
    Some(Container { root: root_file_system(busybox()?) })
}

fn run(container: &Container, script: &str) -> (String, i32) {
    container.run(&spec(&["sh", "-c", script], |_| {}), None).unwrap()
}

#[test]
fn process_one_has_its_own_namespaces() {
    let Some(container) = container() else { return };
    let (text, code) = run(&container, "echo $$; hostname; cat /proc/1/comm; echo /proc/[0-9]*; exit 7");
    assert_eq!((text.as_str(), code), ("1\nbox\nsh\n/proc/1\n", 7));
}

#[test]
fn paths_are_masked_and_read_only() {
    let Some(container) = container() else { return };
    let (text, _) = run(
        &container,
        "stat -c %t:%T /proc/meminfo; ls /proc/irq | wc -l; echo 1 > /proc/sys/kernel/domainname 2>&1 || echo refused; touch /sys/x 2>/dev/null || echo refused",
    );
    assert!(text.starts_with("1:3\n0\n"), "{text}");
    assert_eq!(text.matches("refused").count(), 2, "{text}");
}

#[test]
fn devices_and_links_are_there() {
    let Some(container) = container() else { return };
    let (text, _) = run(
        &container,
        "echo x > /dev/null && stat -c '%t:%T %a' /dev/zero && readlink /dev/ptmx && readlink /dev/stdin && ls -d /dev/pts/ptmx",
    );
    assert_eq!(text, "1:5 666\npts/ptmx\n/proc/self/fd/0\n/dev/pts/ptmx\n");
}

#[test]
fn capabilities_are_exactly_those_asked_for() {
    let Some(container) = container() else { return };
    let (text, _) = run(&container, "cat /proc/self/status | grep Cap");
    let sets: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        sets,
        ["0000000000000000", "0000000000000020", "0000000000000020", "0000000000000020", "0000000000000000"]
    );
}

#[test]
fn executable_seen_from_inside_before_exec_is_a_sealed_memory_file() {
    let Some(container) = container() else { return };
    let address =
        rustix::net::SocketAddrUnix::new_abstract_name(format!("pyctr-{}", std::process::id()).as_bytes()).unwrap();
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    // Held at the gate: all is set up, only the exec is missing.
    let child = launch(&Launch {
        id: "test",
        bundle: Path::new("/"),
        spec: &spec(&["true"], |_| {}),
        rootfs: Rootfs::Directory(container.root.path().to_owned()),
        stdio: Stdio::Descriptors([null.as_fd(), null.as_fd(), null.as_fd()]),
        cgroup: None,
        seccomp: SeccompChoice::Unconfined,
        user: None,
        gate: Some(listener.as_fd()),
        preserve_fds: 0,
        no_pivot: false,
        no_new_keyring: false,
        parent_death_signal: Some(9),
        reaper: false,
    })
    .unwrap();
    let executable = format!("/proc/{}/exe", child.pid.as_raw_nonzero());
    let link = std::fs::read_link(&executable).unwrap();
    let seals = rustix::fs::fcntl_get_seals(std::fs::File::open(&executable).unwrap());
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = rustix::process::waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
    assert!(link.to_string_lossy().starts_with("/memfd:pyctr-init"), "{}", link.display());
    let wanted = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::SEAL;
    assert!(seals.unwrap().contains(wanted));
}

#[test]
fn what_failed_the_child_is_told_and_not_what_failed_for_want_of_it() {
    let Some(container) = container() else { return };
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let work = |pid: i32| {
        let namespace = format!("/proc/{pid}/ns/net");
        while std::fs::File::open(&namespace).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        Err(Error::new(Kind::State, "open", namespace, "gone"))
    };
    let spec = spec(&["true"], |value| value["linux"]["sysctl"] = serde_json::json!({"net.ipv4.bogus": "1"}));
    let request = container.request(&spec, Stdio::Descriptors([null.as_fd(); 3]), None);
    let error = launch_beside(&request, Some(&work)).unwrap_err();
    assert!(error.to_string().contains("bogus"), "{error}");
}

#[test]
fn no_descriptor_leaks_into_the_container() {
    let Some(container) = container() else { return };
    let _leak = std::fs::File::open("/").unwrap();
    let (text, _) = run(&container, "ls /proc/self/fd | wc -l");
    assert_eq!(text, "4\n", "0, 1, 2 and the directory being listed");
}

#[test]
fn user_is_found_by_name_with_groups_and_home() {
    let Some(container) = container() else { return };
    let (text, _) = container.run(&spec(&["sh", "-c", "id; echo $HOME"], |_| {}), Some("web")).unwrap();
    assert_eq!(text, "uid=33(web) gid=33 groups=6(disk)\n/srv\n");
}

#[test]
fn unknown_user_is_an_error_not_root() {
    let Some(container) = container() else { return };
    let error = container.run(&spec(&["id"], |_| {}), Some("nobody")).unwrap_err();
    assert_eq!(error.to_string(), "find user nobody: no matching entries in passwd file");
}

#[test]
fn missing_and_unusable_commands_are_told_apart() {
    let Some(container) = container() else { return };
    let missing = container.run(&spec(&["nothing"], |_| {}), None).unwrap_err();
    assert_eq!(
        (missing.kind, missing.to_string().as_str()),
        (Kind::CommandNotFound, "exec nothing: executable file not found in $PATH")
    );
    let unusable = container.run(&spec(&["/etc/passwd"], |_| {}), None).unwrap_err();
    assert_eq!(unusable.kind, Kind::CommandNotExecutable);
}

#[test]
fn working_directory_is_made() {
    let Some(container) = container() else { return };
    let spec = spec(&["sh", "-c", "pwd"], |value| value["process"]["cwd"] = "/a/b".into());
    assert_eq!(container.run(&spec, None).unwrap().0, "/a/b\n");
}

#[test]
fn read_only_root_is_read_only() {
    let Some(container) = container() else { return };
    let spec =
        spec(&["sh", "-c", "touch /x 2>&1; touch /dev/x && echo dev"], |value| value["root"]["readonly"] = true.into());
    let (text, _) = container.run(&spec, None).unwrap();
    assert!(text.contains("Read-only file system") && text.contains("dev"), "{text}");
}

#[test]
fn proc_that_is_a_link_is_refused() {
    let Some(container) = container() else { return };
    std::fs::remove_dir(container.root.path().join("proc")).unwrap();
    std::os::unix::fs::symlink("/tmp", container.root.path().join("proc")).unwrap();
    let error = container.run(&spec(&["true"], |_| {}), None).unwrap_err();
    assert!(error.to_string().starts_with("mount proc on /proc"), "{error}");
}

#[test]
fn dev_that_is_a_link_is_refused() {
    let Some(container) = container() else { return };
    std::fs::remove_dir(container.root.path().join("dev")).unwrap();
    std::os::unix::fs::symlink("/tmp", container.root.path().join("dev")).unwrap();
    assert!(container.run(&spec(&["true"], |_| {}), None).is_err());
}

#[test]
fn bind_target_that_is_a_link_stays_inside_the_root() {
    let Some(container) = container() else { return };
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), container.root.path().join("data")).unwrap();
    let inside = container.root.path().join(outside.path().strip_prefix("/").unwrap());
    std::fs::create_dir_all(&inside).unwrap();
    let spec = spec(&["ls", "/data"], |value| {
        let mount = serde_json::json!({"destination": "/data/in", "type": "bind", "source": "/etc/hostname", "options": ["bind"]});
        value["mounts"].as_array_mut().unwrap().push(mount);
    });
    assert_eq!(container.run(&spec, None).unwrap().0, "in\n");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(inside.join("in").exists());
}

#[test]
fn bind_mount_through_a_link_into_proc_is_refused() {
    let Some(container) = container() else { return };
    std::os::unix::fs::symlink("/proc", container.root.path().join("data")).unwrap();
    let spec = spec(&["true"], |value| {
        let mount =
            serde_json::json!({"destination": "/data/sys", "type": "bind", "source": "/tmp", "options": ["bind"]});
        value["mounts"].as_array_mut().unwrap().push(mount);
    });
    let error = container.run(&spec, None).unwrap_err();
    assert_eq!(error.errno, Some(rustix::io::Errno::PERM), "{error}");
}

#[test]
fn user_namespace_maps_root() {
    let Some(container) = container() else { return };
    let spec = spec(&["sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /dev/null && echo dev"], |value| {
        value["linux"]["namespaces"].as_array_mut().unwrap().push(serde_json::json!({"type": "user"}));
        for key in ["uidMappings", "gidMappings"] {
            value["linux"][key] = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        }
    });
    // What leads to the root must be passable for the mapped ids.
    std::fs::set_permissions(container.root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (text, _) = container.run(&spec, None).unwrap();
    assert!(text.starts_with("0\n") && text.contains("100000") && text.ends_with("dev\n"), "{text}");
}

#[test]
fn time_namespace_has_its_offsets() {
    let Some(container) = container() else { return };
    let spec = spec(&["cat", "/proc/uptime"], |value| {
        value["linux"]["namespaces"].as_array_mut().unwrap().push(serde_json::json!({"type": "time"}));
        value["linux"]["timeOffsets"] = serde_json::json!({"boottime": {"secs": 1_000_000, "nanosecs": 0}});
    });
    let (text, _) = container.run(&spec, None).unwrap();
    let uptime_s: f64 = text.split(' ').next().unwrap().parse().unwrap();
    assert!(uptime_s > 1_000_000.0, "{text}");
}

#[test]
fn failed_start_leaves_no_process() {
    let Some(container) = container() else { return };
    let _ = container.run(&spec(&["nothing"], |_| {}), None).unwrap_err();
    // Children belong to the thread that made them, so other tests' do not count.
    match std::fs::read_to_string("/proc/thread-self/children") {
        Ok(children) => assert_eq!(children, ""),
        Err(_) => println!("skipped: the kernel does not list a thread's children"),
    }
}
