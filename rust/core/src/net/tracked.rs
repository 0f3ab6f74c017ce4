//! Connections that conntrack goes on leading where a rule once led them: forgotten when the rule changes.
//!
//! A rule is asked about the first packet only, and among datagrams whoever keeps sending never has a first one again: such a client
//! would speak for ever to a container that is gone, or to the host where a container listens by now.

use std::net::{IpAddr, UdpSocket};

use super::files::{Published, PublishedPort};
use super::link::octets;
use super::netlink::{Batch, DUMP, Kernel, attribute};
use super::request::Protocol;
use crate::Result;

// include/uapi/linux/netfilter/nfnetlink_conntrack.h
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE: [u16; 2] = [1, 2];
const TUPLE_IP: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const IP_V4: [u16; 2] = [1, 2];
const IP_V6: [u16; 2] = [3, 4];
const PROTOCOL_NUMBER: u16 = 1;
const PROTOCOL_PORTS: [u16; 2] = [2, 3];
const FILTER: u16 = 25;

/// One direction of a connection, or what is asked of it: None is anything.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Direction {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: Option<u8>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
}

impl Direction {
    fn parse(tuple: &[u8]) -> Self {
        let ip = attribute(tuple, TUPLE_IP).unwrap_or_default();
        let address = |index: usize| {
            let v4 = attribute(ip, IP_V4[index]).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(IpAddr::from);
            v4.or_else(|| Some(IpAddr::from(<[u8; 16]>::try_from(attribute(ip, IP_V6[index])?).ok()?)))
        };
        let protocol = attribute(tuple, TUPLE_PROTOCOL).unwrap_or_default();
        let port =
            |index: usize| Some(u16::from_be_bytes(attribute(protocol, PROTOCOL_PORTS[index])?.try_into().ok()?));
        Self {
            source: address(0),
            destination: address(1),
            protocol: attribute(protocol, PROTOCOL_NUMBER).and_then(|bytes| bytes.first().copied()),
            source_port: port(0),
            destination_port: port(1),
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        fn fits<T: PartialEq + Copy>(asked: Option<T>, found: Option<T>) -> bool {
            asked.is_none() || asked == found
        }
        fits(self.source, other.source)
            && fits(self.destination, other.destination)
            && fits(self.protocol, other.protocol)
            && fits(self.source_port, other.source_port)
            && fits(self.destination_port, other.destination_port)
    }

    fn encode(&self, batch: &mut Batch, kind: u16) {
        batch.nested(kind, |batch| {
            batch.nested(TUPLE_IP, |batch| {
                for (index, address) in [self.source, self.destination].into_iter().enumerate() {
                    if let Some(address) = address {
                        let kinds = if address.is_ipv4() { IP_V4 } else { IP_V6 };
                        batch.attribute(kinds[index], &octets(address));
                    }
                }
            });
            batch.nested(TUPLE_PROTOCOL, |batch| {
                if let Some(number) = self.protocol {
                    batch.attribute(PROTOCOL_NUMBER, &[number]);
                }
                for (index, port) in [self.source_port, self.destination_port].into_iter().enumerate() {
                    if let Some(port) = port {
                        batch.attribute(PROTOCOL_PORTS[index], &port.to_be_bytes());
                    }
                }
            });
        });
    }

    /// Which parts are asked for, as the kernel numbers them (net/netfilter/nf_internals.h).
    fn flags(&self) -> u32 {
        let parts = [
            (self.source.is_some(), 0),
            (self.destination.is_some(), 1),
            (self.protocol.is_some(), 3),
            (self.source_port.is_some(), 4),
            (self.destination_port.is_some(), 5),
        ];
        parts.iter().filter(|(asked, _)| *asked).map(|(_, bit)| 1 << bit).sum()
    }
}

/// Forgets connections: what is asked of the packets that began them, what of the answers, and what else. Kernels before 5.8 list
/// all they have, later ones only what is asked for.
fn forget(
    kernel: &Kernel,
    ipv6: bool,
    asked: [&Direction; 2],
    also: impl Fn(&Direction, &Direction) -> bool,
) -> Result<()> {
    let socket = kernel.netfilter()?;
    let header = [if ipv6 { 10 } else { 2 }, 0, 0, 0];
    let mut batch = Batch::default();
    batch.message(GET, DUMP, &header, "list", "connections");
    for (direction, kind) in asked.iter().zip(TUPLE).filter(|(direction, _)| direction.flags() != 0) {
        direction.encode(&mut batch, kind);
    }
    batch.nested(FILTER, |batch| {
        for (direction, kind) in asked.iter().zip(TUPLE) {
            batch.number(kind, direction.flags());
        }
    });
    for answer in socket.talk(batch)? {
        let attributes = answer.payload.get(4..).unwrap_or_default();
        let [began, answered] = TUPLE.map(|kind| Direction::parse(attribute(attributes, kind).unwrap_or_default()));
        if asked[0].is_of(&began) && asked[1].is_of(&answered) && also(&began, &answered) {
            let mut batch = Batch::default();
            batch.message(DELETE, super::netlink::ACK, &header, "forget", "a connection");
            began.encode(&mut batch, TUPLE[0]);
            let _ = socket.talk(batch); // over by itself meanwhile
        }
    }
    Ok(())
}

fn datagram_ports(published: &Published) -> impl Iterator<Item = &PublishedPort> {
    published.ports.iter().filter(|port| port.protocol == Protocol::Udp)
}

fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// A container has published ports: datagrams that went to the host itself go there from now on.
pub fn forget_unled(kernel: &Kernel, published: &Published) {
    for port in datagram_ports(published) {
        let begun = Direction {
            destination: Some(port.host_ip).filter(|address| !address.is_unspecified()),
            protocol: Some(port.protocol.number()),
            destination_port: Some(port.host_port),
            ..Direction::default()
        };
        let unled = |began: &Direction, answered: &Direction| {
            began.destination == answered.source && began.destination.is_some_and(is_here)
        };
        let _ = forget(kernel, port.host_ip.is_ipv6(), [&begun, &Direction::default()], unled); // or they run out
    }
}

/// A container's ports are published no longer.
pub fn forget_led(kernel: &Kernel, published: &Published) {
    for port in datagram_ports(published) {
        let own = if port.host_ip.is_ipv4() { published.ipv4 } else { published.ipv6 };
        let answers = Direction {
            source: own,
            protocol: Some(port.protocol.number()),
            source_port: Some(port.container_port),
            ..Direction::default()
        };
        let led = |began: &Direction, answered: &Direction| began.destination != answered.source;
        if own.is_some() {
            let _ = forget(kernel, port.host_ip.is_ipv6(), [&Direction::default(), &answers], led);
        }
    }
}

/// A virtual address does not lead to a member any more: all of it, or datagrams only, so that streams come to their end.
pub fn forget_member(kernel: &Kernel, vip: IpAddr, own: IpAddr, streams: bool) {
    let protocol = (!streams).then_some(Protocol::Udp.number());
    let begun = Direction { destination: Some(vip), protocol, ..Direction::default() };
    let answers = Direction { source: Some(own), ..Direction::default() };
    let _ = forget(kernel, vip.is_ipv6(), [&begun, &answers], |_, _| true);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_direction_is_read_back_as_it_is_asked_for() {
        for (source, destination) in [("10.0.0.2", "10.0.0.250"), ("fd00::2", "fd00::fa")] {
            let whole = Direction {
                source: Some(source.parse().unwrap()),
                destination: Some(destination.parse().unwrap()),
                protocol: Some(17),
                source_port: Some(53),
                destination_port: Some(5353),
            };
            let mut batch = Batch::default();
            batch.message(GET, 0, &[], "list", "connections");
            whole.encode(&mut batch, TUPLE[0]);
            let tuple = attribute(&batch.bytes[16..], TUPLE[0]).unwrap();
            assert_eq!(Direction::parse(tuple), whole);
            assert!(Direction { source_port: None, ..whole.clone() }.is_of(&whole));
            assert!(!Direction { source_port: Some(54), ..whole.clone() }.is_of(&whole));
            assert_eq!((whole.flags(), Direction::default().flags()), (0b11_1011, 0));
        }
    }
}
