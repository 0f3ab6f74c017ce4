//! Port 53 of 127.0.0.11 inside a container leads to the name server's own ports, which are any: a container may bind port 53
//! itself.

use std::os::fd::BorrowedFd;

use super::endpoint::within;
use super::netlink::Socket;
use super::nft::expr::{self, Meta, R0, Verdict};
use super::nft::{Hook, IP, Transaction};
use crate::Result;

/// Where containers find the name server.
pub const ADDRESS: [u8; 4] = [127, 0, 0, 11];
const PORT: u16 = 53;
const TABLE: &str = "pyctr";
const UDP: u8 = 17;
const TCP: u8 = 6;

/// Makes 127.0.0.11:53 lead to these ports of 127.0.0.11, in a container's network namespace.
pub fn redirect(namespace: BorrowedFd<'_>, udp_port: u16, tcp_port: u16) -> Result<()> {
    let socket = within(namespace, Socket::netfilter)?;
    let mut transaction = Transaction::new(IP, TABLE);
    transaction.add_table(true);
    transaction.add_chain("output", Some(Hook { kind: "nat", number: 3, priority: -100 }));
    for (protocol, port) in [(UDP, udp_port), (TCP, tcp_port)] {
        transaction.add_rule("output", |batch| {
            expr::network(batch, 16, 4, R0);
            expr::equals(batch, R0, &ADDRESS);
            expr::meta(batch, Meta::Protocol, R0);
            expr::equals(batch, R0, &[protocol]);
            expr::transport(batch, 2, 2, R0);
            expr::equals(batch, R0, &PORT.to_be_bytes());
            expr::load(batch, R0, &ADDRESS);
            expr::load(batch, R0 + 1, &port.to_be_bytes());
            expr::destination_nat(batch, expr::IPV4, R0, Some(R0 + 1));
        });
    }
    transaction.add_rule("output", |batch| expr::verdict(batch, Verdict::Accept));
    transaction.commit(&socket)
}
