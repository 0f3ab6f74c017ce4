//! The systemd driver: refused by name until it exists.

use oci_spec::runtime::LinuxResources;

use crate::{Error, Result};

/// Where systemd says that it is the init (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";

/// Asks systemd for a transient scope. Nothing here speaks D-Bus yet, so every request is refused, with the reason.
pub fn start_scope(path: &str, _resources: &LinuxResources) -> Result<String> {
    let reason = if std::path::Path::new(BOOTED).is_dir() {
        "the systemd cgroup driver is not supported yet"
    } else {
        "systemd does not run on this host"
    };
    Err(Error::invalid("make a systemd scope for", path, reason).with_hint("use the cgroupfs driver"))
}
