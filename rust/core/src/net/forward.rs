//! What reaches a published port's own socket because the packet rules could not carry it: connections to ::1, IPv6 to a
//! container that has none, all of them while the table is flushed. Carried by splice(2), through no memory of ours.
//!
//! One epoll of its own, which the monitor's loop watches as a single descriptor: idle, it costs nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::port::Held;
use super::request::Protocol;
use crate::{Error, Result};

/// Connections carried at a time; what comes beyond is closed.
const CONNECTIONS_MAX: usize = 256;
/// UDP clients remembered at a time; the one remembered longest makes room.
const SESSIONS_MAX: usize = 64;
const PIPE_BYTES: usize = 64 * 1024;
const DATAGRAM_BYTES: usize = 64 * 1024;
const EVENTS_AT_ONCE: usize = 16;
const CARRIED: u64 = 1 << 32;

/// Carries what arrives.
#[derive(Debug)]
pub struct Forwarder {
    epoll: OwnedFd,
    ports: Vec<(Held, SocketAddr)>,
    carried: BTreeMap<u64, Carried>,
    next: u64,
}

#[derive(Debug)]
enum Carried {
    Connection(Box<Connection>),
    Session { port: usize, client: SocketAddr, socket: OwnedFd },
}

impl Forwarder {
    /// For these ports, which lead to addresses of a container.
    pub fn new(held: Vec<Held>, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(watching)?;
        let mut forwarder =
            Self { epoll, ports: Vec::with_capacity(held.len()), carried: BTreeMap::new(), next: CARRIED };
        forwarder.hold(held, ipv4, ipv6)?;
        Ok(forwarder)
    }

    /// Takes on further ports.
    pub fn hold(&mut self, held: Vec<Held>, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>) -> Result<()> {
        for held in held {
            let Some(target) = target(&held, ipv4, ipv6) else { continue };
            if let Some(socket) = held.socket.as_ref().filter(|_| held.port.protocol != Protocol::Sctp) {
                let data = EventData::new_u64(self.ports.len() as u64);
                epoll::add(&self.epoll, socket, data, EventFlags::IN).map_err(watching)?;
            }
            self.ports.push((held, target));
        }
        Ok(())
    }

    /// All ports lead to other addresses from now on. Connections stay, as those that the packet rules carry do.
    pub fn lead_to(&mut self, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>) {
        for (held, old) in &mut self.ports {
            *old = target(held, ipv4, ipv6).unwrap_or(*old);
        }
        self.carried.retain(|_, carried| matches!(carried, Carried::Connection(_)));
    }

    /// The ports.
    pub fn ports(&self) -> impl Iterator<Item = &Held> {
        self.ports.iter().map(|(held, _)| held)
    }

    /// Becomes readable also when this descriptor does, which somebody else looks after.
    pub fn watch(&self, other: &OwnedFd) -> Result<()> {
        epoll::add(&self.epoll, other, EventData::new_u64(u64::MAX), EventFlags::IN)
            .map_err(|errno| Error::kernel("watch", "the name server", errno))
    }

    /// Readable when there is something to do.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.epoll
    }

    /// Lets go of everything that is being carried: the container has ended.
    pub fn drop_connections(&mut self) {
        self.carried.clear();
    }

    /// Lets go of the ports.
    pub fn drop_ports(&mut self) {
        self.carried.clear();
        self.ports.clear();
    }

    /// Does what there is to do now, at most one piece of each; never waits.
    pub fn turn(&mut self) {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS_AT_ONCE];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok(count) = epoll::wait(&self.epoll, &mut events[..], Some(&now)) else { return };
        for event in &events[..count] {
            self.handle(event.data.u64());
        }
    }

    fn handle(&mut self, token: u64) {
        if token < CARRIED {
            // Refusals and clients that have gone again are nobody's business but theirs.
            let _ = self.arrive(usize::try_from(token).unwrap_or(usize::MAX));
            return;
        }
        let key = token & !1;
        let done = match self.carried.get_mut(&key) {
            Some(Carried::Connection(connection)) => !connection.pump(&self.epoll, key),
            Some(Carried::Session { port, client, socket }) => {
                let listener = self.ports[*port].0.socket.as_ref();
                listener.is_none_or(|listener| answer(socket, listener, *client).is_err())
            }
            None => false,
        };
        if done {
            self.carried.remove(&key);
        }
    }

    fn arrive(&mut self, index: usize) -> rustix::io::Result<()> {
        let Some((held, target)) = self.ports.get(index) else { return Ok(()) };
        let Some(socket) = &held.socket else { return Ok(()) };
        if held.port.protocol == Protocol::Udp {
            let target = *target;
            return self.datagram(index, target);
        }
        let client = rustix::net::accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        if self.carried.len() >= CONNECTIONS_MAX {
            return Ok(());
        }
        let container = connect(*target, SocketType::STREAM)?;
        let connection = Connection::new(client, container)?;
        let key = self.key();
        for (side, socket) in connection.sockets.iter().enumerate() {
            epoll::add(&self.epoll, socket, EventData::new_u64(key + side as u64), connection.interest(side))?;
        }
        self.carried.insert(key, Carried::Connection(Box::new(connection)));
        Ok(())
    }

    fn key(&mut self) -> u64 {
        self.next += 2;
        self.next
    }

    fn datagram(&mut self, index: usize, target: SocketAddr) -> rustix::io::Result<()> {
        let Some(listener) = &self.ports[index].0.socket else { return Ok(()) };
        let mut bytes = vec![0; DATAGRAM_BYTES];
        let (length, _, client) = rustix::net::recvfrom(listener, &mut bytes[..], RecvFlags::DONTWAIT)?;
        let client = client.and_then(|client| SocketAddr::try_from(client).ok()).ok_or(Errno::INVAL)?;
        let known = self.carried.values().find_map(|carried| match carried {
            Carried::Session { port, client: known, socket } if *port == index && *known == client => Some(socket),
            _ => None,
        });
        if let Some(socket) = known {
            return rustix::net::send(socket, &bytes[..length], SendFlags::DONTWAIT).map(drop);
        }
        let is_session = |(_, carried): &(&u64, &Carried)| matches!(carried, Carried::Session { .. });
        if self.carried.iter().filter(is_session).count() >= SESSIONS_MAX
            && let Some(oldest) = self.carried.iter().find(is_session).map(|(key, _)| *key)
        {
            self.carried.remove(&oldest);
        }
        let socket = connect(target, SocketType::DGRAM)?;
        rustix::net::send(&socket, &bytes[..length], SendFlags::DONTWAIT)?;
        let key = self.key();
        epoll::add(&self.epoll, &socket, EventData::new_u64(key), EventFlags::IN)?;
        self.carried.insert(key, Carried::Session { port: index, client, socket });
        Ok(())
    }
}

fn watching(errno: Errno) -> Error {
    Error::kernel("watch", "published ports", errno)
}

fn target(held: &Held, ipv4: Option<IpAddr>, ipv6: Option<IpAddr>) -> Option<SocketAddr> {
    let preferred = if held.port.host_ip.is_ipv4() { ipv4.or(ipv6) } else { ipv6.or(ipv4) };
    preferred.map(|address| SocketAddr::new(address, held.port.container_port))
}

/// A datagram of the container's goes to the client that it answers.
fn answer(socket: &OwnedFd, listener: &OwnedFd, client: SocketAddr) -> rustix::io::Result<()> {
    let mut bytes = vec![0; DATAGRAM_BYTES];
    let (length, _) = rustix::net::recv(socket, &mut bytes[..], RecvFlags::DONTWAIT)?;
    rustix::net::sendto(listener, &bytes[..length], SendFlags::DONTWAIT, &client).map(drop)
}

fn connect(target: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// A client and the container, and a pipe each way.
#[derive(Debug)]
struct Connection {
    sockets: [OwnedFd; 2],
    /// From socket 0 to 1, from 1 to 0.
    ways: [Way; 2],
    connected: bool,
}

#[derive(Debug)]
struct Way {
    reader: OwnedFd,
    writer: OwnedFd,
    pending: usize,
    ended: bool,
    told: bool,
}

impl Way {
    fn new() -> rustix::io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { reader, writer, pending: 0, ended: false, told: false })
    }

    /// Moves what can be moved; an error ends the connection.
    fn pump(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> rustix::io::Result<()> {
        if !self.ended && self.pending < PIPE_BYTES {
            match splice(from, self.writer.as_fd(), PIPE_BYTES - self.pending)? {
                Some(0) => self.ended = true,
                Some(count) => self.pending += count,
                None => {}
            }
        }
        if self.pending > 0
            && let Some(count) = splice(self.reader.as_fd(), to, self.pending)?
        {
            self.pending -= count;
        }
        if self.ended && self.pending == 0 && !self.told {
            self.told = true;
            let _ = rustix::net::shutdown(to, Shutdown::Write); // who has gone already needs not be told
        }
        Ok(())
    }
}

/// None: nothing can be moved now.
fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> rustix::io::Result<Option<usize>> {
    match rustix::pipe::splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

impl Connection {
    fn new(client: OwnedFd, container: OwnedFd) -> rustix::io::Result<Self> {
        Ok(Self { sockets: [client, container], ways: [Way::new()?, Way::new()?], connected: false })
    }

    /// What to wait for on a socket. Level-triggered, so nothing that is not wanted: a pipe may be full, an end told.
    fn interest(&self, side: usize) -> EventFlags {
        if !self.connected {
            return if side == 1 { EventFlags::OUT } else { EventFlags::empty() };
        }
        let mut flags = EventFlags::empty();
        let (out, into) = (&self.ways[side], &self.ways[1 - side]);
        flags.set(EventFlags::IN, !out.ended && out.pending < PIPE_BYTES);
        flags.set(EventFlags::OUT, into.pending > 0);
        flags
    }

    /// Moves what can be moved; false: it is over.
    fn pump(&mut self, epoll: &OwnedFd, key: u64) -> bool {
        if !self.connected {
            if !matches!(sockopt::socket_error(&self.sockets[1]), Ok(Ok(()))) {
                return false;
            }
            self.connected = true;
        }
        let [client, container] = [self.sockets[0].as_fd(), self.sockets[1].as_fd()];
        let [there, back] = &mut self.ways;
        if there.pump(client, container).and_then(|()| back.pump(container, client)).is_err() {
            return false;
        }
        let watched = (0..2).all(|side| {
            let data = EventData::new_u64(key + side as u64);
            epoll::modify(epoll, &self.sockets[side], data, self.interest(side)).is_ok()
        });
        watched && !self.ways.iter().all(|way| way.told)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;
    use crate::net::port::hold;
    use crate::net::request::PortRequest;

    /// A forwarder that turns until the test is over, to a container at 127.0.0.1; the port it listens on.
    fn forwarder(protocol: Protocol, container_port: u16) -> (u16, Arc<AtomicBool>, thread::JoinHandle<()>) {
        let request = PortRequest { protocol, container_port, host_ip: "127.0.0.1".to_owned(), first: 0, last: 0 };
        let held = hold(&[request], Path::new("/")).unwrap();
        let port = held[0].port.host_port;
        let mut forwarder = Forwarder::new(held, Some("127.0.0.1".parse().unwrap()), None).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                forwarder.turn();
                thread::yield_now();
            }
            assert!(forwarder.carried.len() <= 1);
        });
        (port, stop, worker)
    }

    #[test]
    fn test_turn_tcp_bytes_arrive_whole_both_ways_and_the_end_too() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, stop, worker) = forwarder(Protocol::Tcp, server.local_addr().unwrap().port());
        let echo = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == sent);
        echo.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        worker.join().unwrap();
    }

    #[test]
    fn test_turn_tcp_nobody_listens_client_is_closed() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, stop, worker) = forwarder(Protocol::Tcp, free);
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
        stop.store(true, Ordering::Relaxed);
        worker.join().unwrap();
    }

    #[test]
    fn test_turn_udp_answers_go_to_who_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (port, stop, worker) = forwarder(Protocol::Udp, server.local_addr().unwrap().port());
        let clients = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for (number, client) in (0u8..).zip(&clients) {
            client.send_to(&[number], ("127.0.0.1", port)).unwrap();
            let mut byte = [0; 1];
            let (_, from) = server.recv_from(&mut byte).unwrap();
            server.send_to(&[byte[0] + 10], from).unwrap();
        }
        for (number, client) in (0u8..).zip(&clients) {
            let mut byte = [0; 1];
            client.recv(&mut byte).unwrap();
            assert_eq!(byte[0], number + 10);
        }
        stop.store(true, Ordering::Relaxed);
        let _ = worker.join();
    }
}
