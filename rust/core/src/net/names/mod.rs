//! The name server at 127.0.0.11 of a container on a user-defined network: names of containers, and everybody else's by asking the
//! host's servers.
//!
//! One epoll of its own, watched as a single descriptor; a timer only while something is under way. Nothing here waits.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use super::endpoint::within;
use super::request::{Dns, Request};
use super::resolver;
use crate::{Error, Result};

pub mod message;
mod stream;
mod turns;
mod upstream;
mod zone;

use message::{Code, Kind, QUERY_MAX, Question, Record};
use stream::Streams;
use turns::Turns;
use upstream::{Queries, Servers};
use zone::Zone;

const UDP: u64 = 0;
const TCP: u64 = 2;
const TIMER: u64 = 4;
/// Queries and connections under way: even numbers, so that one more bit says which side of a connection.
const UNDER_WAY: u64 = 16;
const EVENTS_AT_ONCE: usize = 32;
/// Datagrams answered before anybody else gets a turn.
const DATAGRAMS_AT_ONCE: usize = 64;
/// What waits in the kernel while the container's output is being moved: five thousand queries.
const QUEUE_BYTES: usize = 4 << 20;
const LISTEN_BACKLOG: i32 = 64;
const TICK_NS: i64 = 500_000_000;

/// What becomes of a query.
#[derive(Debug)]
pub enum Reply {
    /// This is the answer.
    Send(Vec<u8>),
    /// Somebody else may know it.
    Forward,
    /// Not a question.
    Silence,
}

/// Answers one container.
#[derive(Debug)]
pub struct NameServer {
    datagrams: OwnedFd,
    connections: OwnedFd,
    accepts: bool,
    timer: OwnedFd,
    ticks: bool,
    servers: Servers,
    queries: Queries,
    streams: Streams,
    next: u64,
    names: Names,
}

/// What is known of containers.
#[derive(Debug)]
struct Names {
    zone: Zone,
    turns: Turns,
    /// What is nobody's here is asked of others.
    forward: bool,
}

impl NameServer {
    /// Listens in a container's network namespace. None where the request has no name server.
    pub fn new(namespace: BorrowedFd<'_>, request: &Request) -> Result<Option<Self>> {
        let Some(dns) = &request.dns else { return Ok(None) };
        let fail = |errno| Error::kernel("start", "the name server", errno);
        let (datagrams, connections) = within(namespace, || {
            bind(SocketType::DGRAM).and_then(|udp| Ok((udp, bind(SocketType::STREAM)?))).map_err(fail)
        })?;
        let port = |socket: &OwnedFd| -> Result<u16> {
            let address = rustix::net::getsockname(socket).map_err(fail)?;
            Ok(SocketAddr::try_from(address).map_err(fail)?.port())
        };
        let timer_flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, timer_flags).map_err(fail)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail)?;
        for (socket, token) in [(&datagrams, UDP), (&connections, TCP), (&timer, TIMER)] {
            epoll::add(&epoll, socket, EventData::new_u64(token), EventFlags::IN).map_err(fail)?;
        }
        // Last: a table that is there already is refused, and this one is not taken back.
        resolver::redirect(namespace, port(&datagrams)?, port(&connections)?)?;
        Ok(Some(Self {
            datagrams,
            connections,
            accepts: true,
            timer,
            ticks: false,
            servers: Servers { epoll, addresses: dns.servers.clone() },
            queries: Queries::default(),
            streams: Streams::default(),
            next: UNDER_WAY,
            names: Names { zone: Zone::new(request), turns: Turns::default(), forward: dns.forward },
        }))
    }

    /// The container has other networks than before.
    pub fn follow(&mut self, request: &Request) {
        self.names.zone = Zone::new(request);
        let Some(Dns { servers, forward, .. }) = &request.dns else { return };
        self.names.forward = *forward;
        if self.servers.addresses != *servers {
            self.queries.clear(); // they count servers; clients ask again
            self.streams = Streams::default();
            self.servers.addresses.clone_from(servers);
        }
    }

    /// Readable when there is something to do.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.servers.epoll
    }

    /// Does what there is to do now.
    pub fn turn(&mut self) {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS_AT_ONCE];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok(count) = epoll::wait(&self.servers.epoll, &mut events[..], Some(&now)) else { return };
        for event in &events[..count] {
            let flags = event.flags;
            match event.data.u64() {
                UDP => self.hear_datagrams(),
                TCP => self.accept(),
                TIMER => self.expire(),
                token if self.streams.has(token) => {
                    let names = &mut self.names;
                    self.streams.proceed(&self.servers, token, flags, &mut |query| names.reply(query, false));
                }
                token => {
                    if let Some((client, answer)) = self.queries.hear(&self.servers, token) {
                        self.send(&answer, client);
                    }
                }
            }
        }
        self.tick();
        self.watch_connections();
    }

    /// Ticks only while something is under way.
    fn tick(&mut self) {
        let wanted = !(self.queries.is_empty() && self.streams.is_empty());
        if self.ticks != wanted {
            let period = Timespec { tv_sec: 0, tv_nsec: if wanted { TICK_NS } else { 0 } };
            let times = Itimerspec { it_interval: period, it_value: period };
            let set = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &times);
            self.ticks = set.is_ok() && wanted;
        }
    }

    fn watch_connections(&mut self) {
        let wanted = !self.streams.is_full();
        if self.accepts != wanted {
            let flags = if wanted { EventFlags::IN } else { EventFlags::empty() };
            let set = epoll::modify(&self.servers.epoll, &self.connections, EventData::new_u64(TCP), flags);
            self.accepts = if set.is_ok() { wanted } else { self.accepts };
        }
    }

    /// A client that does not take its answer has lost it, as on any network.
    fn send(&self, answer: &[u8], client: SocketAddr) {
        let _ = rustix::net::sendto(&self.datagrams, answer, SendFlags::DONTWAIT, &client);
    }

    fn token(&mut self) -> u64 {
        self.next += 2;
        self.next
    }

    fn hear_datagrams(&mut self) {
        let mut buffer = [0; QUERY_MAX + 1]; // what is longer is seen to be
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Ok((length, _, client)) = rustix::net::recvfrom(&self.datagrams, &mut buffer[..], RecvFlags::DONTWAIT)
            else {
                return;
            };
            let Some(client) = client.and_then(|client| SocketAddr::try_from(client).ok()) else { continue };
            let query = &buffer[..length];
            match self.names.reply(query, true) {
                Reply::Send(answer) => self.send(&answer, client),
                Reply::Forward => {
                    let token = self.token();
                    if let Some(refused) = self.queries.ask(&self.servers, token, query, client) {
                        self.send(&refused, client);
                    }
                }
                Reply::Silence => {}
            }
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if !self.streams.is_full()
            && let Ok(socket) = rustix::net::accept_with(&self.connections, flags)
        {
            let token = self.token();
            self.streams.add(&self.servers, token, socket);
        }
    }

    fn expire(&mut self) {
        let _ = rustix::io::read(&self.timer, &mut [0u8; 8][..]);
        let now = Instant::now();
        for (client, answer) in self.queries.expire(&self.servers, now) {
            self.send(&answer, client);
        }
        let names = &mut self.names;
        self.streams.expire(&self.servers, now, &mut |query| names.reply(query, false));
    }
}

impl Names {
    fn reply(&mut self, query: &[u8], datagram: bool) -> Reply {
        let question = match message::parse(query) {
            Ok(question) => question,
            Err(None) => return Reply::Silence,
            Err(Some(code)) => return Reply::Send(message::answer(query, None, code, &[], None)),
        };
        let limit = datagram.then(|| question.datagram_bytes());
        let (code, records) = match self.look_up(&question) {
            _ if question.has_unknown_edns() => (Code::BadVersion, Vec::new()),
            Some(records) => (Code::Ok, records),
            None if self.forward => return Reply::Forward,
            None => (Code::NoName, Vec::new()),
        };
        Reply::Send(message::answer(query, Some(&question), code, &records, limit))
    }

    /// What containers' names say; None: nothing.
    fn look_up(&mut self, question: &Question) -> Option<Vec<Record>> {
        if let Some(address) = message::reverse(&question.name) {
            let name = self.zone.name_of(address)?;
            let wanted = matches!(question.kind, Kind::Ptr | Kind::Any);
            return Some(if wanted { vec![Record::Name(name)] } else { Vec::new() });
        }
        let mut addresses = self.zone.find(&question.name)?;
        // A name that is ours has no records elsewhere, whatever is asked for.
        addresses.retain(|address| match question.kind {
            Kind::A => address.is_ipv4(),
            Kind::Aaaa => address.is_ipv6(),
            Kind::Any => true,
            Kind::Ptr | Kind::Other => false,
        });
        self.turns.rotate(&question.name, question.kind, &mut addresses);
        Some(addresses.into_iter().map(Record::Address).collect())
    }
}

fn bind(kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(Ipv4Addr::from(resolver::ADDRESS).into(), 0))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    } else {
        // Without CAP_NET_ADMIN in the first user namespace the host's limit holds, which is enough but for floods.
        let _ = sockopt::set_socket_recv_buffer_size_force(socket.as_fd(), QUEUE_BYTES)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(socket.as_fd(), QUEUE_BYTES));
    }
    Ok(socket)
}
