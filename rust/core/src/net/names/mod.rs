//! The name server at 127.0.0.11 of a container on a user-defined network: names of containers, and everybody else's by asking the
//! host's servers.
//!
//! One epoll of its own, watched as a single descriptor; a timer only while something was asked of others. Nothing here waits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::endpoint::within;
use super::request::Request;
use super::resolver;
use crate::{Error, Result};

mod message;
mod upstream;
mod zone;

use message::{Code, Kind, Question, Record};
use upstream::Upstream;
use zone::{Found, Zone};

const UDP: u64 = 0;
const TCP: u64 = 1;
const TIMER: u64 = 2;
/// Queries and connections under way.
const ASKED: u64 = 16;
const EVENTS_AT_ONCE: usize = 32;
/// Datagrams answered before anybody else gets a turn.
const DATAGRAMS_AT_ONCE: usize = 64;
/// Beyond this a query is refused: a container that asks faster than anybody answers.
const UNDER_WAY_MAX: usize = 512;
const MESSAGE_MAX: usize = 65_535;
const LISTEN_BACKLOG: i32 = 64;

/// Answers one container.
#[derive(Debug)]
pub struct NameServer {
    epoll: OwnedFd,
    datagrams: OwnedFd,
    connections: OwnedFd,
    upstream: Upstream,
    zone: Zone,
    /// So that several addresses of a name take turns.
    turn: usize,
    buffer: Vec<u8>,
}

impl NameServer {
    /// Listens in a container's network namespace. None where the request has no name server.
    pub fn new(namespace: BorrowedFd<'_>, request: &Request) -> Result<Option<Self>> {
        let Some(dns) = &request.dns else { return Ok(None) };
        let fail = |errno| Error::kernel("start", "the name server", errno);
        let listen = |kind| within(namespace, || bind(kind).map_err(fail));
        let (datagrams, connections) = (listen(SocketType::DGRAM)?, listen(SocketType::STREAM)?);
        let port = |socket: &OwnedFd| -> Result<u16> {
            let address = rustix::net::getsockname(socket).map_err(fail)?;
            Ok(SocketAddr::try_from(address).map_err(fail)?.port())
        };
        resolver::redirect(namespace, port(&datagrams)?, port(&connections)?)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(fail)?;
        for (socket, token) in [(&datagrams, UDP), (&connections, TCP)] {
            epoll::add(&epoll, socket, EventData::new_u64(token), EventFlags::IN).map_err(fail)?;
        }
        let servers = if dns.forward { &dns.servers[..] } else { &[] };
        let upstream = Upstream::new(&epoll, servers.to_vec()).map_err(fail)?;
        let zone = Zone::new(request);
        Ok(Some(Self { epoll, datagrams, connections, upstream, zone, turn: 0, buffer: Vec::new() }))
    }

    /// Readable when there is something to do.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Does what there is to do now.
    pub fn turn(&mut self) {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS_AT_ONCE];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok(count) = epoll::wait(&self.epoll, &mut events[..], Some(&now)) else { return };
        for event in &events[..count] {
            match event.data.u64() {
                UDP => self.hear_datagrams(),
                TCP => self.accept(),
                TIMER => self.upstream.expire(&self.epoll, &self.datagrams),
                token => self.proceed(token),
            }
        }
    }

    fn hear_datagrams(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(MESSAGE_MAX, 0);
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Ok((length, _, client)) = rustix::net::recvfrom(&self.datagrams, &mut buffer[..], RecvFlags::DONTWAIT)
            else {
                break;
            };
            let Some(client) = client.and_then(|client| SocketAddr::try_from(client).ok()) else { continue };
            let query = &buffer[..length];
            if let Some(answer) = self.answer(query, true) {
                // A client that does not take its answer has lost it, as on any network.
                let _ = rustix::net::sendto(&self.datagrams, &answer, SendFlags::DONTWAIT, &client);
            } else if message::parse(query).is_ok() && !self.upstream.ask_datagram(&self.epoll, query, client) {
                let refused = failure(query);
                let _ = rustix::net::sendto(&self.datagrams, &refused, SendFlags::DONTWAIT, &client);
            }
        }
        buffer.clear();
        buffer.shrink_to(0);
        self.buffer = buffer;
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        if let Ok(socket) = rustix::net::accept_with(&self.connections, flags) {
            self.upstream.serve(&self.epoll, socket);
        }
    }

    /// A query over a connection came, or an answer to one that was passed on.
    fn proceed(&mut self, token: u64) {
        let Some(query) = self.upstream.proceed(&self.epoll, &self.datagrams, token) else { return };
        match self.answer(&query, false) {
            Some(answer) => self.upstream.reply(token, &answer),
            None if message::parse(&query).is_ok() => {
                if !self.upstream.ask_stream(&self.epoll, token, &query) {
                    self.upstream.reply(token, &failure(&query));
                }
            }
            None => self.upstream.drop_connection(token),
        }
    }

    /// The answer, if it is ours to give; None: ask somebody else, or say nothing.
    fn answer(&mut self, query: &[u8], datagram: bool) -> Option<Vec<u8>> {
        let question = match message::parse(query) {
            Ok(question) => question,
            Err(code) => return code.map(|code| message::answer(query, None, code, &[], datagram)),
        };
        let records = self.look_up(&question);
        if records.is_none() && !self.upstream.is_empty() {
            return None;
        }
        let code = if records.is_some() { Code::Ok } else { Code::NoName };
        let mut records = records.unwrap_or_default();
        if !records.is_empty() {
            self.turn = self.turn.wrapping_add(1);
            let count = records.len();
            records.rotate_left(self.turn % count);
        }
        Some(message::answer(query, Some(&question), code, &records, datagram))
    }

    /// What containers' names say; None: nothing.
    fn look_up(&mut self, question: &Question) -> Option<Vec<Record>> {
        if question.kind == Kind::Ptr {
            let name = self.zone.name_of(message::reverse(&question.name)?)?;
            return Some(vec![Record::Name(name)]);
        }
        let Found::Addresses(addresses) = self.zone.find(&question.name) else { return None };
        // A name that is ours has no records elsewhere, whatever is asked for.
        let wanted = |address: &IpAddr| match question.kind {
            Kind::A => address.is_ipv4(),
            Kind::Aaaa => address.is_ipv6(),
            Kind::Ptr | Kind::Other => false,
        };
        Some(addresses.into_iter().filter(wanted).map(Record::Address).collect())
    }
}

fn failure(query: &[u8]) -> Vec<u8> {
    message::answer(query, message::parse(query).ok().as_ref(), Code::Failed, &[], true)
}

fn bind(kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(Ipv4Addr::from(resolver::ADDRESS).into(), 0))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    }
    Ok(socket)
}
