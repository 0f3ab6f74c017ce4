//! Queries over connections (RFC 7766): one after the other on each; what no container answers to is asked over a connection too.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::Reply;
use super::message::QUERY_MAX;
use super::upstream::{Servers, answers, failure};

/// Connections at a time; more wait in the socket's queue. With what each may hold this bounds memory.
pub const STREAMS_MAX: usize = 32;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
const LENGTH_BYTES: usize = 2;
const READ_BYTES: usize = 4096;
/// In a token: it is the server's side.
pub const SERVER_SIDE: u64 = 1;

/// Answers what is ours to answer.
pub type Answer<'a> = &'a mut dyn FnMut(&[u8]) -> Reply;

/// Connections by token.
#[derive(Debug, Default)]
pub struct Streams(BTreeMap<u64, Stream>);

#[derive(Debug)]
struct Stream {
    client: End,
    asked: Option<Asked>,
    deadline: Instant,
}

/// A query that a server has now.
#[derive(Debug)]
struct Asked {
    query: Vec<u8>,
    server: usize,
    end: End,
    deadline: Instant,
}

/// A socket, and what waits on it.
#[derive(Debug)]
struct End {
    socket: OwnedFd,
    token: u64,
    watched: EventFlags,
    read: Vec<u8>,
    unsent: Vec<u8>,
}

impl Streams {
    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// More are not to be accepted now.
    pub fn is_full(&self) -> bool {
        self.0.len() >= STREAMS_MAX
    }

    /// Whether a token is of one.
    pub fn has(&self, token: u64) -> bool {
        self.0.contains_key(&(token & !SERVER_SIDE))
    }

    /// Takes a connection on; `token` is even.
    pub fn add(&mut self, servers: &Servers, token: u64, socket: OwnedFd) {
        if let Ok(client) = End::new(servers, token, socket, EventFlags::IN, Vec::new()) {
            self.0.insert(token, Stream { client, asked: None, deadline: Instant::now() + SILENCE });
        }
    }

    /// Something happened to a connection, or to one to a server on its behalf.
    pub fn proceed(&mut self, servers: &Servers, token: u64, flags: EventFlags, answer: Answer<'_>) {
        let key = token & !SERVER_SIDE;
        let Some(stream) = self.0.get_mut(&key) else { return };
        let lives = if token & SERVER_SIDE == 0 {
            stream.hear_client(servers, flags, answer)
        } else {
            stream.hear_server(servers);
            stream.advance(servers, answer)
        };
        if !lives {
            self.0.remove(&key);
        }
    }

    /// What waited too long: the next server is asked, silent connections are closed.
    pub fn expire(&mut self, servers: &Servers, now: Instant, answer: Answer<'_>) {
        self.0.retain(|_, stream| {
            if let Some(asked) = stream.asked.take_if(|asked| asked.deadline <= now) {
                stream.ask(servers, asked.query, asked.server + 1);
                return stream.advance(servers, answer);
            }
            stream.asked.is_some() || stream.deadline > now
        });
    }
}

impl Stream {
    /// False: the connection is over.
    fn hear_client(&mut self, servers: &Servers, flags: EventFlags, answer: Answer<'_>) -> bool {
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            return false;
        }
        if flags.contains(EventFlags::IN) {
            match self.client.receive() {
                Ok(0) => return false,
                Ok(_) => self.deadline = Instant::now() + SILENCE,
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        self.advance(servers, answer)
    }

    /// Answers, one query after the other, until something has to be waited for; false: the connection is over.
    fn advance(&mut self, servers: &Servers, answer: Answer<'_>) -> bool {
        loop {
            if self.client.send().is_err() {
                return false;
            }
            let waits_for = match (&self.asked, self.client.unsent.is_empty()) {
                (_, false) => Some(EventFlags::OUT),
                (Some(_), true) => Some(EventFlags::empty()),
                (None, true) => None,
            };
            if let Some(flags) = waits_for {
                return self.client.watch(servers, flags).is_ok();
            }
            match self.client.take_message(QUERY_MAX) {
                Taken::Part => return self.client.watch(servers, EventFlags::IN).is_ok(),
                Taken::TooLong => return false,
                Taken::Message(query) => match answer(&query) {
                    Reply::Send(bytes) => self.client.unsent = framed(&bytes),
                    Reply::Forward => self.ask(servers, query, 0),
                    Reply::Silence => return false,
                },
            }
        }
    }

    /// Asks the first server from `from` on that can be reached; where there is none, that is the answer.
    fn ask(&mut self, servers: &Servers, query: Vec<u8>, from: usize) {
        for server in from..servers.addresses.len() {
            let end = servers.connect(server, SocketType::STREAM).and_then(|socket| {
                End::new(servers, self.client.token | SERVER_SIDE, socket, EventFlags::OUT, framed(&query))
            });
            if let Ok(end) = end {
                let deadline = Instant::now() + servers.patience(server);
                self.asked = Some(Asked { query, server, end, deadline });
                return;
            }
        }
        self.client.unsent = framed(&failure(&query));
    }

    fn hear_server(&mut self, servers: &Servers) {
        let Some(asked) = &mut self.asked else { return };
        let heard = asked.hear(servers);
        let answer = match heard {
            Ok(None) => return,
            Ok(Some(bytes)) if answers(&bytes, &asked.query) => Some(bytes),
            _ => None,
        };
        let Some(Asked { query, server, .. }) = self.asked.take() else { return };
        match answer {
            Some(bytes) if !servers.should_ask_next(server, &bytes) => self.client.unsent = framed(&bytes),
            _ => self.ask(servers, query, server + 1),
        }
        self.deadline = Instant::now() + SILENCE;
    }
}

impl Asked {
    /// The answer, if it is whole.
    fn hear(&mut self, servers: &Servers) -> rustix::io::Result<Option<Vec<u8>>> {
        if !self.end.unsent.is_empty() {
            self.end.send()?;
            if self.end.unsent.is_empty() {
                self.end.watch(servers, EventFlags::IN)?;
            }
            return Ok(None);
        }
        match self.end.receive() {
            Ok(0) => return Err(Errno::CONNRESET),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        match self.end.take_message(usize::from(u16::MAX)) {
            Taken::Message(bytes) => Ok(Some(bytes)),
            Taken::Part | Taken::TooLong => Ok(None),
        }
    }
}

enum Taken {
    Message(Vec<u8>),
    Part,
    TooLong,
}

impl End {
    fn new(
        servers: &Servers,
        token: u64,
        socket: OwnedFd,
        watched: EventFlags,
        unsent: Vec<u8>,
    ) -> rustix::io::Result<Self> {
        epoll::add(&servers.epoll, &socket, EventData::new_u64(token), watched)?;
        Ok(Self { socket, token, watched, read: Vec::new(), unsent })
    }

    fn watch(&mut self, servers: &Servers, flags: EventFlags) -> rustix::io::Result<()> {
        if self.watched != flags {
            epoll::modify(&servers.epoll, &self.socket, EventData::new_u64(self.token), flags)?;
            self.watched = flags;
        }
        Ok(())
    }

    fn receive(&mut self) -> rustix::io::Result<usize> {
        let mut buffer = [0; READ_BYTES];
        let (count, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        self.read.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Sends what is taken now.
    fn send(&mut self) -> rustix::io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match rustix::net::send(&self.socket, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// The first message that is there whole: its length stands before it (RFC 1035, section 4.2.2).
    fn take_message(&mut self, most_bytes: usize) -> Taken {
        let Some(length) = self.read.first_chunk::<LENGTH_BYTES>().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
        else {
            return Taken::Part;
        };
        if length > most_bytes {
            return Taken::TooLong;
        }
        let end = LENGTH_BYTES + length;
        if self.read.len() < end {
            return Taken::Part;
        }
        let message = self.read[LENGTH_BYTES..end].to_vec();
        self.read.drain(..end);
        Taken::Message(message)
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    bytes
}
