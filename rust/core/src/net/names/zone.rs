//! Who has which name now: the endpoints that are up, read again only when a network's directory changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::net::files::{self, Published};
use crate::net::request::Request;

/// Before Linux 6.13 a directory's time moves once a tick: while it is this young, two changes may share it.
const TICK: Duration = Duration::from_millis(20);

/// The names a container can ask for.
#[derive(Debug)]
pub struct Zone {
    networks: Vec<Network>,
    /// Names only this container uses → container ids.
    links: HashMap<String, String>,
}

#[derive(Debug)]
struct Network {
    name: String,
    endpoints_dir: PathBuf,
    changed: Option<(i64, i64)>,
    read_at: SystemTime,
    endpoints: Vec<(u64, Published)>,
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is nobody's.
    Nothing,
    /// Addresses of both families.
    Addresses(Vec<IpAddr>),
}

impl Zone {
    /// For one container.
    pub fn new(request: &Request) -> Self {
        let network = |endpoint: &crate::net::request::Endpoint| Network {
            name: endpoint.network.name.to_ascii_lowercase(),
            endpoints_dir: request.directory.join(&endpoint.network.id).join("endpoints"),
            changed: None,
            read_at: SystemTime::UNIX_EPOCH,
            endpoints: Vec::new(),
        };
        let links = request.dns.iter().flat_map(|dns| &dns.links);
        Self {
            networks: request.endpoints.iter().map(network).collect(),
            links: links.map(|(name, id)| (name.to_ascii_lowercase(), id.clone())).collect(),
        }
    }

    /// The addresses of a name: of the first network that knows it, by itself or with the network's name behind it.
    pub fn find(&mut self, name: &str) -> Found {
        let link = self.links.get(name).cloned();
        for network in &mut self.networks {
            network.refresh();
            let short = name.strip_suffix(network.name.as_str()).and_then(|rest| rest.strip_suffix('.'));
            let is_meant = |published: &Published| match &link {
                Some(id) => published.container == *id,
                None => published.names.iter().any(|own| own == name || Some(own.as_str()) == short),
            };
            let addresses: Vec<IpAddr> = network
                .endpoints
                .iter()
                .filter(|(_, published)| is_meant(published))
                .flat_map(|(_, published)| [published.ipv4, published.ipv6])
                .flatten()
                .collect();
            if !addresses.is_empty() {
                return Found::Addresses(addresses);
            }
        }
        Found::Nothing
    }

    /// The name of an address.
    pub fn name_of(&mut self, address: IpAddr) -> Option<String> {
        for network in &mut self.networks {
            network.refresh();
            let has = |published: &&(u64, Published)| {
                [published.1.ipv4, published.1.ipv6].into_iter().flatten().any(|own| own == address)
            };
            if let Some((_, published)) = network.endpoints.iter().find(has) {
                let first = published.names.first()?;
                return Some(format!("{first}.{}", network.name));
            }
        }
        None
    }
}

impl Network {
    fn refresh(&mut self) {
        let Ok(metadata) = std::fs::metadata(&self.endpoints_dir) else {
            self.endpoints.clear();
            self.changed = None;
            return;
        };
        let changed = Some((metadata.mtime(), metadata.mtime_nsec()));
        let settled = metadata.modified().is_ok_and(|moment| moment + TICK < self.read_at);
        if changed == self.changed && settled {
            return;
        }
        self.read_at = SystemTime::now();
        self.changed = changed;
        let mut known: HashMap<u64, Published> = std::mem::take(&mut self.endpoints).into_iter().collect();
        self.endpoints = list(&self.endpoints_dir, &mut known);
    }
}

/// What is there now; a file that was there before is not read again.
fn list(directory: &Path, known: &mut HashMap<u64, Published>) -> Vec<(u64, Published)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<(u64, Published)> = entries
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .filter_map(|entry| {
            let inode = entry.ino();
            let published = known.remove(&inode).or_else(|| files::read_json(&entry.path()))?;
            // The inode may be another file's by now.
            (entry.file_name() == published.container.as_str()).then_some((inode, published))
        })
        .collect();
    found.sort_by(|one, other| one.1.container.cmp(&other.1.container));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn published(directory: &Path, container: &str, names: &[&str], ipv4: &str) {
        let value = serde_json::json!({"version": 1, "container": container, "endpoint": "e", "names": names,
            "ipv4": ipv4, "ipv6": null, "mac": "", "interface": "eth0", "ports": []});
        let draft = directory.join(".draft");
        std::fs::write(&draft, value.to_string()).unwrap();
        std::fs::rename(draft, directory.join(container)).unwrap();
    }

    fn zone(directory: &Path, links: &[(&str, &str)]) -> Zone {
        Zone {
            networks: vec![Network {
                name: "net".to_owned(),
                endpoints_dir: directory.to_owned(),
                changed: None,
                read_at: SystemTime::UNIX_EPOCH,
                endpoints: Vec::new(),
            }],
            links: links.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect(),
        }
    }

    fn addresses(texts: &[&str]) -> Found {
        Found::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn test_find_follows_containers_that_come_and_go_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path(), &[("db", "two")]);
        assert_eq!(zone.find("web"), Found::Nothing);
        published(dir.path(), "one", &["web", "w"], "10.0.0.2");
        assert_eq!(zone.find("web"), addresses(&["10.0.0.2"]));
        published(dir.path(), "two", &["web"], "10.0.0.3");
        assert_eq!(zone.find("web"), addresses(&["10.0.0.2", "10.0.0.3"]));
        assert_eq!(zone.find("w.net"), addresses(&["10.0.0.2"]));
        assert_eq!(zone.find("w.other"), Found::Nothing);
        assert_eq!(zone.find("db"), addresses(&["10.0.0.3"]), "a link, whatever the container is called");
        assert_eq!(zone.name_of("10.0.0.3".parse().unwrap()).unwrap(), "web.net");
        published(dir.path(), "one", &["renamed"], "10.0.0.2");
        assert_eq!(zone.find("w"), Found::Nothing);
        std::fs::remove_file(dir.path().join("two")).unwrap();
        assert_eq!(zone.find("web"), Found::Nothing);
        assert_eq!(zone.name_of("10.0.0.3".parse().unwrap()), None);
    }
}
