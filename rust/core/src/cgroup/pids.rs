//! The pids controller.

use oci_spec::runtime::LinuxPids;

use super::Setting;

/// The file, the same on v1 and v2; 0 means nothing was asked for, below 0 no limit.
pub fn settings(pids: LinuxPids) -> Vec<Setting> {
    match pids.limit() {
        0 => Vec::new(),
        limit if limit < 0 => vec![Setting::new("pids.max", "max")],
        limit => vec![Setting::new("pids.max", limit)],
    }
}
