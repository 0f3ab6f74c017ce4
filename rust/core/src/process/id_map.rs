//! User and group id maps (user_namespaces(7)).

use std::os::fd::OwnedFd;
use std::process::Command;

use oci_spec::runtime::LinuxIdMapping;
use rustix::process::Pid;

use crate::sys::clone;
use crate::{Error, Result};

/// Writes the maps of a process's new user namespace.
///
/// As root directly; as another user with one id, directly with setgroups denied; with more, by newuidmap and newgidmap.
pub fn write(pid: Pid, uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<()> {
    let pid = pid.as_raw_nonzero().get();
    if rustix::process::geteuid().is_root() {
        write_file(pid, "uid_map", &render(uids))?;
        return write_file(pid, "gid_map", &render(gids));
    }
    if only_own(uids, rustix::process::geteuid().as_raw()) && only_own(gids, rustix::process::getegid().as_raw()) {
        write_file(pid, "setgroups", "deny")?;
        write_file(pid, "uid_map", &render(uids))?;
        return write_file(pid, "gid_map", &render(gids));
    }
    run_helper("newuidmap", pid, uids)?;
    run_helper("newgidmap", pid, gids)
}

/// Whether setgroups(2) stays allowed with these maps.
pub fn allows_setgroups(gids: &[LinuxIdMapping]) -> bool {
    rustix::process::geteuid().is_root() || !only_own(gids, rustix::process::getegid().as_raw())
}

/// Whether this process may call setgroups(2): a user without subordinate ids may not.
pub fn may_set_groups() -> bool {
    !crate::rootless::is_active() || setgroups_allowed("self")
}

/// Whether a process of procfs may call it.
pub fn setgroups_allowed(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/setgroups")).is_ok_and(|word| word.trim() == "allow")
}

fn only_own(mappings: &[LinuxIdMapping], own: u32) -> bool {
    matches!(mappings, [one] if one.size() == 1 && one.host_id() == own)
}

fn render(mappings: &[LinuxIdMapping]) -> String {
    let lines: Vec<String> =
        mappings.iter().map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size())).collect();
    lines.concat()
}

fn write_file(pid: i32, name: &str, content: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::write(&path, content).map_err(|error| Error::io("write", path, &error))
}

fn run_helper(program: &str, pid: i32, mappings: &[LinuxIdMapping]) -> Result<()> {
    let numbers = mappings.iter().flat_map(|map| [map.container_id(), map.host_id(), map.size()]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .map_err(|error| Error::io("run", program, &error).with_hint("install the package uidmap"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::invalid("map ids with", program, said).with_hint("see /etc/subuid and /etc/subgid"))
}

/// A user namespace that exists only to carry maps, for an id-mapped mount (mount_setattr(2)).
pub fn namespace_with(uids: &[LinuxIdMapping], gids: &[LinuxIdMapping]) -> Result<OwnedFd> {
    let made = namespaces_with(0, uids, gids, &["user"])?;
    made.into_iter().next().ok_or_else(|| Error::kernel("make", "a user namespace", rustix::io::Errno::NOENT))
}

/// A user namespace with these maps and, for it, those of `flags` (clone(2)); each as its file of /proc/PID/ns is `named`. No
/// process stays in them.
pub fn namespaces_with(
    flags: u64,
    uids: &[LinuxIdMapping],
    gids: &[LinuxIdMapping],
    named: &[&str],
) -> Result<Vec<OwnedFd>> {
    let fail = |errno| Error::kernel("make", "a user namespace for id maps", errno);
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(fail)?;
    let nothing = crate::sys::memory_file::sealed(c"pyctr-none", b"", false).map_err(fail)?;
    // The child waits for a go that never comes; it ends when our end of the socket closes.
    let cloned = clone::clone_init(&clone::InitClone {
        namespaces: flags | u64::from(crate::plan::namespace::NEWUSER),
        cgroup: None,
        executable: std::os::fd::AsFd::as_fd(&nothing),
        args: &[],
        inherit: &[],
        wait: Some(std::os::fd::AsFd::as_fd(&theirs)),
        separate_memory: true,
    })
    .map_err(fail)?;
    let open = |name: &&str| {
        let path = format!("/proc/{}/ns/{name}", cloned.pid.as_raw_nonzero());
        std::fs::File::open(&path).map(OwnedFd::from).map_err(|error| Error::io("open", path, &error))
    };
    let result = write(cloned.pid, uids, gids).and_then(|()| named.iter().map(open).collect());
    drop((ours, theirs));
    let _ = rustix::process::pidfd_send_signal(&cloned.pidfd, rustix::process::Signal::KILL);
    let _ = rustix::process::waitid(
        rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&cloned.pidfd)),
        rustix::process::WaitIdOptions::EXITED,
    );
    result
}
