//! What the kernel says of a container's first process.

use std::os::fd::{AsFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType;
use pyctr_core::Result;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroups;
use crate::container::{Directory, State, Status};
use crate::sys;

/// Field 22 of /proc/PID/stat, in clock ticks since boot; None if there is no such process or only its zombie is left.
pub fn start_time(pid: i32) -> Option<u64> {
    let path = format!("/proc/{pid}/stat");
    let file =
        rustix::fs::open(path, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty());
    let mut buffer = [0; 1024];
    let count = rustix::io::read(file.ok()?, &mut buffer).ok()?;
    parse_stat(&buffer[..count])
}

/// The second field is the command's name in parentheses and may hold anything, parentheses and blanks included.
fn parse_stat(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A descriptor of the container's first process, if it lives and is the very one that was stored.
pub fn open(state: &State) -> Option<OwnedFd> {
    let pid = Pid::from_raw(state.pid)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // After the descriptor is open, a matching start time says that it is that process's.
    (start_time(state.pid)? == state.pyctr.pid_start).then_some(pidfd)
}

/// The container's status.
pub fn status(directory: &Directory, state: &State) -> Result<Status> {
    if state.pid == 0 {
        return Ok(if directory.try_lock()? { Status::Stopped } else { Status::Creating });
    }
    if open(state).is_none() {
        return Ok(Status::Stopped);
    }
    if cgroups::is_frozen(state) {
        return Ok(Status::Paused);
    }
    Ok(if directory.has_gate() { Status::Created } else { Status::Running })
}

/// The specification's word for a namespace type.
pub fn namespace_word(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mount",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "network",
        LinuxNamespaceType::Time => "time",
    }
}

/// Sends a signal to the container's first process; false if it is gone.
pub fn signal(state: &State, signal: i32) -> std::result::Result<bool, rustix::io::Errno> {
    let Some(pidfd) = open(state) else { return Ok(false) };
    match sys::pidfd_send_signal(pidfd.as_fd(), signal) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_parse_stat_name_with_parentheses_does_not_confuse() {
        let stat = b"12 (a) R 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        assert_eq!(parse_stat(stat), Some(4242));
        assert_eq!(parse_stat(b"12 (a) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242"), None);
        for broken in [&b""[..], b"12", b"12 (a)", b"12 (a) S 1", b"\xff) S"] {
            assert_eq!(parse_stat(broken), None);
        }
    }

    #[test]
    fn test_start_time_of_this_process_is_known() {
        assert!(start_time(std::process::id().cast_signed()).unwrap() > 0);
        assert_eq!(start_time(i32::MAX), None);
    }
}
