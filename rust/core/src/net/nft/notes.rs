//! What nft writes down for itself of a set, and the kernel keeps unread (libnftnl, udata.h): without it some sets are listed in a
//! form that nft does not take back, so that a host's saved rules would not load.
//!
//! Everything is type, length, value, a byte each but for the value; numbers are in the machine's order.

const KEY_BYTE_ORDER: u8 = 0;
const DATA_BYTE_ORDER: u8 = 1;
const KEY_TYPE_OF: u8 = 3;
const DATA_TYPE_OF: u8 = 4;
const HOST_ORDER: u32 = 1;
const NETWORK_ORDER: u32 = 2;

// Kinds of expressions (nftables, expression.h), and the numbers its headers and fields have there (proto.h).
const PAYLOAD: u32 = 7;
const META: u32 = 9;
const CONCATENATION: u32 = 13;
const TURN: u32 = 23;
const INPUT_NAME: u32 = 6;
const DESTINATION_V4: (u32, u32) = (12, 12);
const DESTINATION_V6: (u32, u32) = (13, 9);

fn note(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    [&[kind, length], value].concat()
}

fn number(kind: u8, value: u32) -> Vec<u8> {
    note(kind, &value.to_ne_bytes())
}

fn expression(kind: u32, parts: &[Vec<u8>]) -> Vec<u8> {
    [number(0, kind), note(1, &parts.concat())].concat()
}

/// The key is in the machine's order: names of links would be listed backwards.
pub fn of_names() -> Vec<u8> {
    number(KEY_BYTE_ORDER, HOST_ORDER)
}

/// Key and data of a map `iifname . daddr . numgen inc mod N : daddr`: a number has no type with a name.
fn of_members(destination: (u32, u32), slots: u32) -> Vec<u8> {
    let address = expression(PAYLOAD, &[number(0, destination.0), number(1, destination.1)]);
    let parts = [
        note(0, &expression(META, &[number(0, INPUT_NAME)])),
        note(1, &address),
        note(2, &expression(TURN, &[number(0, 0), number(1, slots), number(2, 0)])),
    ];
    [
        number(KEY_BYTE_ORDER, 0),
        number(DATA_BYTE_ORDER, NETWORK_ORDER),
        note(KEY_TYPE_OF, &expression(CONCATENATION, &parts)),
        note(DATA_TYPE_OF, &address),
    ]
    .concat()
}

/// For IPv4.
pub fn of_members_v4() -> Vec<u8> {
    of_members(DESTINATION_V4, super::table::SLOTS)
}

/// For IPv6.
pub fn of_members_v6() -> Vec<u8> {
    of_members(DESTINATION_V6, super::table::SLOTS)
}
