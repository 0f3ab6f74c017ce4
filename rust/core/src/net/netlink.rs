//! Netlink messages, built by hand and sent in one go: what a start needs is a dozen messages of three kinds, less than the
//! tables of any crate that knows them all.
//!
//! A batch is a sequence of messages; each says what it is about, so that the kernel's refusal of one of them becomes an error
//! that names it (netlink(7), include/uapi/linux/netlink.h).

use std::cell::OnceCell;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::{Error, Kind, Result};

pub const REQUEST: u16 = 0x1;
pub const ACK: u16 = 0x4;
pub const REPLACE: u16 = 0x100;
pub const EXCL: u16 = 0x200;
pub const CREATE: u16 = 0x400;
pub const APPEND: u16 = 0x800;
pub const DUMP: u16 = 0x300;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

const HEADER_BYTES: usize = 16;
const TYPE_ERROR: u16 = 2;
const TYPE_DONE: u16 = 3;
const RECEIVE_BYTES: usize = 64 * 1024;
const NETFILTER: u32 = 12;

/// Messages to be sent together.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Operation and object of each message, in order; its sequence number is its index plus one.
    about: Vec<(&'static str, String)>,
    last: usize,
}

impl Batch {
    /// Begins a message; the one before it is complete.
    pub fn message(&mut self, kind: u16, flags: u16, header: &[u8], operation: &'static str, object: &str) {
        self.finish();
        self.last = self.bytes.len();
        self.about.push((operation, object.to_owned()));
        let sequence = u32::try_from(self.about.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.raw(header);
    }

    /// Adds an attribute to the message.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value);
    }

    /// Adds a string, with the null byte the kernel expects.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), b"\0"].concat());
    }

    /// Adds a number in the machine's order.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Adds a number in network order, as nftables has them.
    pub fn big(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Adds an attribute made of attributes.
    pub fn nested(&mut self, kind: u16, inner: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        inner(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds bytes, padded to four.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Wants an acknowledgement of the message, the one of all before it too where they succeed or fail together.
    pub fn acknowledge(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6) {
            *flags |= ACK.to_ne_bytes()[0];
        }
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.about.len()
    }

    fn finish(&mut self) {
        if self.bytes.len() > self.last {
            let length = u32::try_from(self.bytes.len() - self.last).unwrap_or(u32::MAX);
            self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }

    fn error(&self, sequence: u32, errno: Errno) -> Error {
        let known = (sequence as usize).checked_sub(1).and_then(|index| self.about.get(index));
        let (operation, object) = known.cloned().unwrap_or(("talk to", "netlink".to_owned()));
        Error::kernel(operation, object, errno)
    }
}

/// An answer that is not an acknowledgement: its type, its fixed header and attributes.
#[derive(Debug)]
pub struct Answer {
    /// Message type.
    pub kind: u16,
    /// What follows the netlink header.
    pub payload: Vec<u8>,
}

/// A netlink socket of the network namespace this thread was in when it was made.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Links, addresses, routes.
    pub fn route() -> Result<Self> {
        Self::new(None)
    }

    /// nftables.
    pub fn netfilter() -> Result<Self> {
        Self::new(std::num::NonZeroU32::new(NETFILTER).map(Protocol::from_raw))
    }

    fn new(protocol: Option<Protocol>) -> Result<Self> {
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map(|fd| Self { fd })
            .map_err(|errno| Error::kernel("open", "a netlink socket", errno))
    }

    /// Sends a batch; the first refusal is the error, after all messages were answered. `acknowledged` is the sequence number
    /// of the last message that carries [`ACK`].
    pub fn send(&self, mut batch: Batch, acknowledged: usize) -> Result<Vec<Answer>> {
        batch.finish();
        let fail = |errno| Error::kernel("talk to", "netlink", errno);
        rustix::net::send(&self.fd, &batch.bytes, SendFlags::empty()).map_err(fail)?;
        let mut buffer = vec![0u8; RECEIVE_BYTES];
        let (mut answers, mut failure) = (Vec::new(), None);
        loop {
            let (length, _) = match rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                received => received.map_err(fail)?,
            };
            let mut rest = &buffer[..length];
            while let Some((header, payload, after)) = split_message(rest) {
                rest = after;
                match header.kind {
                    TYPE_ERROR => {
                        let errno = number_at(payload, 0).map_or(0, u32::cast_signed);
                        if errno != 0 && failure.is_none() {
                            failure = Some(batch.error(header.sequence, Errno::from_raw_os_error(-errno)));
                        }
                        if header.sequence as usize >= acknowledged {
                            return failure.map_or(Ok(answers), Err);
                        }
                    }
                    TYPE_DONE => return failure.map_or(Ok(answers), Err),
                    kind => answers.push(Answer { kind, payload: payload.to_vec() }),
                }
            }
        }
    }

    /// Sends a batch whose last message carries [`ACK`], or is a dump.
    pub fn talk(&self, batch: Batch) -> Result<Vec<Answer>> {
        let last = batch.count();
        self.send(batch, last)
    }
}

/// The two conversations with the kernel of this network namespace, each begun when it is first needed.
///
/// Kept as long as there may be more to say: closing a netfilter socket waits for everything that transactions removed to be
/// freed (nft_rcv_nl_event in net/netfilter/nf_tables_api.c), a dozen milliseconds.
#[derive(Debug, Default)]
pub struct Kernel {
    route: OnceCell<Socket>,
    netfilter: OnceCell<Socket>,
}

impl Kernel {
    /// For links, addresses, routes.
    pub fn route(&self) -> Result<&Socket> {
        get(&self.route, Socket::route)
    }

    /// For nftables.
    pub fn netfilter(&self) -> Result<&Socket> {
        get(&self.netfilter, Socket::netfilter)
    }
}

fn get(cell: &OnceCell<Socket>, make: impl FnOnce() -> Result<Socket>) -> Result<&Socket> {
    if let Some(socket) = cell.get() {
        return Ok(socket);
    }
    let socket = make()?;
    Ok(cell.get_or_init(|| socket))
}

struct Header {
    kind: u16,
    sequence: u32,
}

fn split_message(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let length = number_at(bytes, 0)? as usize;
    let payload = bytes.get(HEADER_BYTES..length)?;
    let header = Header { kind: u16::from_ne_bytes([bytes[4], bytes[5]]), sequence: number_at(bytes, 8)? };
    Some((header, payload, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// A number in the machine's order.
pub fn number_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// The attributes of a message after its fixed header, or of a nest.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes([*bytes.first()?, *bytes.get(1)?]));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & TYPE_MASK;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// One attribute.
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// What a netlink answer that should be there lacks.
pub fn garbled(object: &str) -> Error {
    Error::new(Kind::State, "read", object, "unexpected answer from netlink")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_batch_attributes_are_read_back_nested_and_padded() {
        let mut batch = Batch::default();
        batch.message(16, ACK, &[0; 16], "make", "x");
        batch.text(3, "veth0");
        batch.nested(18, |batch| batch.text(1, "veth"));
        batch.number(4, 1400);
        batch.finish();
        let (header, payload, rest) = split_message(&batch.bytes).unwrap();
        assert!(rest.is_empty() && header.kind == 16 && header.sequence == 1);
        let found: Vec<_> = attributes(&payload[16..]).map(|(kind, value)| (kind, value.len())).collect();
        assert_eq!(found, [(3, 6), (18, 12), (4, 4)]);
        let inner = attribute(&payload[16..], 18).unwrap();
        assert_eq!(attribute(inner, 1), Some(&b"veth\0"[..]));
    }

    #[test]
    fn test_attributes_truncated_or_lying_end_quietly() {
        for bytes in [&[][..], &[1], &[0, 0, 1, 0], &[255, 0, 1, 0, 5], &[3, 0, 1, 0, 9, 9]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn test_talk_refusal_names_the_message() {
        let socket = Socket::route().unwrap();
        let mut batch = Batch::default();
        batch.message(18, ACK, &[0; 16], "find link", "pyctr-none");
        batch.text(3, "pyctr-none");
        let error = socket.talk(batch).unwrap_err();
        assert_eq!(error.to_string(), "find link pyctr-none: No such device");
    }
}
