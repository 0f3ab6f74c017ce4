//! What is asked of the host's name servers, and connections of the container's own: everything that is under way.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::{ASKED, MESSAGE_MAX, TIMER, UNDER_WAY_MAX, failure};

const PORT: u16 = 53;
/// How long one server has; a client asks again after five seconds (resolver(5)).
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
const TICK_S: i64 = 1;
const LENGTH_BYTES: usize = 2;

/// Everything under way.
#[derive(Debug)]
pub struct Upstream {
    servers: Vec<IpAddr>,
    under_way: BTreeMap<u64, UnderWay>,
    next: u64,
    timer: OwnedFd,
    armed: bool,
}

#[derive(Debug)]
enum UnderWay {
    /// A datagram passed on.
    Query { client: SocketAddr, query: Vec<u8>, socket: OwnedFd, server: usize, deadline: Instant },
    /// A connection of the container's.
    Client { socket: OwnedFd, read: Vec<u8>, deadline: Instant },
    /// A connection to a server, for a connection of the container's.
    Server { socket: OwnedFd, unsent: Vec<u8>, read: Vec<u8>, client: u64, deadline: Instant },
}

impl UnderWay {
    fn deadline(&self) -> Instant {
        match self {
            Self::Query { deadline, .. } | Self::Client { deadline, .. } | Self::Server { deadline, .. } => *deadline,
        }
    }
}

impl Upstream {
    /// For these servers, in the order they are asked.
    pub fn new(epoll: &OwnedFd, servers: Vec<IpAddr>) -> rustix::io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { servers, under_way: BTreeMap::new(), next: ASKED, timer, armed: false })
    }

    /// Nobody can be asked.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    fn insert(&mut self, entry: UnderWay) -> u64 {
        self.next += 1;
        self.under_way.insert(self.next, entry);
        self.arm(true);
        self.next
    }

    /// Once a second, only while something is under way.
    fn arm(&mut self, wanted: bool) {
        if self.armed == wanted {
            return;
        }
        let period = Timespec { tv_sec: if wanted { TICK_S } else { 0 }, tv_nsec: 0 };
        let times = Itimerspec { it_interval: period, it_value: period };
        self.armed = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times).is_ok() && wanted;
    }

    /// Passes a datagram on; false: it cannot be.
    pub fn ask_datagram(&mut self, epoll: &OwnedFd, query: &[u8], client: SocketAddr) -> bool {
        if self.under_way.len() >= UNDER_WAY_MAX {
            return false;
        }
        self.send(epoll, query.to_vec(), client, 0)
    }

    /// Asks the first server from `from` on that can be reached.
    fn send(&mut self, epoll: &OwnedFd, query: Vec<u8>, client: SocketAddr, from: usize) -> bool {
        for server in from..self.servers.len() {
            let Ok(socket) = connect(self.servers[server], SocketType::DGRAM) else { continue };
            if rustix::net::send(&socket, &query, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_err() {
                continue;
            }
            if epoll::add(epoll, &socket, EventData::new_u64(self.next + 1), EventFlags::IN).is_err() {
                return false;
            }
            self.insert(UnderWay::Query { client, query, socket, server, deadline: Instant::now() + PATIENCE });
            return true;
        }
        false
    }

    /// A connection of the container's.
    pub fn serve(&mut self, epoll: &OwnedFd, socket: OwnedFd) {
        if self.under_way.len() < UNDER_WAY_MAX
            && epoll::add(epoll, &socket, EventData::new_u64(self.next + 1), EventFlags::IN).is_ok()
        {
            self.insert(UnderWay::Client { socket, read: Vec::new(), deadline: Instant::now() + SILENCE });
        }
    }

    /// Something happened to what is under way. A query that came over a connection is returned.
    pub fn proceed(&mut self, epoll: &OwnedFd, datagrams: &OwnedFd, token: u64) -> Option<Vec<u8>> {
        match self.under_way.get_mut(&token)? {
            UnderWay::Query { client, query, socket, .. } => {
                let mut bytes = vec![0; MESSAGE_MAX];
                let received = rustix::net::recv(&*socket, &mut bytes[..], RecvFlags::DONTWAIT);
                let (client, id) = (*client, query.get(..2).map(<[u8]>::to_vec));
                match received {
                    // An answer to something else is nobody's; the right one may come still.
                    Ok((length, _)) if length < 12 || bytes.get(..2) != id.as_deref() => return None,
                    Ok((length, _)) => {
                        let _ = rustix::net::sendto(datagrams, &bytes[..length], SendFlags::DONTWAIT, &client);
                        self.remove(token);
                    }
                    // The server's host says that nobody listens there.
                    Err(_) => self.ask_next(epoll, datagrams, token),
                }
                None
            }
            UnderWay::Client { socket, read, deadline } => match receive(socket, read) {
                Received::Message(query) => {
                    *deadline = Instant::now() + SILENCE;
                    Some(query)
                }
                Received::Part => None,
                Received::End => {
                    self.remove(token);
                    None
                }
            },
            UnderWay::Server { .. } => {
                self.hear_server(epoll, token);
                None
            }
        }
    }

    fn hear_server(&mut self, epoll: &OwnedFd, token: u64) {
        let Some(UnderWay::Server { socket, unsent, read, client, .. }) = self.under_way.get_mut(&token) else {
            return;
        };
        let client = *client;
        if !unsent.is_empty() {
            match rustix::net::send(&*socket, unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => drop(unsent.drain(..count)),
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => return self.drop_pair(token, client),
            }
            if unsent.is_empty() && epoll::modify(epoll, &*socket, EventData::new_u64(token), EventFlags::IN).is_err() {
                self.drop_pair(token, client);
            }
            return;
        }
        match receive(socket, read) {
            Received::Message(answer) => {
                self.remove(token);
                self.reply(client, &answer);
            }
            Received::Part => {}
            Received::End => self.drop_pair(token, client),
        }
    }

    fn drop_pair(&mut self, token: u64, client: u64) {
        self.remove(token);
        self.remove(client);
    }

    /// Asks the first server over a connection, on behalf of one of the container's; false: it cannot be.
    pub fn ask_stream(&mut self, epoll: &OwnedFd, client: u64, query: &[u8]) -> bool {
        let Some(socket) = self.servers.iter().find_map(|server| connect(*server, SocketType::STREAM).ok()) else {
            return false;
        };
        if self.under_way.len() >= UNDER_WAY_MAX
            || epoll::add(epoll, &socket, EventData::new_u64(self.next + 1), EventFlags::OUT).is_err()
        {
            return false;
        }
        let deadline = Instant::now() + SILENCE;
        self.insert(UnderWay::Server { socket, unsent: framed(query), read: Vec::new(), client, deadline });
        true
    }

    /// Answers over a connection; who does not take a message at once has gone.
    pub fn reply(&mut self, client: u64, answer: &[u8]) {
        let Some(UnderWay::Client { socket, .. }) = self.under_way.get(&client) else { return };
        let bytes = framed(answer);
        let sent = rustix::net::send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        if sent != Ok(bytes.len()) {
            self.remove(client);
        }
    }

    /// A connection that said nothing that can be answered.
    pub fn drop_connection(&mut self, client: u64) {
        self.remove(client);
    }

    fn remove(&mut self, token: u64) {
        self.under_way.remove(&token);
        if self.under_way.is_empty() {
            self.arm(false);
        }
    }

    /// A server did not answer: the next one, or the client hears that nobody did.
    fn ask_next(&mut self, epoll: &OwnedFd, datagrams: &OwnedFd, token: u64) {
        let Some(UnderWay::Query { client, query, server, .. }) = self.under_way.remove(&token) else { return };
        let refused = failure(&query);
        if !self.send(epoll, query, client, server + 1) {
            let _ = rustix::net::sendto(datagrams, &refused, SendFlags::DONTWAIT, &client);
        }
        if self.under_way.is_empty() {
            self.arm(false);
        }
    }

    /// The timer: what waited too long.
    pub fn expire(&mut self, epoll: &OwnedFd, datagrams: &OwnedFd) {
        let _ = rustix::io::read(&self.timer, &mut [0u8; 8][..]);
        let now = Instant::now();
        let late: Vec<u64> =
            self.under_way.iter().filter(|(_, entry)| entry.deadline() <= now).map(|(token, _)| *token).collect();
        for token in late {
            match self.under_way.get(&token) {
                Some(UnderWay::Query { .. }) => self.ask_next(epoll, datagrams, token),
                Some(UnderWay::Server { client, .. }) => {
                    let client = *client;
                    self.drop_pair(token, client);
                }
                Some(UnderWay::Client { .. }) => self.remove(token),
                None => {}
            }
        }
    }
}

enum Received {
    Message(Vec<u8>),
    Part,
    End,
}

/// Reads a message with its length before it (RFC 1035, section 4.2.2), as much of it as is there.
fn receive(socket: &OwnedFd, read: &mut Vec<u8>) -> Received {
    let mut buffer = [0; 4096];
    match rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
        Ok((0, _)) => return Received::End,
        Ok((count, _)) => read.extend_from_slice(&buffer[..count]),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
        Err(_) => return Received::End,
    }
    let Some(length) = read.first_chunk::<LENGTH_BYTES>().map(|bytes| usize::from(u16::from_be_bytes(*bytes))) else {
        return Received::Part;
    };
    if read.len() < LENGTH_BYTES + length {
        return Received::Part;
    }
    let message = read[LENGTH_BYTES..LENGTH_BYTES + length].to_vec();
    read.drain(..LENGTH_BYTES + length);
    Received::Message(message)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}

fn connect(server: IpAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match rustix::net::connect(&socket, &SocketAddr::new(server, PORT)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
