//! Whether the kernel killed for lack of memory.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::fs::{Mode, OFlags};

use super::Cgroup;
use super::setting::{read_file, write_file};
use crate::{Error, Result};

/// A descriptor that becomes readable when memory runs out (v1), or when memory.events changes (v2).
#[derive(Debug)]
pub struct OomWatch {
    /// Watch this with epoll.
    pub descriptor: OwnedFd,
    _control: Option<OwnedFd>,
}

impl Cgroup {
    /// How often the kernel killed a process of the group for lack of memory; None where it does not count.
    pub fn oom_kills(&self) -> Option<u64> {
        let (group, file) = match (self.with_controller("memory"), &self.v2) {
            (Some(group), _) => (group, "memory.oom_control"),
            (None, Some(group)) => (group, "memory.events"),
            (None, None) => return None,
        };
        let text = read_file(&group.directory, file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// Watches for out-of-memory events.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        if let Some(group) = self.with_controller("memory") {
            let fail = |errno| Error::kernel("watch memory of", &group.path, errno);
            let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(fail)?;
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let control =
                rustix::fs::openat(&group.directory, "memory.oom_control", flags, Mode::empty()).map_err(fail)?;
            let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
            write_file(&group.directory, "cgroup.event_control", line.as_bytes()).map_err(fail)?;
            return Ok(OomWatch { descriptor: event, _control: Some(control) });
        }
        let group =
            self.v2.as_ref().ok_or_else(|| Error::invalid("watch memory", "", "this host has no memory controller"))?;
        let fail = |errno| Error::kernel("watch memory of", &group.path, errno);
        let flags = rustix::fs::inotify::CreateFlags::CLOEXEC | rustix::fs::inotify::CreateFlags::NONBLOCK;
        let inotify = rustix::fs::inotify::init(flags).map_err(fail)?;
        let file = group.path.join("memory.events");
        rustix::fs::inotify::add_watch(&inotify, &file, rustix::fs::inotify::WatchFlags::MODIFY).map_err(fail)?;
        Ok(OomWatch { descriptor: inotify, _control: None })
    }
}
