//! pyctr's table: a fixed number of rules, everything that varies in sets and maps (docs/networks.md, "The table").

use std::net::IpAddr;

use super::expr::{self, End, IPV4, IPV6, Meta, R0, Verdict};
use super::{Element, Hook, INET, Set, Transaction, notes};
use crate::net::link::octets;
use crate::net::netlink::Batch;

const IFNAME: u32 = 41;
const IPV4_ADDR: u32 = 7;
const IPV6_ADDR: u32 = 8;
const PROTOCOL: u32 = 12;
const SERVICE: u32 = 13;
const INTEGER: u32 = 4;
const NAME_BYTES: usize = 16;

/// nft numbers a concatenation of types by their numbers, six bits each.
const fn concatenation(types: &[u32]) -> u32 {
    let (mut number, mut index) = (0, 0);
    while index < types.len() {
        number = number << 6 | types[index];
        index += 1;
    }
    number
}

/// Bridges of all networks.
pub const BRIDGES: &str = "bridges";
/// Each bridge with itself: a packet that stays on its network.
pub const SAME: &str = "same";
/// Bridges of networks without a way out.
pub const INTERNAL: &str = "internal";
/// Bridges whose containers speak outside by the host's address.
pub const OUTWARD: &str = "outward";

/// Slots a virtual address has, whose turn it is one after the other: so many members at most are reached by it.
pub const SLOTS: u32 = 256;

const SETS: [Set; 8] = [
    Set { name: BRIDGES, key: (IFNAME, 16), data: None, notes: Some(notes::of_names) },
    Set { name: SAME, key: (concatenation(&[IFNAME, IFNAME]), 32), data: None, notes: None },
    Set { name: INTERNAL, key: (IFNAME, 16), data: None, notes: Some(notes::of_names) },
    Set { name: OUTWARD, key: (IFNAME, 16), data: None, notes: Some(notes::of_names) },
    Set {
        name: "ports4",
        key: (concatenation(&[PROTOCOL, SERVICE]), 8),
        data: Some((concatenation(&[IPV4_ADDR, SERVICE]), 8)),
        notes: None,
    },
    Set {
        name: "ports4_at",
        key: (concatenation(&[IPV4_ADDR, PROTOCOL, SERVICE]), 12),
        data: Some((concatenation(&[IPV4_ADDR, SERVICE]), 8)),
        notes: None,
    },
    Set {
        name: "ports6",
        key: (concatenation(&[PROTOCOL, SERVICE]), 8),
        data: Some((concatenation(&[IPV6_ADDR, SERVICE]), 20)),
        notes: None,
    },
    Set {
        name: "ports6_at",
        key: (concatenation(&[IPV6_ADDR, PROTOCOL, SERVICE]), 24),
        data: Some((concatenation(&[IPV6_ADDR, SERVICE]), 20)),
        notes: None,
    },
];

/// What virtual addresses need besides.
const VIP_SETS: [Set; 4] = [
    Set { name: "vips4", key: (concatenation(&[IFNAME, IPV4_ADDR]), 20), data: None, notes: None },
    Set {
        name: "members4",
        key: (concatenation(&[IFNAME, IPV4_ADDR, INTEGER]), 24),
        data: Some((IPV4_ADDR, 4)),
        notes: Some(notes::of_members_v4),
    },
    Set { name: "vips6", key: (concatenation(&[IFNAME, IPV6_ADDR]), 32), data: None, notes: None },
    Set {
        name: "members6",
        key: (concatenation(&[IFNAME, IPV6_ADDR, INTEGER]), 36),
        data: Some((IPV6_ADDR, 16)),
        notes: Some(notes::of_members_v6),
    },
];

const CHAINS: [(&str, Option<Hook>); 6] = [
    ("ports", None),
    ("raw", Some(Hook { kind: "filter", number: 0, priority: -300 })),
    ("prerouting", Some(Hook { kind: "nat", number: 0, priority: -100 })),
    ("output", Some(Hook { kind: "nat", number: 3, priority: -100 })),
    ("forward", Some(Hook { kind: "filter", number: 2, priority: 0 })),
    ("postrouting", Some(Hook { kind: "nat", number: 4, priority: 100 })),
];

/// Adds the table, empty of networks; without `vips` it is what a kernel without `numgen` can have.
pub fn add(transaction: &mut Transaction<'_>, vips: bool) {
    for (id, set) in (1..).zip(SETS.iter().chain(VIP_SETS.iter().filter(|_| vips))) {
        transaction.add_set(set, id);
    }
    for (name, hook) in CHAINS {
        transaction.add_chain(name, hook);
    }
    add_ports(transaction);
    add_nat(transaction, vips);
    add_filter(transaction);
}

/// IPv4 and in 127.0.0.0/8; the address is at this offset of the header.
fn loopback(batch: &mut Batch, offset: u32) {
    expr::meta(batch, Meta::Family, R0);
    expr::equals(batch, R0, &[IPV4]);
    expr::network(batch, offset, 1, R0);
    expr::equals(batch, R0, &[127]);
}

fn from_or_to(batch: &mut Batch, key: Meta, set: &str, inverted: bool) {
    expr::meta(batch, key, R0);
    expr::is_in(batch, set, R0, inverted);
}

fn within_one_network(batch: &mut Batch) {
    expr::meta(batch, Meta::InputName, R0);
    expr::meta(batch, Meta::OutputName, R0 + 4);
    expr::is_in(batch, SAME, R0, false);
}

fn conntrack_has(batch: &mut Batch, key: u32, bits: u32) {
    expr::conntrack(batch, key, R0);
    expr::mask(batch, R0, &bits.to_ne_bytes());
    expr::differs(batch, R0, &[0; 4]);
}

const SOURCE_V4: u32 = 12;
const DESTINATION_V4: u32 = 16;
const DESTINATION_V6: u32 = 24;
const STATE: u32 = 0;
const STATUS: u32 = 2;

/// A packet to one of the host's addresses goes to the container that published the port; one address before all.
fn add_ports(transaction: &mut Transaction<'_>) {
    for (family, offset, words, at, any) in
        [(IPV4, DESTINATION_V4, 1, "ports4_at", "ports4"), (IPV6, DESTINATION_V6, 4, "ports6_at", "ports6")]
    {
        transaction.add_rule("ports", |batch| {
            expr::meta(batch, Meta::Family, R0);
            expr::equals(batch, R0, &[family]);
            expr::network(batch, offset, words * 4, R0);
            expr::meta(batch, Meta::Protocol, R0 + words);
            expr::transport(batch, 2, 2, R0 + words + 1);
            expr::translate(batch, at, R0);
            expr::destination_nat(batch, family, R0, Some(R0 + words));
        });
        transaction.add_rule("ports", |batch| {
            expr::meta(batch, Meta::Family, R0);
            expr::equals(batch, R0, &[family]);
            expr::meta(batch, Meta::Protocol, R0);
            expr::transport(batch, 2, 2, R0 + 1);
            expr::translate(batch, any, R0);
            expr::destination_nat(batch, family, R0, Some(R0 + words));
        });
    }
}

const LOCAL: u32 = 2; // RTN_LOCAL

fn add_nat(transaction: &mut Transaction<'_>, vips: bool) {
    // From outside nobody reaches what is published on 127.0.0.1: translated, its packets would no longer be martians.
    transaction.add_rule("prerouting", |batch| {
        loopback(batch, DESTINATION_V4);
        expr::verdict(batch, Verdict::Return);
    });
    // An answer to ::1 cannot come back over a link (net/ipv6/ip6_input.c): the monitor carries those connections.
    transaction.add_rule("output", |batch| {
        expr::meta(batch, Meta::Family, R0);
        expr::equals(batch, R0, &[IPV6]);
        expr::network(batch, DESTINATION_V6, 16, R0);
        expr::equals(batch, R0, &std::net::Ipv6Addr::LOCALHOST.octets());
        expr::verdict(batch, Verdict::Return);
    });
    if vips {
        add_vips(transaction);
    }
    for chain in ["prerouting", "output"] {
        transaction.add_rule(chain, |batch| {
            expr::address_type(batch, End::Destination, R0);
            expr::equals(batch, R0, &LOCAL.to_ne_bytes());
            expr::verdict(batch, Verdict::Jump("ports"));
        });
    }
    // Hairpin: the answer must come back through the host, not go straight to a neighbour that never asked for it.
    transaction.add_rule("postrouting", |batch| {
        conntrack_has(batch, STATUS, expr::DESTINATION_NAT);
        within_one_network(batch);
        expr::masquerade(batch);
    });
    // The same where bridged frames pass these rules: br_nf_post_routing does not say where they come from.
    transaction.add_rule("postrouting", |batch| {
        conntrack_has(batch, STATUS, expr::DESTINATION_NAT);
        expr::meta(batch, Meta::InputIndex, R0);
        expr::equals(batch, R0, &[0; 4]);
        from_or_to(batch, Meta::OutputName, BRIDGES, false);
        expr::address_type(batch, End::Source, R0);
        expr::differs(batch, R0, &LOCAL.to_ne_bytes());
        expr::masquerade(batch);
    });
    transaction.add_rule("postrouting", |batch| {
        from_or_to(batch, Meta::InputName, OUTWARD, false);
        from_or_to(batch, Meta::OutputName, BRIDGES, true);
        expr::masquerade(batch);
    });
    transaction.add_rule("postrouting", |batch| {
        loopback(batch, SOURCE_V4);
        from_or_to(batch, Meta::OutputName, BRIDGES, false);
        expr::masquerade(batch);
    });
}

/// A packet of a network to one of its virtual addresses goes to the member whose turn it is.
fn add_vips(transaction: &mut Transaction<'_>) {
    for (family, offset, words, vips, members) in
        [(IPV4, DESTINATION_V4, 1, "vips4", "members4"), (IPV6, DESTINATION_V6, 4, "vips6", "members6")]
    {
        transaction.add_rule("prerouting", |batch| {
            expr::meta(batch, Meta::Family, R0);
            expr::equals(batch, R0, &[family]);
            for whose in [vips, members] {
                expr::meta(batch, Meta::InputName, R0);
                expr::network(batch, offset, words * 4, R0 + 4);
                if whose == vips {
                    expr::is_in(batch, vips, R0, false);
                } else {
                    expr::turn(batch, SLOTS, R0 + 4 + words);
                    expr::translate(batch, members, R0);
                    expr::destination_nat(batch, family, R0, None);
                }
            }
        });
    }
}

fn add_filter(transaction: &mut Transaction<'_>) {
    // route_localnet opens 127.0.0.0/8 to containers; this closes it (CVE-2020-8558).
    for offset in [DESTINATION_V4, SOURCE_V4] {
        transaction.add_rule("raw", |batch| {
            loopback(batch, offset);
            from_or_to(batch, Meta::InputName, BRIDGES, false);
            expr::verdict(batch, Verdict::Drop);
        });
    }
    transaction.add_rule("forward", |batch| {
        conntrack_has(batch, STATE, expr::ESTABLISHED_RELATED);
        expr::verdict(batch, Verdict::Accept);
    });
    transaction.add_rule("forward", |batch| {
        within_one_network(batch);
        expr::verdict(batch, Verdict::Accept);
    });
    transaction.add_rule("forward", |batch| {
        from_or_to(batch, Meta::InputName, INTERNAL, false);
        expr::verdict(batch, Verdict::Drop);
    });
    transaction.add_rule("forward", |batch| {
        from_or_to(batch, Meta::OutputName, BRIDGES, false);
        conntrack_has(batch, STATUS, expr::DESTINATION_NAT);
        expr::verdict(batch, Verdict::Accept);
    });
    transaction.add_rule("forward", |batch| {
        from_or_to(batch, Meta::OutputName, BRIDGES, false);
        expr::verdict(batch, Verdict::Drop);
    });
}

fn name_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(NAME_BYTES, 0);
    key
}

/// What a bridge has in which set.
pub fn bridge_elements(bridge: &str, internal: bool, masquerade: bool) -> Vec<(&'static str, Element)> {
    let name = Element { key: name_key(bridge), data: None };
    let same = Element { key: [name_key(bridge), name_key(bridge)].concat(), data: None };
    let mut elements = vec![(BRIDGES, name.clone()), (SAME, same)];
    if internal {
        elements.push((INTERNAL, name.clone()));
    }
    if masquerade && !internal {
        elements.push((OUTWARD, name));
    }
    elements
}

/// The map element of a published port; None where the families differ, which only the monitor can bridge.
pub fn port_element(
    protocol: u8,
    host: IpAddr,
    host_port: u16,
    container: IpAddr,
    container_port: u16,
) -> Option<(&'static str, Element)> {
    if host.is_ipv4() != container.is_ipv4() {
        return None;
    }
    let service = |port: u16| [port.to_be_bytes(), [0; 2]].concat();
    let mut key = if host.is_unspecified() { Vec::new() } else { octets(host) };
    key.extend([protocol, 0, 0, 0]);
    key.extend(service(host_port));
    let data = Some([octets(container), service(container_port)].concat());
    let map = match (host.is_ipv4(), host.is_unspecified()) {
        (true, true) => "ports4",
        (true, false) => "ports4_at",
        (false, true) => "ports6",
        (false, false) => "ports6_at",
    };
    Some((map, Element { key, data }))
}

/// What a virtual address of a bridge has: its place among those there are, and a member for each slot.
pub fn vip_elements(bridge: &str, vip: IpAddr, members: &[IpAddr]) -> [(&'static str, Vec<Element>); 2] {
    let names = if vip.is_ipv4() { ["vips4", "members4"] } else { ["vips6", "members6"] };
    let key = [name_key(bridge), octets(vip)].concat();
    let slot = |(number, member): (u32, &IpAddr)| {
        let key = [&key[..], &number.to_ne_bytes()].concat();
        Element { key, data: Some(octets(*member)) }
    };
    let slots = (0..SLOTS).zip(members.iter().cycle()).map(slot).collect();
    let own = if members.is_empty() { Vec::new() } else { vec![Element { key: key.clone(), data: None }] };
    [(names[0], own), (names[1], slots)]
}

/// An empty transaction on a table of this kind.
pub fn transaction(table: &str) -> Transaction<'_> {
    Transaction::new(INET, table)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_port_element_one_address_goes_into_the_narrow_map() {
        let container = "172.17.0.2".parse().unwrap();
        let (map, element) = port_element(6, "0.0.0.0".parse().unwrap(), 8080, container, 80).unwrap();
        assert_eq!((map, element.key), ("ports4", vec![6, 0, 0, 0, 0x1f, 0x90, 0, 0]));
        assert_eq!(element.data.unwrap(), [172, 17, 0, 2, 0, 80, 0, 0]);
        let (map, element) = port_element(17, "10.0.0.1".parse().unwrap(), 53, container, 53).unwrap();
        assert_eq!((map, element.key.len()), ("ports4_at", 12));
        assert!(port_element(6, "::".parse().unwrap(), 80, container, 80).is_none());
    }

    #[test]
    fn test_vip_elements_every_slot_has_a_member_and_members_take_turns() {
        let members: Vec<IpAddr> = [2u8, 3, 4].iter().map(|last| IpAddr::from([10, 0, 0, *last])).collect();
        let [(_, own), (map, slots)] = vip_elements("br0", IpAddr::from([10, 0, 0, 254]), &members);
        assert_eq!((own.len(), own[0].key.len(), map, slots.len()), (1, 20, "members4", 256));
        let turns: Vec<u8> = slots.iter().take(4).map(|slot| slot.data.as_ref().unwrap()[3]).collect();
        assert_eq!(turns, [2, 3, 4, 2]);
        assert_eq!(slots[255].key[20..], 255u32.to_ne_bytes());
        let [(_, own), (_, slots)] = vip_elements("br0", IpAddr::from([10, 0, 0, 254]), &[]);
        assert!(own.is_empty() && slots.is_empty(), "nobody is led to nowhere");
    }

    #[test]
    fn test_bridge_elements_internal_network_is_never_masqueraded() {
        let sets = |internal, masquerade| -> Vec<&str> {
            bridge_elements("pyctr0", internal, masquerade).into_iter().map(|(set, _)| set).collect()
        };
        assert_eq!(sets(false, true), [BRIDGES, SAME, OUTWARD]);
        assert_eq!(sets(true, true), [BRIDGES, SAME, INTERNAL]);
        assert_eq!(sets(false, false), [BRIDGES, SAME]);
    }
}
