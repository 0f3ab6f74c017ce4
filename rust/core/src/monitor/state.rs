//! `state.json`: what the monitor says of its container (docs/design.md, "On disk").

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const FILE: &str = "state.json";
const TEMPORARY: &str = ".state.json";

/// What of an earlier life is kept.
#[derive(Debug, Deserialize)]
struct Earlier {
    #[serde(default)]
    finished_at: String,
}

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
    /// What could not be logged: bytes of a file, messages of syslog.
    pub log_lost: u64,
    /// A user stopped it (`unless-stopped` asks).
    pub stopped_by_user: bool,
    /// What its health checks say, in the form of Docker's API; null without one.
    pub health: Option<super::health::Health>,
    /// Its cgroup directories.
    pub cgroup_paths: std::collections::BTreeMap<String, std::path::PathBuf>,
}

impl State {
    /// The state of a container about to start. When it last ended stays known.
    pub fn new(directory: &OwnedFd) -> Self {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let finished_at = rustix::fs::openat(directory, FILE, flags, Mode::empty())
            .ok()
            .and_then(|file| serde_json::from_reader::<_, Earlier>(std::fs::File::from(file)).ok())
            .map(|earlier| earlier.finished_at);
        Self {
            version: super::config::VERSION,
            monitor_pid: std::process::id(),
            finished_at: finished_at.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Writes the file in one rename: who reads it sees the old state or the new one.
    pub fn write(&self, directory: &OwnedFd) -> Result<()> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let written = match replace(directory, &bytes) {
            Err(Errno::NOSPC | Errno::DQUOT) => overwrite(directory, bytes),
            done => done,
        };
        written.map_err(|errno| Error::kernel("write", FILE, errno))
    }
}

fn write_whole(file: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<()> {
    let written = rustix::io::write(file, bytes)?;
    if written < bytes.len() { Err(Errno::NOSPC) } else { Ok(()) } // a regular file takes less for no other reason
}

fn replace(directory: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, TEMPORARY, flags, Mode::from_raw_mode(0o600))?;
    write_whole(&file, bytes)?;
    rustix::fs::renameat(directory, TEMPORARY, directory, FILE)
}

/// On a full disk: the block the old state has is room enough for the new one, so an exit status is not lost for want of another.
/// What is longer than the new state becomes white space, which JSON may end with.
fn overwrite(directory: &OwnedFd, mut bytes: Vec<u8>) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(directory, FILE, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    let before = usize::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
    bytes.resize(bytes.len().max(before), b' ');
    write_whole(&file, &bytes)
}

/// Makes the last state survive a power cut: slow, so not done before anybody is told of it.
pub fn sync(directory: &OwnedFd) -> Result<()> {
    let fail = |errno| Error::kernel("sync", FILE, errno);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, FILE, flags, Mode::empty()).map_err(fail)?;
    rustix::fs::fsync(&file).and_then(|()| rustix::fs::fsync(directory)).map_err(fail)
}

/// When a process began (proc_pid_stat(5), field 22), clock ticks since boot.
pub fn start_ticks(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may hold anything; fields are counted behind the last one.
    let after = text.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().nth(19).and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn open(dir: &tempfile::TempDir) -> OwnedFd {
        rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn test_write_state_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let directory = open(&dir);
        let mut state = State { status: "running", pid: 7, ..State::new(&directory) };
        state.write(&directory).unwrap();
        (state.status, state.finished_at) = ("exited", "2026-01-02T03:04:05Z".to_owned());
        state.write(&directory).unwrap();
        sync(&directory).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["status"], &value["version"]), (&"exited".into(), &1.into()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(State::new(&directory).finished_at, "2026-01-02T03:04:05Z");
    }

    #[test]
    fn test_start_ticks_own_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_ticks(own) > 0);
        assert_eq!(start_ticks(-1), 0);
    }
}
