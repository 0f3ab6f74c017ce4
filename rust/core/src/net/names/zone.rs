//! Who has which name now: the endpoints that are up, read again only when a network's directory changed.

use std::collections::{HashMap, HashSet};
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
    own: Named,
    /// The virtual address it is a member of.
    vip: Option<Named>,
}

/// Names, and the addresses they are answered with.
#[derive(Debug)]
struct Named {
    names: Box<[Box<str>]>,
    addresses: [Option<IpAddr>; 2],
}

impl Named {
    fn new(names: Vec<String>, addresses: [Option<IpAddr>; 2]) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase().into()).collect();
        Self { names, addresses }
    }
}

impl Known {
    fn new(version: Version, published: Published) -> Self {
        Self {
            version,
            container: published.container.into(),
            own: Named::new(published.names, [published.ipv4, published.ipv6]),
            vip: published.vip.map(|vip| Named::new(vip.names, [vip.ipv4, vip.ipv6])),
        }
    }

    fn named(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.own).chain(&self.vip)
    }

    /// What it says to a name; nothing if that is not one of its own.
    fn answer(&self, is_name: impl Fn(&[Box<str>]) -> bool) -> Vec<IpAddr> {
        let meant = self.named().filter(|named| is_name(&named.names));
        meant.flat_map(|named| named.addresses).flatten().collect()
    }

    /// What an address is called, if it is its own or the one it shares.
    fn names_of(&self, address: IpAddr) -> Option<&[Box<str>]> {
        self.named().find(|named| named.addresses.contains(&Some(address))).map(|named| &*named.names)
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
            let is_name = |names: &[Box<str>]| names.iter().any(|own| **own == *name || Some(&**own) == short);
            let answer = |known: &Known| match link {
                Some(id) if *known.container == **id => known.own.addresses.into_iter().flatten().collect(),
                Some(_) => Vec::new(),
                None => known.answer(is_name),
            };
            let mut addresses: Vec<IpAddr> = network.endpoints.iter().flat_map(answer).collect();
            if network.endpoints.iter().any(|known| known.vip.is_some()) {
                let mut met = HashSet::new(); // each member says the same of the address they share
                addresses.retain(|address| met.insert(*address));
            }
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
            let names = network.endpoints.iter().find_map(|known| known.names_of(address))?;
            let whole = names.iter().map(|name| format!("{name}.{}", network.name));
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
        write(directory, container, names, ipv4, &serde_json::Value::Null);
    }

    fn write(directory: &Path, container: &str, names: &[&str], ipv4: &str, vip: &serde_json::Value) {
        let value = serde_json::json!({"version": 1, "container": container, "endpoint": "e", "names": names,
            "ipv4": ipv4, "ipv6": null, "mac": "", "interface": "eth0", "ports": [], "vip": vip});
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

    #[test]
    fn test_find_members_of_a_virtual_address_share_a_name_and_keep_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path(), &[("db", "two")]);
        for (container, own, ipv4) in [("one", "p-web-1", "10.0.0.2"), ("two", "p-web-2", "10.0.0.3")] {
            let vip = serde_json::json!({"names": ["web"], "ipv4": "10.0.0.254", "ipv6": null});
            write(dir.path(), container, &[own, "tasks.web"], ipv4, &vip);
        }
        assert_eq!(zone.find("web"), Some(addresses(&["10.0.0.254"])));
        assert_eq!(zone.find("web.net"), Some(addresses(&["10.0.0.254"])));
        assert_eq!(zone.find("tasks.web"), Some(addresses(&["10.0.0.2", "10.0.0.3"])));
        assert_eq!(zone.find("p-web-2"), Some(addresses(&["10.0.0.3"])));
        assert_eq!(zone.find("db"), Some(addresses(&["10.0.0.3"])), "a link is to one container");
        assert_eq!(zone.name_of("10.0.0.254".parse().unwrap()).unwrap(), "web.net");
        assert_eq!(zone.name_of("10.0.0.2".parse().unwrap()).unwrap(), "p-web-1.net");
        published(dir.path(), "three", &["web"], "10.0.0.4");
        let mut both = zone.find("web").unwrap();
        both.sort();
        assert_eq!(both, addresses(&["10.0.0.4", "10.0.0.254"]), "who is no member answers for itself");
    }
}
