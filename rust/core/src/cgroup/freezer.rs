//! The freezer, v1 and v2.

use std::time::Duration;

use super::setting::{read_file, write_file};
use super::{Cgroup, Group};
use crate::{Error, Kind, Result};

/// v1 may need to be told again: a task that forks while it is being frozen keeps the group FREEZING
/// (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst).
const ATTEMPTS: u32 = 1000;

impl Cgroup {
    /// Stops every process. If that does not come about they are running again afterwards.
    pub fn freeze(&self) -> Result<()> {
        if let Some(group) = self.with_controller("freezer") {
            return freeze_v1(group);
        }
        let group = self.v2.as_ref().ok_or_else(|| no_freezer("pause"))?;
        write_file(&group.directory, "cgroup.freeze", b"1")
            .map_err(|errno| Error::kernel("freeze", &group.path, errno))?;
        for _ in 0..ATTEMPTS {
            if self.is_frozen()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.thaw();
        Err(Error::new(Kind::State, "freeze", &group.path, "processes do not stop"))
    }

    /// Lets every process go on.
    pub fn thaw(&self) -> Result<()> {
        let (group, file, value) = match (self.with_controller("freezer"), &self.v2) {
            (Some(group), _) => (group, "freezer.state", &b"THAWED"[..]),
            (None, Some(group)) => (group, "cgroup.freeze", &b"0"[..]),
            (None, None) => return Err(no_freezer("resume")),
        };
        write_file(&group.directory, file, value).map_err(|errno| Error::kernel("thaw", &group.path, errno))
    }

    /// Whether the processes are stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        if let Some(group) = self.with_controller("freezer") {
            let state = read_file(&group.directory, "freezer.state");
            return state
                .map(|state| state.trim() != "THAWED")
                .map_err(|errno| Error::kernel("read freezer.state of", &group.path, errno));
        }
        let Some(group) = &self.v2 else { return Ok(false) };
        let events = read_file(&group.directory, "cgroup.events")
            .map_err(|errno| Error::kernel("read cgroup.events of", &group.path, errno))?;
        Ok(events.lines().any(|line| line == "frozen 1"))
    }
}

fn freeze_v1(group: &Group) -> Result<()> {
    let fail = |errno| Error::kernel("freeze", &group.path, errno);
    for attempt in 0..ATTEMPTS {
        // Now and then a thaw in between lets a stuck group get unstuck.
        if attempt % 50 == 49 {
            write_file(&group.directory, "freezer.state", b"THAWED").map_err(fail)?;
            std::thread::sleep(Duration::from_micros(10));
        }
        write_file(&group.directory, "freezer.state", b"FROZEN").map_err(fail)?;
        if read_file(&group.directory, "freezer.state").map_err(fail)?.trim() == "FROZEN" {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(if attempt < 10 { 10 } else { 1000 }));
    }
    let _ = write_file(&group.directory, "freezer.state", b"THAWED");
    Err(Error::new(Kind::State, "freeze", &group.path, "processes do not stop"))
}

fn no_freezer(operation: &str) -> Error {
    Error::invalid(operation, "", "this host has no freezer controller")
}
