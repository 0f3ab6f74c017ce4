//! Root file systems and devices made to mislead a start; each has a rule of docs/security.md.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use pyctr_core::process::{Exec, SeccompChoice, Stdio, exec};

use super::{Container, container, spec};

/// A directory of the host that becomes the container's /dev.
fn dev_with(make: impl FnOnce(&Path)) -> tempfile::TempDir {
    let dev = tempfile::tempdir().unwrap();
    std::fs::create_dir(dev.path().join("pts")).unwrap();
    make(dev.path());
    dev
}

fn bind_dev(value: &mut serde_json::Value, dev: &Path) {
    let mounts = value["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    mounts.push(serde_json::json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"]}));
}

/// Starts with the masks of [`spec`] and a /dev whose null is forged: the error.
fn refused_null(make: impl FnOnce(&Path)) -> String {
    let Some(container) = container() else { return "skipped".into() };
    let dev = dev_with(make);
    let spec = spec(&["true"], |value| bind_dev(value, dev.path()));
    container.run(&spec, None).expect_err("a forged /dev/null was bound over a masked path").to_string()
}

#[test]
fn masking_with_a_link_for_null_is_refused() {
    let error =
        refused_null(|dev| std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", dev.join("null")).unwrap());
    assert!(error == "skipped" || error.starts_with("mask /proc/meminfo"), "{error}");
}

#[test]
fn masking_with_a_file_for_null_is_refused() {
    let error = refused_null(|dev| std::fs::write(dev.join("null"), "forged").unwrap());
    assert!(error == "skipped" || error.starts_with("mask /proc/meminfo"), "{error}");
}

#[test]
fn masking_with_another_device_for_null_is_refused() {
    let error = refused_null(|dev| {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        mknodat(CWD, dev.join("null"), FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 5)).unwrap();
    });
    assert!(error == "skipped" || error.starts_with("mask /proc/meminfo"), "{error}");
}

fn start_with_terminal(
    container: &Container,
    change: impl FnOnce(&mut serde_json::Value),
) -> Result<(), pyctr_core::Error> {
    let spec = spec(&["true"], |value| {
        value["process"]["terminal"] = true.into();
        value["linux"]["maskedPaths"] = serde_json::json!([]);
        change(value);
    });
    let child = container.start_with(&spec, pyctr_core::process::Stdio::Terminal { size: None }, None)?;
    rustix::process::waitid(
        rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
        rustix::process::WaitIdOptions::EXITED,
    )
    .unwrap();
    Ok(())
}

#[test]
fn terminal_of_a_forged_ptmx_is_refused() {
    let Some(container) = container() else { return };
    let dev = dev_with(|dev| std::fs::write(dev.join("pts/ptmx"), "forged").unwrap());
    let error = start_with_terminal(&container, |value| bind_dev(value, dev.path())).unwrap_err();
    assert!(error.to_string().contains("terminal"), "{error}");
    assert_eq!(std::fs::read(dev.path().join("pts/ptmx")).unwrap(), b"forged");
}

#[test]
fn terminal_of_a_ptmx_that_is_the_hosts_is_refused() {
    let Some(container) = container() else { return };
    // The device of the host's own instance, which would put the container's console among the host's terminals.
    let dev = dev_with(|dev| std::os::unix::fs::symlink("/proc/1/root/dev/pts/ptmx", dev.join("pts/ptmx")).unwrap());
    assert!(start_with_terminal(&container, |value| bind_dev(value, dev.path())).is_err());
}

#[test]
fn terminal_of_a_ptmx_outside_devpts_is_refused() {
    let Some(container) = container() else { return };
    // The kernel opens such a device by the devpts mounted on "pts" beside it: whoever mounts there owns the console.
    let dev = dev_with(|dev| {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        std::fs::create_dir(dev.join("pts/pts")).unwrap();
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dev.join("pts/ptmx"), FileType::CharacterDevice, mode, makedev(5, 2)).unwrap();
    });
    let result = start_with_terminal(&container, |value| {
        bind_dev(value, dev.path());
        let mount = serde_json::json!({"destination": "/dev/pts/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666"]});
        value["mounts"].as_array_mut().unwrap().push(mount);
    });
    assert_eq!(result.unwrap_err().errno, Some(rustix::io::Errno::NOTTY));
}

#[test]
fn console_that_is_a_link_covers_nothing_else() {
    let Some(container) = container() else { return };
    let passwd = container.root.path().join("etc/passwd");
    let before = std::fs::read(&passwd).unwrap();
    let dev = dev_with(|dev| std::os::unix::fs::symlink("/etc/passwd", dev.join("console")).unwrap());
    let result = start_with_terminal(&container, |value| {
        bind_dev(value, dev.path());
        let mount = serde_json::json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666"]});
        value["mounts"].as_array_mut().unwrap().push(mount);
        // A console mounted over /etc/passwd would be no regular file.
        value["process"]["args"] = serde_json::json!(["sh", "-c", "[ -f /etc/passwd ] || touch /etc/covered"]);
    });
    assert_eq!(result.unwrap_err().errno, Some(rustix::io::Errno::LOOP));
    assert!(!container.root.path().join("etc/covered").exists());
    assert_eq!(std::fs::read(&passwd).unwrap(), before);
}

#[test]
fn sysctl_is_written_to_the_kernel_whatever_lies_on_proc() {
    let Some(container) = container() else { return };
    let forged = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(forged.path().join("sys/kernel")).unwrap();
    let file = forged.path().join("sys/kernel/domainname");
    std::fs::write(&file, "forged").unwrap();
    let spec = spec(&["true"], |value| {
        value["linux"]["sysctl"] = serde_json::json!({"kernel.domainname": "written"});
        let mounts = value["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/proc");
        mounts.push(serde_json::json!({
            "destination": "/proc", "type": "bind", "source": forged.path(), "options": ["bind"]}));
    });
    // Refusing a /proc that is no procfs is as good as writing elsewhere.
    let _ = container.run(&spec, None);
    assert_eq!(std::fs::read(&file).unwrap(), b"forged");
}

/// A directory of the host, open in whoever starts a process, as runc leaked one (CVE-2024-21626); a path to it.
fn leaked_directory() -> (std::fs::File, String) {
    let outside = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&outside, rustix::io::FdFlags::empty()).unwrap();
    let path = format!("/proc/self/fd/{}", outside.as_raw_fd());
    (outside, path)
}

#[test]
fn working_directory_that_is_a_descriptor_of_the_host_is_not_made() {
    let Some(container) = container() else { return };
    let (_outside, path) = leaked_directory();
    let spec = spec(&["pwd"], |value| value["process"]["cwd"] = path.into());
    let error = container.run(&spec, None).unwrap_err();
    assert_eq!(error.errno, Some(rustix::io::Errno::LOOP), "{error}");
}

#[test]
fn working_directory_of_exec_that_is_a_descriptor_of_the_host_is_refused() {
    let Some(container) = container() else { return };
    let null: OwnedFd = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap().into();
    let child = container.start(&spec(&["sleep", "100"], |_| {}), &null, None).unwrap();
    let (_outside, path) = leaked_directory();
    let spec = spec(&["pwd"], |value| value["process"]["cwd"] = path.into());
    let result = exec(&Exec {
        container: child.pidfd.as_fd(),
        container_pid: child.pid,
        process: spec.process().as_ref().unwrap(),
        stdio: Stdio::Descriptors([null.as_fd(), null.as_fd(), null.as_fd()]),
        cgroup: None,
        seccomp: SeccompChoice::Unconfined,
        profile: None,
        user: None,
        preserve_fds: 0,
    });
    let pid = child.pid;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    let error = result.unwrap_err();
    assert_eq!(error.errno, Some(rustix::io::Errno::NOENT), "{error}");
}
