//! Who has which name now: the endpoints that are up, read again only when a network's directory changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::message;
use crate::net::files::{self, Published};
use crate::net::request::{Endpoint, Request};

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
    endpoints: Vec<Known>,
}

fn version_of(path: &Path) -> Option<Version> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
}

/// A file's inode number, which is another's after two changes on some file systems, and the moment of its last change.
type Version = (u64, i64, i64);

/// What is kept of an endpoint: with 1,000 on a network it adds up.
#[derive(Debug)]
struct Known {
    version: Version,
    container: Box<str>,
    names: Box<[Box<str>]>,
    addresses: [Option<IpAddr>; 2],
}

impl Known {
    fn new(version: Version, published: Published) -> Self {
        Self {
            version,
            container: published.container.into(),
            names: published.names.into_iter().map(|name| name.to_ascii_lowercase().into()).collect(),
            addresses: [published.ipv4, published.ipv6],
        }
    }
}

impl Zone {
    /// For one container.
    pub fn new(request: &Request) -> Self {
        let network = |endpoint: &Endpoint| Network {
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

    /// The addresses of a name, of both families: of the first network that knows it, by itself or with the network's name behind
    /// it. None: it is nobody's.
    pub fn find(&mut self, name: &str) -> Option<Vec<IpAddr>> {
        let link = self.links.get(name);
        for network in &mut self.networks {
            network.refresh();
            let short = name.strip_suffix(network.name.as_str()).and_then(|rest| rest.strip_suffix('.'));
            let is_meant = |known: &&Known| match link {
                Some(id) => *known.container == **id,
                None => known.names.iter().any(|own| **own == *name || Some(&**own) == short),
            };
            let meant = network.endpoints.iter().filter(is_meant);
            let addresses: Vec<IpAddr> = meant.flat_map(|known| known.addresses).flatten().collect();
            if !addresses.is_empty() {
                return Some(addresses);
            }
        }
        None
    }

    /// The name of an address: the first that DNS can carry.
    pub fn name_of(&mut self, address: IpAddr) -> Option<String> {
        self.networks.iter_mut().find_map(|network| {
            network.refresh();
            let known = network.endpoints.iter().find(|known| known.addresses.contains(&Some(address)))?;
            let whole = known.names.iter().map(|name| format!("{name}.{}", network.name));
            whole.into_iter().find(|name| message::fits(name))
        })
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
        let known = std::mem::take(&mut self.endpoints).into_iter().map(|known| (known.version, known));
        let mut known: HashMap<Version, Known> = known.collect();
        self.endpoints = list(&self.endpoints_dir, &mut known);
    }
}

/// What is there now; a file that was there before is not read again.
fn list(directory: &Path, known: &mut HashMap<Version, Known>) -> Vec<Known> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<Known> = entries
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = version_of(&entry.path())?;
            let read = || files::read_json::<Published>(&entry.path()).map(|published| Known::new(version, published));
            known.remove(&version).or_else(read).filter(|known| name == *known.container)
        })
        .collect();
    found.sort_by(|one, other| one.container.cmp(&other.container));
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

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn test_find_follows_containers_that_come_and_go_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path(), &[("db", "two")]);
        assert_eq!(zone.find("web"), None);
        published(dir.path(), "one", &["web", "w"], "10.0.0.2");
        assert_eq!(zone.find("web"), Some(addresses(&["10.0.0.2"])));
        published(dir.path(), "two", &["web"], "10.0.0.3");
        assert_eq!(zone.find("web"), Some(addresses(&["10.0.0.2", "10.0.0.3"])));
        assert_eq!(zone.find("w.net"), Some(addresses(&["10.0.0.2"])));
        assert_eq!(zone.find("w.other"), None);
        assert_eq!(zone.find("db"), Some(addresses(&["10.0.0.3"])), "a link, whatever the container is called");
        assert_eq!(zone.name_of("10.0.0.3".parse().unwrap()).unwrap(), "web.net");
        published(dir.path(), "one", &["renamed"], "10.0.0.2");
        assert_eq!(zone.find("w"), None);
        std::fs::remove_file(dir.path().join("two")).unwrap();
        assert_eq!(zone.find("web"), None);
        assert_eq!(zone.name_of("10.0.0.3".parse().unwrap()), None);
    }
}
