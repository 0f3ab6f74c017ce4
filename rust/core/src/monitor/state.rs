//! `state.json`: what the monitor says of its container (docs/design.md, "On disk").

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use serde::Serialize;

use crate::{Error, Result};

/// The container's state, as other commands read it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct State {
    /// Format of this file.
    pub version: u32,
    /// created, running, restarting or exited.
    pub status: &'static str,
    /// Its first process; 0 when there is none.
    pub pid: i32,
    /// When that process began, in clock ticks since boot: with the pid it names one process for ever.
    pub pid_start: u64,
    /// This process.
    pub monitor_pid: u32,
    /// Exit code.
    pub exit_code: i32,
    /// Why it did not start.
    pub error: String,
    /// The kernel killed for lack of memory.
    pub oom_killed: bool,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    pub finished_at: String,
    /// Restarts by policy so far.
    pub restart_count: u32,
    /// A user stopped it (`unless-stopped` asks).
    pub stopped_by_user: bool,
    /// Its cgroup directories.
    pub cgroup_paths: std::collections::BTreeMap<String, std::path::PathBuf>,
}

impl State {
    /// Writes the file in one rename; `durable` makes it survive a power cut.
    pub fn write(&self, directory: &OwnedFd, durable: bool) -> Result<()> {
        let fail = |errno| Error::kernel("write", "state.json", errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(directory, ".state.json", flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        rustix::io::write(&file, &bytes).map_err(fail)?;
        if durable {
            rustix::fs::fsync(&file).map_err(fail)?;
        }
        rustix::fs::renameat(directory, ".state.json", directory, "state.json").map_err(fail)?;
        if durable {
            let _ = rustix::fs::fsync(directory.as_fd());
        }
        Ok(())
    }
}

/// When a process began (proc_pid_stat(5), field 22), clock ticks since boot.
pub fn start_ticks(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; fields are counted behind the last one.
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).and_then(|word| word.parse().ok()).unwrap_or(0)
}
