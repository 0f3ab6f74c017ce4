//! nftables over netlink: transactions of tables, chains, sets, rules, elements. Nothing here knows what pyctr does with them.

#![allow(clippy::decimal_bitwise_operands)] // numbers of messages, counted as linux/netfilter/nf_tables.h does

use super::netlink::{ACK, APPEND, Answer, Batch, CREATE, DUMP, EXCL, Socket, attribute, attributes};
use crate::Result;

pub mod expr;
mod notes;
pub mod table;

const SUBSYSTEM: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEWTABLE: u16 = SUBSYSTEM;
const GETTABLE: u16 = SUBSYSTEM | 1;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const NEWRULE: u16 = SUBSYSTEM | 6;
const NEWSET: u16 = SUBSYSTEM | 9;
const NEWSETELEM: u16 = SUBSYSTEM | 0xc;
const GETSETELEM: u16 = SUBSYSTEM | 0xd;
const DELSETELEM: u16 = SUBSYSTEM | 0xe;
const SET_IS_MAP: u32 = 8;

/// Family of tables for both IPv4 and IPv6.
pub const INET: u8 = 1;
/// Family of tables for IPv4.
pub const IP: u8 = 2;

/// Where a base chain is hooked in.
#[derive(Debug, Clone, Copy)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// The hook's number (include/uapi/linux/netfilter.h).
    pub number: u32,
    /// Its place among others there.
    pub priority: i32,
}

/// A set or map: names of types are nft's own, for whoever lists it.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// nft's number for the key's type, and its length in bytes.
    pub key: (u32, u32),
    /// The same of what a map maps to.
    pub data: Option<(u32, u32)>,
    /// What nft needs to know besides to list it.
    pub notes: Option<fn() -> Vec<u8>>,
}

/// What happens at once or not at all: a transaction on one table.
#[derive(Debug)]
pub struct Transaction<'a> {
    batch: Batch,
    family: u8,
    table: &'a str,
}

impl<'a> Transaction<'a> {
    /// An empty one.
    pub fn new(family: u8, table: &'a str) -> Self {
        let mut batch = Batch::default();
        let header = [0, 0, 0, 10]; // resource: the nftables subsystem, in network order
        batch.message(BATCH_BEGIN, 0, &header, "begin transaction on table", table);
        Self { batch, family, table }
    }

    fn message(&mut self, kind: u16, flags: u16, operation: &'static str, object: &str) -> &mut Batch {
        self.batch.message(kind, flags, &[self.family, 0, 0, 0], operation, object);
        self.batch.text(1, self.table); // the table's name is attribute 1 of every message
        &mut self.batch
    }

    /// Makes the table; with `exclusive` one that exists is refused.
    pub fn add_table(&mut self, exclusive: bool) {
        let flags = if exclusive { CREATE | EXCL } else { CREATE };
        let table = self.table;
        self.message(NEWTABLE, flags, "make table", table);
    }

    /// Removes the table and everything in it.
    pub fn delete_table(&mut self) {
        let table = self.table;
        self.message(DELTABLE, 0, "remove table", table);
    }

    /// Makes a chain, hooked in or not.
    pub fn add_chain(&mut self, name: &str, hook: Option<Hook>) {
        let batch = self.message(NEWCHAIN, CREATE, "make chain", name);
        batch.text(3, name);
        if let Some(hook) = hook {
            batch.nested(4, |batch| {
                batch.big(1, hook.number);
                batch.big(2, hook.priority.cast_unsigned());
            });
            batch.big(5, 1); // policy accept
            batch.text(7, hook.kind);
        }
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, expressions: impl FnOnce(&mut Batch)) {
        let batch = self.message(NEWRULE, CREATE | APPEND, "make rule of chain", chain);
        batch.text(2, chain);
        batch.nested(4, expressions);
    }

    /// Makes a set or a map.
    pub fn add_set(&mut self, set: &Set, id: u32) {
        let batch = self.message(NEWSET, CREATE, "make set", set.name);
        batch.text(2, set.name);
        batch.big(3, if set.data.is_some() { SET_IS_MAP } else { 0 });
        batch.big(4, set.key.0);
        batch.big(5, set.key.1);
        if let Some((kind, length)) = set.data {
            batch.big(6, kind);
            batch.big(7, length);
        }
        batch.big(10, id);
        if let Some(notes) = set.notes {
            batch.attribute(13, &notes());
        }
    }

    /// Adds elements: keys, and what a map has for them. One that is there already with other data is refused.
    pub fn add_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(NEWSETELEM, CREATE, "add element to", set, elements);
    }

    /// Removes elements; one that is not there is refused.
    pub fn delete_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(DELSETELEM, 0, "remove element from", set, elements);
    }

    fn elements(&mut self, kind: u16, flags: u16, operation: &'static str, set: &str, elements: &[Element]) {
        // An attribute is at most 64 KiB long.
        for chunk in elements.chunks(256) {
            let batch = self.message(kind, flags, operation, set);
            batch.text(2, set);
            batch.nested(3, |batch| {
                for element in chunk {
                    batch.nested(1, |batch| {
                        expr::value(batch, 1, &element.key);
                        if let Some(data) = &element.data {
                            expr::value(batch, 2, data);
                        }
                    });
                }
            });
        }
    }

    /// Does it.
    pub fn commit(mut self, socket: &Socket) -> Result<()> {
        self.batch.acknowledge(); // refusals are told anyway
        let last = self.batch.count();
        self.batch.message(BATCH_END, 0, &[0, 0, 0, 10], "commit transaction on table", self.table);
        socket.send(self.batch, last).map(drop)
    }
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key; parts are padded to four bytes each.
    pub key: Vec<u8>,
    /// What a map has for it.
    pub data: Option<Vec<u8>>,
}

/// Whether a table exists.
pub fn table_exists(socket: &Socket, family: u8, table: &str) -> Result<bool> {
    let mut batch = Batch::default();
    batch.message(GETTABLE, ACK, &[family, 0, 0, 0], "find table", table);
    batch.text(1, table);
    match socket.talk(batch) {
        Ok(_) => Ok(true),
        Err(error) if error.errno == Some(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The keys in a set; none where set or table is missing.
pub fn keys(socket: &Socket, family: u8, table: &str, set: &str) -> Result<Vec<Vec<u8>>> {
    let mut batch = Batch::default();
    batch.message(GETSETELEM, DUMP, &[family, 0, 0, 0], "list set", set);
    batch.text(1, table);
    batch.text(2, set);
    match socket.talk(batch) {
        Ok(answers) => Ok(answers.iter().flat_map(elements_of).collect()),
        Err(error) if error.errno == Some(rustix::io::Errno::NOENT) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn elements_of(answer: &Answer) -> Vec<Vec<u8>> {
    let list = answer.payload.get(4..).and_then(|payload| attribute(payload, 3)).unwrap_or_default();
    let key = |element| attribute(element, 1).and_then(|key| attribute(key, 1)).map(<[u8]>::to_vec);
    attributes(list).filter_map(|(_, element)| key(element)).collect()
}
