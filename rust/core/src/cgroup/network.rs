//! The net_cls and net_prio controllers (v1 only).

use oci_spec::runtime::LinuxNetwork;

use super::Setting;

/// net_cls files.
pub fn classes(network: &LinuxNetwork) -> Vec<Setting> {
    network.class_id().map(|id| Setting::new("net_cls.classid", id)).into_iter().collect()
}

/// net_prio files.
pub fn priorities(network: &LinuxNetwork) -> Vec<Setting> {
    network
        .priorities()
        .iter()
        .flatten()
        .map(|entry| Setting::new("net_prio.ifpriomap", format!("{} {}", entry.name(), entry.priority())))
        .collect()
}
