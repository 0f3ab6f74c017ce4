//! Links, addresses and routes as rtnetlink messages (rtnetlink(7), include/uapi/linux/if_link.h).

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::netlink::{ACK, Answer, Batch, CREATE, EXCL, REPLACE, Socket, attribute, garbled, number_at};
use crate::{Error, Result};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IPV4_DEVCONF_ROUTE_LOCALNET: u16 = 26;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;

/// Longest name of a link, without the null byte (IFNAMSIZ).
pub const NAME_MAX: usize = 15;

/// A link that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// What it is: `bridge`, `veth`, …; empty for hardware.
    pub kind: String,
    /// Number of the bridge it belongs to; 0 for none.
    pub master: u32,
}

/// A name the kernel takes for a link; whatever comes from a file is checked before it goes to netlink.
pub fn check_name(name: &str) -> Result<()> {
    let valid = !name.is_empty()
        && name.len() <= NAME_MAX
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':');
    if valid { Ok(()) } else { Err(Error::invalid("use link name", name, "not a valid interface name")) }
}

fn header(family: u8, index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        header[8..12].copy_from_slice(&IFF_UP.to_ne_bytes());
        header[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
    }
    header
}

/// Looks a link up by name.
pub fn find(socket: &Socket, name: &str) -> Result<Option<Link>> {
    let mut batch = Batch::default();
    batch.message(RTM_GETLINK, ACK, &header(0, 0, false), "find link", name);
    batch.text(IFLA_IFNAME, name);
    match socket.talk(batch) {
        Ok(answers) => answers.first().and_then(parse).map(Some).ok_or_else(|| garbled(name)),
        Err(error) if error.errno == Some(Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(answer: &Answer) -> Option<Link> {
    if answer.kind != RTM_NEWLINK {
        return None;
    }
    let attributes = answer.payload.get(16..)?;
    let kind = attribute(attributes, IFLA_LINKINFO).and_then(|info| attribute(info, IFLA_INFO_KIND));
    let kind = kind.map(|kind| String::from_utf8_lossy(kind).trim_end_matches('\0').to_owned());
    let number = |wanted| attribute(attributes, wanted).and_then(|value| number_at(value, 0)).unwrap_or(0);
    Some(Link {
        index: number_at(&answer.payload, 4)?,
        mtu: number(IFLA_MTU),
        kind: kind.unwrap_or_default(),
        master: number(IFLA_MASTER),
    })
}

/// Makes a bridge that is up, with a hardware address of its own: without one it would take its lowest port's and change with it.
pub fn add_bridge(batch: &mut Batch, name: &str, mac: [u8; 6], mtu: u32) {
    batch.message(RTM_NEWLINK, ACK | CREATE | EXCL, &header(0, 0, true), "make bridge", name);
    batch.text(IFLA_IFNAME, name);
    batch.attribute(IFLA_ADDRESS, &mac);
    batch.number(IFLA_MTU, mtu);
    batch.nested(IFLA_LINKINFO, |batch| batch.text(IFLA_INFO_KIND, "bridge"));
}

/// Lets 127.0.0.0/8 be routed over a link: published ports answer on 127.0.0.1 (ip-sysctl, route_localnet). The packet rules keep
/// containers from using it (CVE-2020-8558).
pub fn route_localnet(batch: &mut Batch, index: u32, name: &str) {
    batch.message(RTM_SETLINK, ACK, &header(0, index, false), "allow 127.0.0.1 to leave by", name);
    batch.nested(IFLA_AF_SPEC, |batch| {
        batch.nested(u16::from(AF_INET), |batch| {
            batch.nested(IFLA_INET_CONF, |batch| batch.number(IPV4_DEVCONF_ROUTE_LOCALNET, 1));
        });
    });
}

/// The two ends of a veth pair.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Name here.
    pub host: &'a str,
    /// The bridge it joins.
    pub bridge: u32,
    /// Name in the container.
    pub inside: &'a str,
    /// Hardware address in the container.
    pub mac: [u8; 6],
    /// Of both, bytes.
    pub mtu: u32,
    /// The container's network namespace.
    pub namespace: BorrowedFd<'a>,
}

/// Makes a veth pair, one end in the container and down: nothing is ever moved.
pub fn add_pair(batch: &mut Batch, pair: &Pair<'_>) {
    batch.message(RTM_NEWLINK, ACK | CREATE | EXCL, &header(0, 0, true), "make link", pair.host);
    batch.text(IFLA_IFNAME, pair.host);
    batch.number(IFLA_MTU, pair.mtu);
    batch.number(IFLA_MASTER, pair.bridge);
    batch.nested(IFLA_LINKINFO, |batch| {
        batch.text(IFLA_INFO_KIND, "veth");
        batch.nested(IFLA_INFO_DATA, |batch| {
            batch.nested(VETH_INFO_PEER, |batch| {
                batch.raw(&header(0, 0, false)); // opening it needs the other end, which there is not yet (drivers/net/veth.c)
                batch.text(IFLA_IFNAME, pair.inside);
                batch.attribute(IFLA_ADDRESS, &pair.mac);
                batch.number(IFLA_MTU, pair.mtu);
                batch.number(IFLA_NET_NS_FD, pair.namespace.as_raw_fd().cast_unsigned());
            });
        });
    });
}

/// Sets a bridge's port: `isolated` keeps it from talking to the other isolated ones (`enable_icc=false`); `hairpin` lets a frame
/// go back where it came from. A container that speaks to its own published port needs that where bridged frames pass the packet
/// rules (br_netfilter, its default): translated there, they are not routed (br_nf_pre_routing_finish in br_netfilter_hooks.c).
pub fn set_port(batch: &mut Batch, name: &str, isolated: bool, hairpin: bool) {
    batch.message(RTM_NEWLINK, ACK, &header(0, 0, false), "set bridge port", name);
    batch.text(IFLA_IFNAME, name);
    batch.nested(IFLA_LINKINFO, |batch| {
        batch.text(IFLA_INFO_SLAVE_KIND, "bridge");
        batch.nested(IFLA_INFO_SLAVE_DATA, |batch| {
            batch.attribute(IFLA_BRPORT_MODE, &[u8::from(hairpin)]);
            batch.attribute(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
        });
    });
}

/// A link on top of another one.
#[derive(Debug)]
pub struct Stacked<'a> {
    /// `macvlan` or `ipvlan`.
    pub kind: &'a str,
    /// Their mode, by number.
    pub mode: u32,
    /// The link below.
    pub parent: u32,
    /// Name in the container.
    pub inside: &'a str,
    /// Hardware address; ipvlan has its parent's.
    pub mac: Option<[u8; 6]>,
    /// Bytes.
    pub mtu: u32,
    /// The container's network namespace.
    pub namespace: BorrowedFd<'a>,
}

/// Makes a macvlan or ipvlan link in the container. It is down: the kernel does not bring up what it moves.
pub fn add_stacked(batch: &mut Batch, link: &Stacked<'_>) {
    batch.message(RTM_NEWLINK, ACK | CREATE | EXCL, &header(0, 0, false), "make link", link.kind);
    batch.text(IFLA_IFNAME, link.inside);
    batch.number(IFLA_MTU, link.mtu);
    batch.number(IFLA_LINK, link.parent);
    if let Some(mac) = link.mac {
        batch.attribute(IFLA_ADDRESS, &mac);
    }
    batch.number(IFLA_NET_NS_FD, link.namespace.as_fd().as_raw_fd().cast_unsigned());
    batch.nested(IFLA_LINKINFO, |batch| {
        batch.text(IFLA_INFO_KIND, link.kind);
        batch.nested(IFLA_INFO_DATA, |batch| {
            if link.kind == "macvlan" {
                batch.number(IFLA_MACVLAN_MODE, link.mode);
            } else {
                batch.attribute(IFLA_IPVLAN_MODE, &u16::try_from(link.mode).unwrap_or(0).to_ne_bytes());
            }
        });
    });
}

/// Makes a VLAN link on a parent, up (`-o parent=eth0.50`).
pub fn add_vlan(batch: &mut Batch, name: &str, parent: u32, id: u16) {
    batch.message(RTM_NEWLINK, ACK | CREATE | EXCL, &header(0, 0, true), "make link", name);
    batch.text(IFLA_IFNAME, name);
    batch.number(IFLA_LINK, parent);
    batch.nested(IFLA_LINKINFO, |batch| {
        batch.text(IFLA_INFO_KIND, "vlan");
        batch.nested(IFLA_INFO_DATA, |batch| batch.attribute(IFLA_VLAN_ID, &id.to_ne_bytes()));
    });
}

/// Makes a link that leads nowhere, up: the parent of an internal macvlan network.
pub fn add_dummy(batch: &mut Batch, name: &str) {
    batch.message(RTM_NEWLINK, ACK | CREATE | EXCL, &header(0, 0, true), "make link", name);
    batch.text(IFLA_IFNAME, name);
    batch.nested(IFLA_LINKINFO, |batch| batch.text(IFLA_INFO_KIND, "dummy"));
}

/// Keeps a link from giving itself an IPv6 address. It would tell the whole network, which with 1,000 containers on it costs more than
/// all else of a start.
pub fn without_own_ipv6(batch: &mut Batch, index: u32, name: &str) {
    const NONE: u8 = 1; // IN6_ADDR_GEN_MODE_NONE
    batch.message(RTM_SETLINK, ACK, &header(0, index, false), "set addresses of", name);
    batch.nested(IFLA_AF_SPEC, |batch| {
        batch.nested(u16::from(AF_INET6), |batch| batch.attribute(IFLA_INET6_ADDR_GEN_MODE, &[NONE]));
    });
}

/// Gives a link the address of its own that IPv6 wants (RFC 4291, section 2.5.6) without detection of duplicates: hardware addresses
/// are given out here, and until the detection is over, for a second or two, nobody can ask for a neighbour.
pub fn own_ipv6(batch: &mut Batch, index: u32, name: &str, mac: [u8; 6]) {
    without_own_ipv6(batch, index, name);
    let mut address = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    address[8..11].copy_from_slice(&mac[..3]);
    address[8] ^= 2; // whether the hardware address is given out by a manufacturer, inverted (appendix A)
    address[13..].copy_from_slice(&mac[3..]);
    add_address(batch, index, IpAddr::from(address), 64);
}

/// Brings a link up.
pub fn set_up(batch: &mut Batch, index: u32, name: &str) {
    batch.message(RTM_SETLINK, ACK, &header(0, index, true), "bring up link", name);
}

/// Removes a link.
pub fn delete(batch: &mut Batch, index: u32, name: &str) {
    batch.message(RTM_DELLINK, ACK, &header(0, index, false), "remove link", name);
}

/// The bytes of an address.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Gives a link an address. IPv6 without duplicate address detection: leases are exclusive, and a second's wait is not.
pub fn add_address(batch: &mut Batch, index: u32, address: IpAddr, prefix: u8) {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut header = [family, prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let bytes = octets(address);
    batch.message(RTM_NEWADDR, ACK | CREATE | EXCL, &header, "set address", &format!("{address}/{prefix}"));
    batch.attribute(IFA_LOCAL, &bytes);
    batch.attribute(IFA_ADDRESS, &bytes);
    if let IpAddr::V4(address) = address {
        let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        if hosts > 1 {
            batch.attribute(IFA_BROADCAST, &(address.to_bits() | hosts).to_be_bytes());
        }
    } else {
        batch.number(IFA_FLAGS, IFA_F_NODAD);
    }
}

/// Takes an address from a link.
pub fn remove_address(batch: &mut Batch, index: u32, address: IpAddr, prefix: u8) {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut header = [family, prefix, 0, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    batch.message(RTM_DELADDR, ACK, &header, "remove address", &format!("{address}/{prefix}"));
    batch.attribute(IFA_LOCAL, &octets(address));
}

/// Routes everything else over a gateway on a link, whatever it was routed over before; without a gateway everything is on the link.
pub fn set_default_route(batch: &mut Batch, index: u32, gateway: Option<IpAddr>, ipv6: bool) {
    let family = if ipv6 { AF_INET6 } else { AF_INET };
    let scope = if gateway.is_none() && !ipv6 { 253 } else { 0 }; // RT_SCOPE_LINK
    let header = [family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0];
    let object = gateway.map_or_else(|| "on link".to_owned(), |gateway| format!("via {gateway}"));
    batch.message(RTM_NEWROUTE, ACK | CREATE | REPLACE, &header, "set default route", &object);
    batch.number(RTA_OIF, index);
    if let Some(gateway) = gateway {
        batch.attribute(RTA_GATEWAY, &octets(gateway));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_find_loopback_is_known_and_nothing_else_invented() {
        let socket = Socket::route().unwrap();
        let link = find(&socket, "lo").unwrap().unwrap();
        assert_eq!((link.index, link.master, link.kind.as_str()), (1, 0, ""));
        assert_eq!(find(&socket, "pyctr-none").unwrap(), None);
    }

    #[test]
    fn test_check_name_what_the_kernel_refuses_is_refused() {
        for name in ["", ".", "..", "a/b", "a b", "a:b", "sixteen-letters-", "ä", "a\n"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["pyctr0", "br-0123456789ab", "eth0.50"] {
            check_name(name).unwrap();
        }
    }
}
