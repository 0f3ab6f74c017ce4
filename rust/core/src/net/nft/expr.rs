//! Expressions of nftables rules (include/uapi/linux/netfilter/nf_tables.h). A rule is a list of them; one that does not match
//! ends the rule.
//!
//! Registers are numbered by four bytes, from [`R0`] on; a value begins in one and covers as many as it is long.

use crate::net::netlink::Batch;

/// The first register of four bytes.
pub const R0: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

/// Part of a packet, or what is known of it.
#[derive(Debug, Clone, Copy)]
pub enum Meta {
    /// Index of the link it came by; 0: there is none.
    InputIndex = 4,
    /// Name of the link it came by.
    InputName = 6,
    /// Name of the link it leaves by.
    OutputName = 7,
    /// IPv4 or IPv6.
    Family = 15,
    /// tcp, udp, …
    Protocol = 16,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// It goes on to the next chain.
    Accept,
    /// It goes nowhere.
    Drop,
    /// Another chain of the table says.
    Jump(&'static str),
    /// The chain that jumped here goes on.
    Return,
}

/// Protocol families, as the kernel numbers them.
pub const IPV4: u8 = 2;
/// IPv6.
pub const IPV6: u8 = 10;

/// Conntrack states established and related.
pub const ESTABLISHED_RELATED: u32 = 2 | 4;
/// Conntrack status: the destination was translated.
pub const DESTINATION_NAT: u32 = 1 << 5;

const LIST_ELEMENT: u16 = 1;

fn expression(batch: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    batch.nested(LIST_ELEMENT, |batch| {
        batch.text(1, name);
        batch.nested(2, data);
    });
}

/// A value, as the kernel wants it wrapped.
pub fn value(batch: &mut Batch, kind: u16, bytes: &[u8]) {
    batch.nested(kind, |batch| batch.attribute(1, bytes));
}

/// Loads what is known of the packet.
pub fn meta(batch: &mut Batch, key: Meta, register: u32) {
    expression(batch, "meta", |batch| {
        batch.big(1, register);
        batch.big(2, key as u32);
    });
}

/// Loads bytes of the network header.
pub fn network(batch: &mut Batch, offset: u32, length: u32, register: u32) {
    payload(batch, 1, offset, length, register);
}

/// Loads bytes of the transport header.
pub fn transport(batch: &mut Batch, offset: u32, length: u32, register: u32) {
    payload(batch, 2, offset, length, register);
}

fn payload(batch: &mut Batch, base: u32, offset: u32, length: u32, register: u32) {
    expression(batch, "payload", |batch| {
        for (kind, number) in [(1, register), (2, base), (3, offset), (4, length)] {
            batch.big(kind, number);
        }
    });
}

/// Goes on if a register holds these bytes.
pub fn equals(batch: &mut Batch, register: u32, bytes: &[u8]) {
    compare(batch, register, 0, bytes);
}

/// Goes on if a register holds others.
pub fn differs(batch: &mut Batch, register: u32, bytes: &[u8]) {
    compare(batch, register, 1, bytes);
}

fn compare(batch: &mut Batch, register: u32, operator: u32, bytes: &[u8]) {
    expression(batch, "cmp", |batch| {
        batch.big(1, register);
        batch.big(2, operator);
        value(batch, 3, bytes);
    });
}

/// Keeps the bits of `mask`.
pub fn mask(batch: &mut Batch, register: u32, mask: &[u8]) {
    expression(batch, "bitwise", |batch| {
        batch.big(1, register);
        batch.big(2, register);
        batch.big(3, u32::try_from(mask.len()).unwrap_or(4));
        value(batch, 4, mask);
        value(batch, 5, &vec![0; mask.len()]);
    });
}

/// Loads a conntrack value in the machine's order: 0 state, 2 status.
pub fn conntrack(batch: &mut Batch, key: u32, register: u32) {
    expression(batch, "ct", |batch| {
        batch.big(1, register);
        batch.big(2, key);
    });
}

/// Goes on if the set has what the registers hold (or, `inverted`, has not).
pub fn is_in(batch: &mut Batch, set: &str, register: u32, inverted: bool) {
    expression(batch, "lookup", |batch| {
        batch.text(1, set);
        batch.big(2, register);
        if inverted {
            batch.big(5, 1);
        }
    });
}

/// Replaces the key in the registers by what the map has for it; ends the rule where it has nothing.
pub fn translate(batch: &mut Batch, map: &str, register: u32) {
    expression(batch, "lookup", |batch| {
        batch.text(1, map);
        batch.big(2, register);
        batch.big(3, register);
    });
}

/// Which address of a packet.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// Where it comes from.
    Source = 1,
    /// Where it goes.
    Destination = 2,
}

/// Loads what kind of address one of the packet's is to this host (fib … type).
pub fn address_type(batch: &mut Batch, end: End, register: u32) {
    const ADDRESS_TYPE: u32 = 3;
    expression(batch, "fib", |batch| {
        for (kind, number) in [(1, register), (2, ADDRESS_TYPE), (3, end as u32)] {
            batch.big(kind, number);
        }
    });
}

/// Sends the packet to the address in a register; the port is that in another, or stays.
pub fn destination_nat(batch: &mut Batch, family: u8, address: u32, port: Option<u32>) {
    expression(batch, "nat", |batch| {
        for (kind, number) in [(1, 1), (2, u32::from(family)), (3, address)] {
            batch.big(kind, number);
        }
        if let Some(port) = port {
            batch.big(5, port);
        }
    });
}

/// Loads whose turn it is: 0, 1, … up to one less than `modulus`, and again.
pub fn turn(batch: &mut Batch, modulus: u32, register: u32) {
    expression(batch, "numgen", |batch| {
        for (kind, number) in [(1, register), (2, modulus), (3, 0)] {
            batch.big(kind, number);
        }
    });
}

/// Makes the packet come from the address of the link it leaves by.
pub fn masquerade(batch: &mut Batch) {
    expression(batch, "masq", |_| {});
}

/// Loads bytes.
pub fn load(batch: &mut Batch, register: u32, bytes: &[u8]) {
    expression(batch, "immediate", |batch| {
        batch.big(1, register);
        value(batch, 2, bytes);
    });
}

/// Ends the rule.
pub fn verdict(batch: &mut Batch, verdict: Verdict) {
    let (code, chain) = match verdict {
        Verdict::Drop => (0i32, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Return => (-5, None),
    };
    expression(batch, "immediate", |batch| {
        batch.big(1, VERDICT_REGISTER);
        batch.nested(2, |batch| {
            batch.nested(2, |batch| {
                batch.big(1, code.cast_unsigned());
                if let Some(chain) = chain {
                    batch.text(2, chain);
                }
            });
        });
    });
}
