//! `RUN_ROOT/networks`: what is up, as files (docs/networks.md, "On disk").

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::netlink::Kernel;
use super::request::{Endpoint, Protocol, Virtual, check_id};
use super::{network, vip};
use crate::files::write_atomic;
use crate::{Error, Kind, Result};

/// Format of endpoint files.
pub const VERSION: u32 = 1;

/// An endpoint that is up, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Format.
    pub version: u32,
    /// The container's id.
    pub container: String,
    /// The endpoint's.
    pub endpoint: String,
    /// What it answers to.
    pub names: Vec<String>,
    /// Addresses.
    pub ipv4: Option<IpAddr>,
    /// The same.
    pub ipv6: Option<IpAddr>,
    /// Hardware address.
    pub mac: String,
    /// The link inside.
    pub interface: String,
    /// Its other end on the host; empty where there is none.
    #[serde(default)]
    pub link: String,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
    /// The virtual address it is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip: Option<Virtual>,
    /// Whether that leads here now: not before its health check says so.
    #[serde(default = "yes", skip_serializing_if = "is_so")]
    pub serving: bool,
}

const fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_so(value: &bool) -> bool {
    *value
}

/// A port of the host that leads to the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Which.
    pub protocol: Protocol,
    /// Address on the host; unspecified: all of its family.
    pub host_ip: IpAddr,
    /// Port there.
    pub host_port: u16,
    /// Port inside.
    pub container_port: u16,
}

impl Published {
    /// An endpoint's file.
    pub fn new(container: &str, endpoint: &Endpoint, link: String, ports: Vec<PublishedPort>) -> Self {
        Self {
            version: VERSION,
            container: container.to_owned(),
            endpoint: endpoint.endpoint.clone(),
            names: endpoint.names.clone(),
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            mac: endpoint.mac.clone(),
            interface: endpoint.interface.clone(),
            link,
            ports,
            vip: endpoint.vip.clone(),
            serving: true,
        }
    }

    /// Puts it in place.
    pub fn write(&self, home: &Path) -> Result<()> {
        write_json(&path(home, &self.container), self)
    }
}

/// Where an endpoint's file is.
pub fn path(home: &Path, container: &str) -> PathBuf {
    home.join("endpoints").join(container)
}

/// Writes a file whole or not at all.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let bytes =
        serde_json::to_vec(value).map_err(|error| Error::new(Kind::Corrupt, "write", path, error.to_string()))?;
    write_atomic(path, &bytes, 0o644, false)
}

/// Reads a file that somebody may have taken away; one that is damaged counts as missing.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The directories of all networks.
pub fn directories(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| check_id(name).is_ok()))
}

/// The endpoints that are up on a network.
pub fn published(home: &Path) -> impl Iterator<Item = Published> {
    let entries = std::fs::read_dir(home.join("endpoints")).into_iter().flatten().flatten();
    let is_whole = |entry: &std::fs::DirEntry| !entry.file_name().as_encoded_bytes().starts_with(b".");
    entries.filter(is_whole).filter_map(|entry| read_json(&entry.path()))
}

/// Gives a lease back, if it is still this container's.
pub fn free(home: &Path, container: &str, address: IpAddr) {
    let lease = home.join("addresses").join(address.to_string());
    if std::fs::read(&lease).is_ok_and(|owner| owner == container.as_bytes()) {
        let _ = std::fs::remove_file(lease);
    }
}

/// Takes away what a container has on a network, leases aside: ports, then its names, so that nobody is led to an address that
/// is somebody else's by then. What was there.
pub fn withdraw(kernel: &Kernel, home: &Path, table: &str, container: &str) -> Option<Published> {
    let published = read_json::<Published>(&path(home, container))?;
    network::remove_ports(kernel, table, &published);
    vip::withdraw(kernel, home, table, &published);
    Some(published)
}

/// Takes away all that a container has on any network, leases too; networks that are temporary and now unused go.
///
/// For a container whose lock the caller holds: its monitor at its end, or who cleans up after one that was killed.
pub fn release(directory: &Path, table: &str, container: &str) -> Result<()> {
    check_id(container)?;
    let kernel = Kernel::default();
    let mut result = Ok(());
    for home in directories(directory) {
        if let Some(published) = withdraw(&kernel, &home, table, container) {
            for address in [published.ipv4, published.ipv6].into_iter().flatten() {
                free(&home, container, address);
            }
        }
        // Also where nothing was published: a monitor may be killed just before or just after.
        let temporary =
            read_json::<super::Network>(&home.join("network.json")).is_some_and(|network| network.temporary);
        if temporary && let Some(id) = home.file_name().and_then(|name| name.to_str()) {
            result = result.and(network::remove(directory, table, id, false).map(drop));
        }
    }
    result
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_free_lease_of_another_container_stays() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("addresses")).unwrap();
        let lease = home.path().join("addresses/10.0.0.2");
        std::fs::write(&lease, "other").unwrap();
        free(home.path(), "mine", "10.0.0.2".parse().unwrap());
        assert!(lease.exists());
        free(home.path(), "other", "10.0.0.2".parse().unwrap());
        assert!(!lease.exists());
    }

    #[test]
    fn test_published_half_written_and_damaged_files_are_skipped() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("endpoints")).unwrap();
        let endpoint = Published {
            version: VERSION,
            container: "ab".repeat(32),
            endpoint: "cd".repeat(32),
            names: vec!["web".to_owned()],
            ipv4: Some("172.17.0.2".parse().unwrap()),
            ipv6: None,
            mac: String::new(),
            interface: "eth0".to_owned(),
            link: String::new(),
            ports: Vec::new(),
            vip: None,
            serving: true,
        };
        endpoint.write(home.path()).unwrap();
        std::fs::write(home.path().join("endpoints/.x.tmp"), "{}").unwrap();
        std::fs::write(home.path().join("endpoints/damaged"), "{").unwrap();
        let found: Vec<String> = published(home.path()).map(|published| published.container).collect();
        assert_eq!(found, [endpoint.container]);
    }

    #[test]
    fn test_directories_only_ids() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["lock", "..x", &"ab".repeat(32)] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        assert_eq!(directories(directory.path()).count(), 1);
    }
}
