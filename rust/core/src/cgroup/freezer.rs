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
    freeze_within(version, directory, PATIENCE)
}

fn freeze_within(version: Version, directory: &str, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    let result = match version {
        Version::V1 => freeze_v1(&State { path: format!("{directory}/freezer.state") }, deadline),
        Version::V2 => freeze_v2(directory, deadline),
    };
    let result = result.and_then(|frozen| if frozen { Ok(()) } else { Err(stuck(directory, patience)) });
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

/// A v1 group's `freezer.state`.
trait FreezerState {
    fn read(&self) -> Result<String>;
    fn write(&self, state: &str) -> Result<()>;
}

struct State {
    path: String,
}

impl FreezerState for State {
    fn read(&self) -> Result<String> {
        file::read(&self.path).map_err(|errno| Error::kernel("read", &self.path, errno))
    }

    fn write(&self, state: &str) -> Result<()> {
        file::write(&self.path, state).map_err(|errno| Error::kernel(format!("write {state} to"), &self.path, errno))
    }
}

/// A task that forks while the group is FREEZING can keep it there (the v1 freezer's old documentation says: retry or thaw). As runc found
/// out, writing again helps, and an occasional thaw and pause helps more. False: it did not freeze in time.
fn freeze_v1(file: &impl FreezerState, deadline: Instant) -> Result<bool> {
    for attempt in 1_u32.. {
        if attempt % 50 == 0 {
            file.write("THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        }
        file.write("FROZEN")?;
        if attempt > 10 {
            std::thread::sleep(Duration::from_micros(if attempt % 25 == 0 { 1000 } else { 50 }));
        }
        match file.read()?.trim() {
            "FROZEN" => return Ok(true),
            "FREEZING" if Instant::now() < deadline => {}
            "FREEZING" => break,
            state => {
                let reason = format!("the state became {state}");
                return Err(Error::new(Kind::State, "freeze control group", "", reason));
            }
        }
    }
    Ok(false)
}

fn freeze_v2(directory: &str, deadline: Instant) -> Result<bool> {
    let path = format!("{directory}/cgroup.freeze");
    file::write(&path, "1").map_err(|errno| Error::kernel("freeze control group by", &path, errno))?;
    let path = format!("{directory}/cgroup.events");
    let fail = |errno| Error::kernel("read", &path, errno);
    loop {
        // Opened anew each time: poll(2) reports changes since the file was read.
        let events = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
        if file::keyed_number(&file::read_open(&events).map_err(fail)?, "frozen") == Some(1) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec::try_from(left).ok();
        let mut polled = [PollFd::new(&events, PollFlags::PRI)];
        match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
}

fn stuck(directory: &str, patience: Duration) -> Error {
    let reason = format!("processes still run after {} s", patience.as_secs());
    Error::new(Kind::State, "freeze control group", directory, reason)
        .with_hint("a process in an uninterruptible sleep cannot be frozen")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::RefCell;

    use super::*;

    /// Freezes at the given attempt, and notes what is written.
    struct Stubborn {
        at: usize,
        written: RefCell<Vec<String>>,
    }

    impl FreezerState for Stubborn {
        fn read(&self) -> Result<String> {
            let attempts = self.written.borrow().iter().filter(|state| *state == "FROZEN").count();
            Ok(if attempts >= self.at { "FROZEN\n" } else { "FREEZING\n" }.to_owned())
        }

        fn write(&self, state: &str) -> Result<()> {
            self.written.borrow_mut().push(state.to_owned());
            Ok(())
        }
    }

    #[test]
    fn test_freeze_v1_of_a_stubborn_group_is_tried_again_with_thaws_between() {
        let file = Stubborn { at: 120, written: RefCell::default() };
        assert!(freeze_v1(&file, Instant::now() + Duration::from_secs(60)).unwrap());
        let written = file.written.borrow();
        assert_eq!(written.iter().filter(|state| *state == "FROZEN").count(), 120);
        assert_eq!(written.iter().filter(|state| *state == "THAWED").count(), 2);
    }

    #[test]
    fn test_freeze_v1_past_its_time_gives_up() {
        let file = Stubborn { at: usize::MAX, written: RefCell::default() };
        assert!(!freeze_v1(&file, Instant::now()).unwrap());
    }

    #[test]
    fn test_is_frozen_v1_follows_the_state_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("freezer.state")).unwrap();
        assert!(freeze(Version::V1, dir.path().to_str().unwrap()).is_err());
        std::fs::remove_dir(dir.path().join("freezer.state")).unwrap();
        std::fs::write(dir.path().join("freezer.state"), "FROZEN").unwrap();
        assert!(is_frozen(Version::V1, dir.path().to_str().unwrap()).unwrap());
        thaw(Version::V1, dir.path().to_str().unwrap()).unwrap();
        assert!(!is_frozen(Version::V1, dir.path().to_str().unwrap()).unwrap());
    }

    #[test]
    fn test_freeze_v2_that_never_comes_about_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("cgroup.freeze"), "0").unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        let error = freeze_within(Version::V2, path, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind, Kind::State);
        assert_eq!(std::fs::read_to_string(dir.path().join("cgroup.freeze")).unwrap(), "0");
        assert!(!is_frozen(Version::V2, path).unwrap());
    }
}
