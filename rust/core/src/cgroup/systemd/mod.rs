//! The systemd driver: a transient scope for each container, asked for over D-Bus, used only when asked for.
//!
//! A scope must have a process from the start, and the container's does not exist yet: a process that only waits holds the place until
//! the container has joined.

use std::sync::{Mutex, PoisonError};

use oci_spec::runtime::LinuxResources;

use super::path::Unit;
use super::{Cgroup, Hierarchies};
use crate::{Error, Kind, Result};

mod bus;
mod message;
mod properties;
#[cfg(test)]
mod tests;

use bus::Bus;

/// Where systemd says that it is the init (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Whether systemd is the host's init.
pub fn is_running() -> bool {
    rustix::fs::access(BOOTED, rustix::fs::Access::EXISTS).is_ok()
}

/// Refuses the driver by name where it cannot work.
pub(super) fn check(hierarchies: &Hierarchies) -> Result<()> {
    if hierarchies.has_systemd() {
        return Ok(());
    }
    Err(Error::new(
        Kind::State,
        "use the systemd cgroup driver",
        "",
        format!("systemd does not run on this host: no {BOOTED}"),
    )
    .with_hint("use the cgroupfs driver"))
}

/// A container's scope.
#[derive(Debug)]
pub(super) struct Scope {
    name: String,
    slice: String,
    rootless: bool,
    /// Where this systemd's own tree begins: empty for the system's, the user service's group for a user's.
    parent: String,
    placeholder: Mutex<Option<i32>>,
}

impl Scope {
    /// A scope to be started.
    pub(super) fn new(unit: &Unit, rootless: bool) -> Result<Self> {
        let parent = if rootless { Bus::connect(true)?.manager_property("ControlGroup")? } else { String::new() };
        let mut scope = Self::named(&unit.name, &unit.slice, rootless);
        parent.trim_end_matches('/').clone_into(&mut scope.parent);
        Ok(scope)
    }

    /// The scope a directory of an existing container belongs to; None if its name says that it is none.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().filter(|name| name.strip_suffix(".scope").is_some())?;
        Some(Self::named(name, "", !rustix::process::geteuid().is_root()))
    }

    fn named(name: &str, slice: &str, rootless: bool) -> Self {
        Self {
            name: name.to_owned(),
            slice: slice.to_owned(),
            rootless,
            parent: String::new(),
            placeholder: Mutex::new(None),
        }
    }

    /// Where its slice's path begins, below the mount point.
    pub(super) fn parent(&self) -> &str {
        &self.parent
    }

    /// The pid that holds the scope's place.
    pub(super) fn placeholder(&self) -> Option<i32> {
        *self.placeholder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the scope with its limits.
    pub(super) fn start(&self, cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
        let mut bus = Bus::connect(self.rootless)?;
        self.start_on(&mut bus, cgroup.is_unified(), resources)
    }

    fn start_on(&self, bus: &mut Bus, v2: bool, resources: &LinuxResources) -> Result<()> {
        let version = version(bus)?;
        let limits = properties::resources(resources, v2, version, true)?;
        let pid =
            crate::sys::processes::fork_waiting().map_err(|errno| Error::kernel("fork", "a placeholder", errno))?;
        *self.placeholder.lock().unwrap_or_else(PoisonError::into_inner) = Some(pid);
        let mut all = properties::scope(&self.name, &self.slice, pid.cast_unsigned(), v2);
        all.extend(limits);
        let result = bus.start_transient_unit(&self.name, &all);
        if result.is_err() {
            self.release();
        }
        result
    }

    /// Tells systemd of changed limits; the files are written afterwards.
    pub(super) fn update(&self, cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
        let mut bus = Bus::connect(self.rootless)?;
        let version = version(&mut bus)?;
        let properties = properties::resources(resources, cgroup.is_unified(), version, false)?;
        if properties.is_empty() { Ok(()) } else { bus.set_unit_properties(&self.name, &properties) }
    }

    /// Ends the placeholder.
    pub(super) fn release(&self) {
        let pid = self.placeholder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pid) = pid {
            // Ours, not yet waited for: the number is still its own. Nobody else waits for it.
            let _ = crate::sys::processes::kill(pid, libc::SIGKILL);
            let _ =
                rustix::process::waitpid(rustix::process::Pid::from_raw(pid), rustix::process::WaitOptions::empty());
        }
    }

    /// Stops the scope; systemd then removes its directories.
    pub(super) fn stop(&self) -> Result<()> {
        self.release();
        Bus::connect(self.rootless)?.stop_unit(&self.name)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.release();
    }
}

fn version(bus: &mut Bus) -> Result<u32> {
    let text = bus.manager_property("Version")?;
    bus::parse_version(&text).ok_or_else(|| Error::new(Kind::Corrupt, "read systemd's version", &text, "not a number"))
}
