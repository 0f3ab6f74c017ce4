//! The freezer: v1's controller and v2's `cgroup.freeze`.
//!
//! Whatever goes wrong on the way to frozen, the group is thawed: a container must not stay stuck between.

use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};

use super::controller::{Asked, Controller, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::Stats;
use crate::{Error, Kind, Result};

#[derive(Debug)]
pub(super) struct Freezer;

impl Controller for Freezer {
    fn name(&self, _version: Version) -> &'static str {
        "freezer"
    }

    fn is_core_of_v2(&self) -> bool {
        true
    }

    fn asked(&self, _resources: &LinuxResources) -> Asked {
        Asked::Nothing
    }

    fn plan(&self, _target: Target<'_>, _resources: &LinuxResources) -> Result<Vec<Write>> {
        Ok(Vec::new())
    }

    fn stats(&self, _version: Version, _directory: &str, _stats: &mut Stats) -> Result<()> {
        Ok(())
    }
}

/// How long a group may take to freeze. A process in an uninterruptible sleep (NFS) takes as long as it likes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops every process of a group.
pub(super) fn freeze(version: Version, directory: &str) -> Result<()> {
    let result = match version {
        Version::V1 => freeze_v1(directory, Instant::now() + PATIENCE),
        Version::V2 => freeze_v2(directory, Instant::now() + PATIENCE),
    };
    if result.is_err() {
        let _ = thaw(version, directory); // the first error is the one to tell
    }
    result
}

/// Lets every process of a group go on.
pub(super) fn thaw(version: Version, directory: &str) -> Result<()> {
    let (name, value) = match version {
        Version::V1 => ("freezer.state", "THAWED"),
        Version::V2 => ("cgroup.freeze", "0"),
    };
    let path = format!("{directory}/{name}");
    file::write(&path, value).map_err(|errno| Error::kernel("thaw control group by", &path, errno))
}

/// Whether a group was told to freeze and has.
pub(super) fn is_frozen(version: Version, directory: &str) -> Result<bool> {
    match version {
        // FREEZING is a pause that is under way; a group frozen by its parent alone counts as well, its processes do stand still.
        Version::V1 => {
            Ok(file::read_optional(&format!("{directory}/freezer.state"))?
                .is_some_and(|state| state.trim() != "THAWED"))
        }
        Version::V2 => Ok(file::read_optional(&format!("{directory}/cgroup.events"))?
            .is_some_and(|events| file::keyed_number(&events, "frozen") == Some(1))),
    }
}

/// A task that forks while the group is FREEZING can keep it there (the v1 freezer's old documentation says: retry or thaw). As runc found
/// out, writing again helps, and an occasional thaw and pause helps more.
fn freeze_v1(directory: &str, deadline: Instant) -> Result<()> {
    let path = format!("{directory}/freezer.state");
    let fail = |errno| Error::kernel("freeze control group by", &path, errno);
    for attempt in 1_u32.. {
        if attempt % 50 == 0 {
            file::write(&path, "THAWED").map_err(fail)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        file::write(&path, "FROZEN").map_err(fail)?;
        if attempt % 25 == 0 {
            std::thread::sleep(Duration::from_micros(10));
        }
        match file::read(&path).map_err(fail)?.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" if Instant::now() < deadline => {}
            "FREEZING" => break,
            state => {
                return Err(Error::new(Kind::State, "freeze control group by", &path, format!("state became {state}")));
            }
        }
    }
    Err(stuck(directory))
}

fn freeze_v2(directory: &str, deadline: Instant) -> Result<()> {
    let path = format!("{directory}/cgroup.freeze");
    file::write(&path, "1").map_err(|errno| Error::kernel("freeze control group by", &path, errno))?;
    let path = format!("{directory}/cgroup.events");
    let fail = |errno| Error::kernel("read", &path, errno);
    loop {
        // Opened anew each time: poll(2) reports changes since the file was read.
        let events = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
        if file::keyed_number(&file::read_open(&events).map_err(fail)?, "frozen") == Some(1) {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(stuck(directory));
        }
        let timeout = Timespec::try_from(left).ok();
        let mut polled = [PollFd::new(&events, PollFlags::PRI)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
}

fn stuck(directory: &str) -> Error {
    let reason = format!("processes still run after {} s", PATIENCE.as_secs());
    Error::new(Kind::State, "freeze control group", directory, reason)
        .with_hint("a process in an uninterruptible sleep cannot be frozen")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_freeze_v1_of_a_stuck_group_thaws_it_and_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("freezer.state"), "").unwrap();
        // A plain file keeps what was written: no state the kernel would answer after a write of FROZEN but that one, so a
        // deadline already past is tried with a state in between.
        assert!(freeze_v1(path, Instant::now()).is_ok());
        assert!(is_frozen(Version::V1, path).unwrap());
        thaw(Version::V1, path).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("freezer.state")).unwrap(), "THAWED");
    }

    #[test]
    fn test_freeze_v2_that_never_comes_about_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("cgroup.freeze"), "0").unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        let error = freeze_v2(path, Instant::now()).unwrap_err();
        assert_eq!(error.kind, Kind::State);
        thaw(Version::V2, path).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("cgroup.freeze")).unwrap(), "0");
        assert!(!is_frozen(Version::V2, path).unwrap());
    }
}
