//! What a keeper and its clients say to each other: one packet each way, descriptors alongside.
//!
//! A client that connects is given the user and the mount namespace unasked.

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use crate::net::Protocol;
use crate::{Error, Kind, Result};

const FDS_MAX: usize = 3;
const PACKET_MAX: usize = 4096;
const DONE: u8 = 0;
const REFUSED: u8 = 1;
const FAILED: u8 = 2;
const BIND_BYTES: usize = 21;

/// What is asked of a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The user's network namespace.
    Network,
    /// The same, connected with the host's network.
    NetworkWithWayOut,
    /// A socket of the host's network, bound.
    Bind(Protocol, SocketAddr),
}

impl Asked {
    /// As it is sent.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Network => vec![b'n'],
            Self::NetworkWithWayOut => vec![b'N'],
            Self::Bind(protocol, address) => {
                let (family, octets) = match address.ip() {
                    IpAddr::V4(ip) => (4, ip.to_ipv6_mapped().octets()),
                    IpAddr::V6(ip) => (6, ip.octets()),
                };
                let port = address.port().to_be_bytes();
                [&[b'b', protocol.number(), family][..], &port[..], &octets[..]].concat()
            }
        }
    }

    /// None for what is no request.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'n'] => Some(Self::Network),
            [b'N'] => Some(Self::NetworkWithWayOut),
            [b'b', protocol, family, high, low, octets @ ..] if bytes.len() == BIND_BYTES => {
                let protocol =
                    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|one| one.number() == *protocol)?;
                let mapped = Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?);
                let ip = match family {
                    4 => IpAddr::V4(mapped.to_ipv4_mapped()?),
                    6 => IpAddr::V6(mapped),
                    _ => return None,
                };
                Some(Self::Bind(protocol, SocketAddr::new(ip, u16::from_be_bytes([*high, *low]))))
            }
            _ => None,
        }
    }
}

/// How a keeper answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel said no.
    Kernel(Errno),
    /// In words, with what to do about it.
    Words(String, Option<String>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Words(error.to_string(), error.hint)
    }
}

/// Sends an answer.
pub fn answer(
    socket: BorrowedFd<'_>,
    answer: &std::result::Result<Vec<BorrowedFd<'_>>, Refusal>,
) -> rustix::io::Result<()> {
    match answer {
        Ok(fds) => send(socket, &[DONE], fds),
        Err(Refusal::Kernel(errno)) => {
            send(socket, &[&[FAILED][..], &errno.raw_os_error().to_le_bytes()[..]].concat(), &[])
        }
        Err(Refusal::Words(words, hint)) => {
            let text = format!("{words}\0{}", hint.as_deref().unwrap_or(""));
            send(socket, &[&[REFUSED][..], text.as_bytes()].concat(), &[])
        }
    }
}

/// Waits for an answer; its descriptors.
pub fn receive_answer(socket: BorrowedFd<'_>) -> Result<std::result::Result<Vec<OwnedFd>, Errno>> {
    let gone = || Error::new(Kind::State, "hear from", "the keeper of the user's namespaces", "gone without a word");
    let (bytes, fds) = receive(socket).map_err(|errno| match errno {
        Errno::CONNRESET => gone(),
        _ => Error::kernel("hear from", "the keeper of the user's namespaces", errno),
    })?;
    match bytes.split_first() {
        Some((&DONE, _)) => Ok(Ok(fds)),
        Some((&FAILED, rest)) => {
            Ok(Err(Errno::from_raw_os_error(i32::from_le_bytes(rest.try_into().unwrap_or_default()))))
        }
        Some((&REFUSED, rest)) => {
            let text = String::from_utf8_lossy(rest);
            let (words, hint) = text.split_once('\0').unwrap_or((&text, ""));
            let error = Error::new(Kind::State, words, "", "");
            Err(if hint.is_empty() { error } else { error.with_hint(hint) })
        }
        _ => Err(gone()),
    }
}

/// Sends one packet.
pub fn send(socket: BorrowedFd<'_>, data: &[u8], fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::MSGSIZE);
    }
    // Who does not read is not waited for: a packet is small, and there is one under way at a time.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(socket, &[std::io::IoSlice::new(data)], &mut control, flags).map(drop)
}

/// Waits for one packet; empty where the other side has gone.
pub fn receive(socket: BorrowedFd<'_>) -> rustix::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut data = vec![0u8; PACKET_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    loop {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [std::io::IoSliceMut::new(&mut data)];
        match rustix::net::recvmsg(socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(message) => {
                let mut fds = Vec::new();
                for part in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = part {
                        fds.extend(rights);
                    }
                }
                data.truncate(message.bytes);
                return Ok((data, fds));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_decode_what_was_encoded_comes_back() {
        for address in ["0.0.0.0:80", "127.0.0.1:65535", "[::]:1", "[fe80::1]:53"] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                let asked = Asked::Bind(protocol, address.parse().unwrap());
                assert_eq!(Asked::decode(&asked.encode()), Some(asked));
            }
        }
        for asked in [Asked::Network, Asked::NetworkWithWayOut] {
            assert_eq!(Asked::decode(&asked.encode()), Some(asked));
        }
    }

    #[test]
    fn test_decode_nonsense_is_none() {
        let good = Asked::Bind(Protocol::Tcp, "0.0.0.0:80".parse().unwrap()).encode();
        for (index, byte) in [(0, b'x'), (1, 99), (2, 5), (20, 0)] {
            let mut bad = good.clone();
            bad[index] = byte;
            assert!(index == 20 || Asked::decode(&bad).is_none(), "{index}");
        }
        assert_eq!(Asked::decode(&good[..20]), None);
        assert_eq!(Asked::decode(&[]), None);
        assert_eq!(Asked::decode(b"nn"), None);
    }

    #[test]
    fn test_answer_words_and_hint_arrive() {
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        answer(ours.as_fd(), &Err(Refusal::Words("no way out".into(), Some("install it".into())))).unwrap();
        let error = receive_answer(theirs.as_fd()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.hint.as_deref()), ("no way out", Some("install it")));
        answer(ours.as_fd(), &Err(Refusal::Kernel(Errno::ADDRINUSE))).unwrap();
        assert_eq!(receive_answer(theirs.as_fd()).unwrap().unwrap_err(), Errno::ADDRINUSE);
        answer(ours.as_fd(), &Ok(vec![ours.as_fd(), theirs.as_fd()])).unwrap();
        assert_eq!(receive_answer(theirs.as_fd()).unwrap().unwrap().len(), 2);
        drop(ours);
        assert!(receive_answer(theirs.as_fd()).unwrap_err().to_string().contains("gone without a word"));
    }
}
