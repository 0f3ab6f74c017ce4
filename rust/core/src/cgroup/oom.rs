//! Out of memory: how often the kernel killed, and being told when it does.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::file;
use super::hierarchy::Version;
use crate::{Error, Result};

/// A descriptor that becomes readable when memory ran out: an eventfd on v1, an inotify on v2. It does not keep the group.
///
/// v1 signals it once more when the group is removed, v2 at other memory events too: ask [`super::Cgroup::oom_kills`] what happened.
#[derive(Debug)]
pub struct OomWatch {
    /// Watch this with epoll.
    pub descriptor: OwnedFd,
}

impl OomWatch {
    pub(super) fn new(version: Version, directory: &str) -> Result<Self> {
        let fail = |errno| Error::kernel("watch memory of", directory, errno);
        let descriptor = match version {
            Version::V1 => watch_v1(directory),
            Version::V2 => watch_v2(directory),
        };
        Ok(Self { descriptor: descriptor.map_err(fail)? })
    }

    /// Takes the notice, so that the descriptor becomes readable at the next one only; says whether there was one.
    pub fn take(&self) -> Result<bool> {
        let mut buffer = [0_u8; 4096];
        match rustix::io::read(&self.descriptor, &mut buffer) {
            Ok(count) => Ok(count > 0),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(Error::kernel("read", "memory events", errno)),
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Kernel documentation, admin-guide/cgroup-v1/memory, section 10. The control file may be closed once registered.
fn watch_v1(directory: &str) -> rustix::io::Result<OwnedFd> {
    let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let path = format!("{directory}/memory.oom_control");
    let control = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    file::write(&format!("{directory}/cgroup.event_control"), &line)?;
    Ok(event)
}

/// cgroup-v2 says a file modified event is generated for `memory.events`.
fn watch_v2(directory: &str) -> rustix::io::Result<OwnedFd> {
    let inotify = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    rustix::fs::inotify::add_watch(&inotify, format!("{directory}/memory.events"), WatchFlags::MODIFY)?;
    Ok(inotify)
}

/// How often the kernel killed; None where it does not count (v1 before Linux 4.13).
pub(super) fn kills(version: Version, directory: &str) -> Result<Option<u64>> {
    let name = match version {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    Ok(file::read_optional(&format!("{directory}/{name}"))?.and_then(|text| file::keyed_number(&text, "oom_kill")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_kills_of_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert_eq!(kills(Version::V1, path).unwrap(), None);
        std::fs::write(dir.path().join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n").unwrap();
        std::fs::write(dir.path().join("memory.events"), "oom 1\noom_kill 3\n").unwrap();
        assert_eq!(kills(Version::V1, path).unwrap(), Some(2));
        assert_eq!(kills(Version::V2, path).unwrap(), Some(3));
    }

    #[test]
    fn test_watch_v2_tells_of_a_change_once() {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("memory.events");
        std::fs::write(&events, "oom_kill 0\n").unwrap();
        let watch = OomWatch::new(Version::V2, dir.path().to_str().unwrap()).unwrap();
        assert!(!watch.take().unwrap());
        std::fs::write(&events, "oom_kill 1\n").unwrap();
        assert!(watch.take().unwrap());
        assert!(!watch.take().unwrap());
    }
}
