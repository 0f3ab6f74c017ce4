//! Datagrams passed on to the host's name servers, in turn, each with its own patience.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::message::{self, Code, HEADER_BYTES};

const PORT: u16 = 53;
/// How long a server has while there is another to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the last one has; a client asks again after five seconds (resolver(5)).
const PATIENCE_LAST: Duration = Duration::from_secs(4);
/// Queries under way at a time; one more is refused: a container that asks faster than anybody answers.
const UNDER_WAY_MAX: usize = 512;
const MESSAGE_MAX: usize = 65_535;

/// Who is asked, and where everybody is watched.
#[derive(Debug)]
pub struct Servers {
    /// The name server's own epoll.
    pub epoll: OwnedFd,
    /// In the order they are asked.
    pub addresses: Vec<IpAddr>,
}

impl Servers {
    /// How long this one has.
    pub fn patience(&self, server: usize) -> Duration {
        if server + 1 < self.addresses.len() { PATIENCE } else { PATIENCE_LAST }
    }

    /// A socket that leads to a server, perhaps not connected yet.
    pub fn connect(&self, server: usize, kind: SocketType) -> rustix::io::Result<OwnedFd> {
        let address = self.addresses[server];
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        match rustix::net::connect(&socket, &SocketAddr::new(address, PORT)) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
            Err(errno) => Err(errno),
        }
    }

    /// Whether what a server says means that another is to be asked (as glibc and Docker do): it failed, or does not want to.
    pub fn should_ask_next(&self, server: usize, answer: &[u8]) -> bool {
        const REFUSED: u8 = 5;
        let code = answer.get(3).map_or(0, |byte| byte & 15);
        server + 1 < self.addresses.len() && (code == Code::Failed as u8 || code == REFUSED)
    }
}

/// Whether this is an answer to that query.
pub fn answers(answer: &[u8], query: &[u8]) -> bool {
    answer.len() >= HEADER_BYTES && answer.get(..2) == query.get(..2) && answer[2] & 0x80 != 0
}

/// What a client hears when nobody answered.
pub fn failure(query: &[u8]) -> Vec<u8> {
    message::answer(query, message::parse(query).ok().as_ref(), Code::Failed, &[], None)
}

/// Datagrams under way, by token.
#[derive(Debug, Default)]
pub struct Queries(BTreeMap<u64, Query>);

#[derive(Debug)]
struct Query {
    client: SocketAddr,
    message: Vec<u8>,
    socket: OwnedFd,
    server: usize,
    deadline: Instant,
}

impl Queries {
    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all: nobody hears of their answers.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Passes a datagram on; what to tell the client at once if it cannot be.
    pub fn ask(&mut self, servers: &Servers, token: u64, message: &[u8], client: SocketAddr) -> Option<Vec<u8>> {
        if self.0.len() >= UNDER_WAY_MAX {
            return Some(failure(message));
        }
        self.send(servers, token, message.to_vec(), client, 0)
    }

    /// Asks the first server from `from` on that can be reached.
    fn send(
        &mut self,
        servers: &Servers,
        token: u64,
        message: Vec<u8>,
        client: SocketAddr,
        from: usize,
    ) -> Option<Vec<u8>> {
        for server in from..servers.addresses.len() {
            let sent = servers.connect(server, SocketType::DGRAM).and_then(|socket| {
                rustix::net::send(&socket, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
                epoll::add(&servers.epoll, &socket, EventData::new_u64(token), EventFlags::IN)?;
                Ok(socket)
            });
            if let Ok(socket) = sent {
                let deadline = Instant::now() + servers.patience(server);
                self.0.insert(token, Query { client, message, socket, server, deadline });
                return None;
            }
        }
        Some(failure(&message))
    }

    /// A server answered, or its host says that there is none: what to tell whom.
    pub fn hear(&mut self, servers: &Servers, token: u64) -> Option<(SocketAddr, Vec<u8>)> {
        let query = self.0.get(&token)?;
        let mut bytes = vec![0; MESSAGE_MAX];
        match rustix::net::recv(&query.socket, &mut bytes[..], RecvFlags::DONTWAIT) {
            // An answer to something else is nobody's; the right one may come still.
            Ok((length, _)) if !answers(&bytes[..length], &query.message) => None,
            Ok((length, _)) if !servers.should_ask_next(query.server, &bytes[..length]) => {
                bytes.truncate(length);
                self.0.remove(&token).map(|query| (query.client, bytes))
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => None,
            _ => self.ask_next(servers, token),
        }
    }

    fn ask_next(&mut self, servers: &Servers, token: u64) -> Option<(SocketAddr, Vec<u8>)> {
        let query = self.0.remove(&token)?;
        let answer = self.send(servers, token, query.message, query.client, query.server + 1)?;
        Some((query.client, answer))
    }

    /// What waited too long: what to tell whom.
    pub fn expire(&mut self, servers: &Servers, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let late = self.0.iter().filter(|(_, query)| query.deadline <= now).map(|(token, _)| *token);
        let late: Vec<u64> = late.collect();
        late.into_iter().filter_map(|token| self.ask_next(servers, token)).collect()
    }
}
