//! What is asked for: the `network` part of `monitor.json` (docs/networks.md), and `network.json`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::link;
use crate::{Error, Result};

/// The endpoints of one container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Format.
    pub version: u32,
    /// `RUN_ROOT/networks`.
    pub directory: PathBuf,
    /// `ROOT/containers`.
    pub containers: PathBuf,
    /// The nftables table.
    pub table: String,
    /// In the order they are made.
    pub endpoints: Vec<Endpoint>,
    /// Ports to publish.
    #[serde(default)]
    pub ports: Vec<PortRequest>,
    /// The name server; None: there is none.
    #[serde(default)]
    pub dns: Option<Dns>,
}

/// What the name server at 127.0.0.11 needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Who is asked what no container answers to.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    /// Whether anybody is.
    #[serde(default)]
    pub forward: bool,
    /// Names only this container uses → container ids.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
}

/// A container's place on one network.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The network.
    pub network: Network,
    /// The endpoint's id.
    pub endpoint: String,
    /// The link's name inside.
    pub interface: String,
    /// Its hardware address; empty where the driver gives one.
    pub mac: String,
    /// Its addresses.
    pub ipv4: Option<IpAddr>,
    /// The same.
    pub ipv6: Option<IpAddr>,
    /// The default routes lead here.
    pub default_ipv4: bool,
    /// The same.
    pub default_ipv6: bool,
    /// What it answers to.
    pub names: Vec<String>,
    /// The virtual address it is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip: Option<Virtual>,
}

/// An address that leads to each of several containers in turn (docs/networks.md, "Virtual addresses").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Virtual {
    /// Names that are answered with it.
    pub names: Vec<String>,
    /// The address.
    pub ipv4: Option<IpAddr>,
    /// The same.
    pub ipv6: Option<IpAddr>,
}

/// A network.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // the file's own form
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: Driver,
    /// The bridge; for other drivers a link made for the network, or empty.
    pub link: String,
    /// Goes with the last endpoint.
    pub temporary: bool,
    /// Addresses.
    pub ipv4: Option<Family>,
    /// The same.
    pub ipv6: Option<Family>,
    /// No way out.
    pub internal: bool,
    /// Containers speak outside by the host's address.
    pub masquerade: bool,
    /// Containers may speak to each other.
    pub icc: bool,
    /// Bytes; 0: that of the host's default route.
    pub mtu: u32,
    /// The link that macvlan and ipvlan sit on.
    pub parent: String,
    /// Their mode.
    pub mode: String,
}

/// Drivers there is something to be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge, and a veth pair a container.
    Bridge,
    /// Links with hardware addresses of their own on a parent.
    Macvlan,
    /// Links that share their parent's.
    Ipvlan,
}

/// A network's addresses of one family.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// `address/bits`.
    pub subnet: String,
    /// The bridge's own address, or the router's.
    pub gateway: Option<IpAddr>,
}

/// A port to publish.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRequest {
    /// Which.
    pub protocol: Protocol,
    /// The port inside.
    pub container_port: u16,
    /// The host's address; empty: all of them.
    pub host_ip: String,
    /// The host's ports to choose from; 0: any.
    pub first: u16,
    /// The last of them.
    pub last: u16,
}

/// Protocols with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The number IP has for it.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl Family {
    /// How many bits of an address are the network's.
    pub fn prefix(&self) -> Result<u8> {
        let invalid = || Error::invalid("read", &self.subnet, "not a subnet");
        let (address, bits) = self.subnet.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(invalid)
    }
}

impl Network {
    /// Refuses what must not go to netlink or become a path.
    pub fn check(&self) -> Result<()> {
        check_id(&self.id)?;
        for name in [&self.link, &self.parent] {
            if !name.is_empty() {
                link::check_name(name)?;
            }
        }
        if self.driver == Driver::Bridge {
            link::check_name(&self.link)?;
        }
        for family in [&self.ipv4, &self.ipv6].into_iter().flatten() {
            family.prefix()?;
        }
        Ok(())
    }
}

impl Endpoint {
    /// The hardware address.
    pub fn mac(&self) -> Result<[u8; 6]> {
        let invalid = || Error::invalid("read", &self.mac, "not a hardware address");
        let mut bytes = [0; 6];
        let mut parts = self.mac.split(':');
        for byte in &mut bytes {
            *byte = parts.next().and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or_else(invalid)?;
        }
        if parts.next().is_some() || bytes[0] & 1 == 1 { Err(invalid()) } else { Ok(bytes) }
    }

    /// Both addresses it may have, with its network's.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &Family, bool)> {
        let pairs = [
            (self.ipv4, self.network.ipv4.as_ref(), self.default_ipv4),
            (self.ipv6, self.network.ipv6.as_ref(), self.default_ipv6),
        ];
        pairs.into_iter().filter_map(|(address, family, default)| Some((address?, family?, default)))
    }
}

impl Request {
    /// The endpoint that published ports lead to: the one with the default route.
    pub fn published(&self) -> Option<&Endpoint> {
        let usable = || self.endpoints.iter().filter(|endpoint| endpoint.network.driver == Driver::Bridge);
        usable().find(|endpoint| endpoint.default_ipv4 || endpoint.default_ipv6)
    }

    /// Refuses what must not go to netlink or become a path.
    pub fn check(&self) -> Result<()> {
        for endpoint in &self.endpoints {
            endpoint.network.check()?;
            check_id(&endpoint.endpoint)?;
            link::check_name(&endpoint.interface)?;
        }
        Ok(())
    }
}

/// Ids become file names.
pub fn check_id(id: &str) -> Result<()> {
    let valid = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if valid { Ok(()) } else { Err(Error::invalid("use id", id, "not 64 hexadecimal digits")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;

    /// A bridge network.
    pub fn network(link: &str) -> Network {
        let subnet = Family { subnet: "172.17.0.0/16".to_owned(), gateway: Some("172.17.0.1".parse().unwrap()) };
        Network {
            id: "ab".repeat(32),
            name: "bridge".to_owned(),
            driver: Driver::Bridge,
            link: link.to_owned(),
            temporary: true,
            ipv4: Some(subnet),
            ipv6: None,
            internal: false,
            masquerade: true,
            icc: true,
            mtu: 0,
            parent: String::new(),
            mode: String::new(),
        }
    }

    #[test]
    fn test_check_hostile_names_do_not_become_paths_or_links() {
        assert!(Network { id: "../../etc".to_owned(), ..network("br0") }.check().is_err());
        assert!(network("a/b").check().is_err() && network("").check().is_err());
        assert!(network("pyctr0").check().is_ok());
    }

    #[test]
    fn test_prefix_out_of_range_is_refused() {
        let family = |subnet: &str| Family { subnet: subnet.to_owned(), gateway: None };
        assert_eq!(family("10.0.0.0/8").prefix().unwrap(), 8);
        for subnet in ["10.0.0.0/33", "10.0.0.0", "x/8", "fd00::/129", "10.0.0.0/-1"] {
            assert!(family(subnet).prefix().is_err(), "{subnet}");
        }
    }
}
