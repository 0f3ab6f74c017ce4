//! The loop: one thread, one epoll, asleep unless something happens. It moves bytes and hears clients; what follows from an
//! event is the monitor's to decide (`super::Monitor`).
//!
//! A further source of events (a health check, a name server) takes a token below [`CLIENTS`], an [`Outcome`], and a line in
//! `dispatch`.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::client::{self, Client, Incoming};
use super::log::{self, Driver, Stream};
use super::outcome::Outcome;
use super::output::Input;
use super::poller::{EventFlags, Poller, Source};
use super::probe;
use super::protocol::{self, Event, KeyMatcher, Request};
use super::streams::{CONSOLE, Ends, STDERR, STDIN, STDOUT, Streams};
use crate::{Error, Result};

const PIDFD: u64 = 1;
const LISTENER: u64 = 6;
const SIGNALS: u64 = 7;
const OOM: u64 = 8;
const NETWORK: u64 = 12;
const CLIENTS: u64 = 16;
/// More are not accepted until one has gone: descriptors are finite.
const CLIENTS_MAX: usize = 64;
const READ_BYTES: usize = 64 * 1024;
/// Input is taken in smaller pieces than output: it waits in memory for the container.
const INPUT_BYTES: usize = 16 * 1024;
const ENGINE_ERROR: i32 = 125;

/// What of the request the loop itself needs.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// The container has a terminal.
    pub terminal: bool,
    /// It reads standard input.
    pub open_stdin: bool,
    /// Its input ends with the first client's.
    pub stdin_once: bool,
}

/// Everything the loop watches.
#[derive(Debug)]
pub struct EventLoop {
    poller: Poller,
    manners: Manners,
    listener: Option<Source>,
    pidfd: Option<Source>,
    signals: Option<Source>,
    out_of_memory: Option<Source>,
    network: Option<Source>,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    pid: i32,
    streams: Option<Streams>,
    log: Driver,
    buffer: Vec<u8>,
    outcomes: VecDeque<Outcome>,
    /// The last terminal size a client told.
    pub size: Option<(u16, u16)>,
}

impl EventLoop {
    /// A loop with its log.
    pub fn new(poller: Poller, log: Driver, manners: Manners) -> Self {
        Self {
            poller,
            manners,
            listener: None,
            pidfd: None,
            signals: None,
            out_of_memory: None,
            network: None,
            clients: BTreeMap::new(),
            next_client: 0,
            pid: 0,
            streams: None,
            log,
            buffer: Vec::new(),
            outcomes: VecDeque::new(),
            size: None,
        }
    }

    /// Where further sources of events are watched.
    pub fn poller(&self) -> &Poller {
        &self.poller
    }

    fn source(&self, fd: OwnedFd, token: u64) -> Result<Source> {
        let mut source = self.poller.source(fd, token);
        source.watch(EventFlags::IN).map_err(|errno| Error::kernel("watch", "a descriptor", errno))?;
        Ok(source)
    }

    /// Takes connections from now on.
    pub fn listen(&mut self, listener: OwnedFd) -> Result<()> {
        self.listener = Some(self.source(listener, LISTENER)?);
        Ok(())
    }

    /// Takes no more connections; who waits for one hears that nobody is there.
    pub fn stop_listening(&mut self) {
        self.listener = None;
    }

    /// Hears signals sent to this process.
    pub fn watch_signals(&mut self, signals: OwnedFd) -> Result<()> {
        self.signals = Some(self.source(signals, SIGNALS)?);
        Ok(())
    }

    /// Hears that memory ran out. None: no longer.
    pub fn watch_memory(&mut self, event: Option<OwnedFd>) -> Result<()> {
        self.out_of_memory = event.map(|event| self.source(event, OOM)).transpose()?;
        Ok(())
    }

    /// Hears of what waits to be carried. None: no longer.
    pub fn watch_network(&mut self, descriptor: Option<OwnedFd>) -> Result<()> {
        self.network = descriptor.map(|descriptor| self.source(descriptor, NETWORK)).transpose()?;
        Ok(())
    }

    /// A client that is connected already; what it has said is heard at once.
    pub fn add_client(&mut self, socket: OwnedFd) -> Result<()> {
        let number = self.next_client;
        self.next_client += 1;
        let client = Client::new(socket, &self.poller, CLIENTS + number * client::TOKENS)?;
        self.clients.insert(number, client);
        self.hear(number);
        Ok(())
    }

    /// Tells every client.
    pub fn tell_all(&self, event: &Event) {
        self.clients.values().for_each(|client| client.send(event));
    }

    /// Tells every client and lets it go.
    pub fn dismiss_all(&mut self, event: &Event) {
        for client in std::mem::take(&mut self.clients).into_values() {
            client.dismiss(event);
        }
    }

    fn dismiss(&mut self, number: u64, message: String) {
        if let Some(client) = self.remove_client(number) {
            client.dismiss(&Event::Error { message, code: ENGINE_ERROR });
        }
    }

    /// Tells one client.
    pub fn tell(&self, client: u64, event: &Event) {
        if let Some(client) = self.clients.get(&client) {
            client.send(event);
        }
    }

    /// Watches a container that runs, and moves its output and input.
    pub fn attach(&mut self, pid: i32, pidfd: OwnedFd, ends: Ends) -> Result<()> {
        self.pidfd = Some(self.source(pidfd, PIDFD)?);
        let streams = Streams::new(ends, &self.poller);
        self.streams = Some(streams.map_err(|errno| Error::kernel("watch", "the container's streams", errno))?);
        self.pid = pid;
        self.balance();
        Ok(())
    }

    /// Runs until something happens that the monitor must act on.
    pub fn run(&mut self, deadline: Option<Instant>) -> Result<Outcome> {
        let mut tokens = Vec::new();
        loop {
            if let Some(outcome) = self.outcomes.pop_front() {
                return Ok(outcome);
            }
            self.turn(&mut tokens, deadline)?;
            if self.outcomes.is_empty() && deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Outcome::TimedOut);
            }
        }
    }

    fn turn(&mut self, tokens: &mut Vec<u64>, deadline: Option<Instant>) -> Result<()> {
        let limit = if self.read_files() {
            Some(Duration::ZERO)
        } else {
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
        };
        self.poller.wait(tokens, limit)?;
        for &token in &*tokens {
            self.dispatch(token);
        }
        self.balance();
        Ok(())
    }

    fn dispatch(&mut self, token: u64) {
        match token {
            PIDFD => self.outcomes.push_back(Outcome::Exited),
            STDOUT | CONSOLE => self.read(token, Stream::Stdout),
            STDERR => self.read(token, Stream::Stderr),
            STDIN => self.write_input(),
            LISTENER => self.accept(),
            SIGNALS => self.hear_signals(),
            NETWORK => self.outcomes.push_back(Outcome::Network),
            OOM => {
                // v1 has an eventfd for it, whose eight bytes nothing of inotify is as short as.
                if let Some(source) = &self.out_of_memory
                    && let Ok(count) = rustix::io::read(source, &mut [0u8; 512][..])
                {
                    self.outcomes.push_back(Outcome::OutOfMemory { certain: count == size_of::<u64>() });
                }
            }
            log::TOKEN => {
                self.log.proceed();
                self.notice_loss();
            }
            probe::ENDED => self.outcomes.push_back(Outcome::ProbeEnded),
            probe::OUTPUT => self.outcomes.push_back(Outcome::ProbeOutput),
            token if token >= CLIENTS => {
                let number = (token - CLIENTS) / client::TOKENS;
                match (token - CLIENTS) % client::TOKENS {
                    0 => self.hear(number),
                    1 => self.read_input(number),
                    _ => self.flush(number),
                }
            }
            _ => {}
        }
    }

    fn hear_signals(&mut self) {
        while let Some(source) = &self.signals
            && crate::sys::monitor::next_signal(source.owned()).is_some()
        {
            self.outcomes.push_back(Outcome::Terminate);
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let socket = match rustix::net::accept_with(listener, flags) {
            Ok(socket) => socket,
            // No descriptor free: the listener would be reported for ever. The next client to go brings it back.
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => return self.watch_listener(false),
            Err(_) => return,
        };
        let own = rustix::process::geteuid();
        let trusted =
            rustix::net::sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root() || peer.uid == own);
        if trusted {
            let _ = self.add_client(socket);
        }
        self.watch_listener(self.clients.len() < CLIENTS_MAX);
    }

    fn watch_listener(&mut self, wanted: bool) {
        let flags = if wanted { EventFlags::IN } else { EventFlags::empty() };
        if let Some(listener) = &mut self.listener {
            let _ = listener.watch(flags);
        }
    }

    /// Hears all a client has to say.
    fn hear(&mut self, number: u64) {
        loop {
            let Some(client) = self.clients.get(&number) else { return };
            match client.receive() {
                Incoming::Nothing => return,
                Incoming::Gone => return self.drop_client(number),
                Incoming::Nonsense(message) => {
                    return self.dismiss(number, message);
                }
                Incoming::Request(request, fds) => {
                    if let Err(message) = self.obey(number, request, fds) {
                        return self.dismiss(number, message);
                    }
                }
            }
        }
    }

    fn obey(&mut self, number: u64, request: Request, fds: Vec<OwnedFd>) -> std::result::Result<(), String> {
        let Some(client) = self.clients.get_mut(&number) else { return Ok(()) };
        match request {
            Request::Attach { version, .. } | Request::Watch { version } if version != super::config::VERSION => {
                return Err(format!("this container's monitor speaks protocol {}", super::config::VERSION));
            }
            Request::Attach { stdin, stdout, stderr, detach_keys, size, .. } => {
                let keys = protocol::detach_keys(&detach_keys)
                    .ok_or_else(|| format!("invalid detach keys ({detach_keys}) provided"))?;
                client.lend([stdin, stdout, stderr], fds)?;
                client.keys = KeyMatcher::new(if self.manners.terminal { keys } else { Vec::new() });
                if !self.manners.open_stdin {
                    client.stdin = None;
                }
                self.resize(size);
                self.tell_started(number);
            }
            Request::Watch { .. } => self.tell_started(number),
            Request::Wait => client.waits = true,
            Request::Resize { rows, cols } => self.resize(Some((rows, cols))),
            Request::Signal { signal } => self.outcomes.push_back(Outcome::Signal(signal)),
            Request::Kill { signal } => self.outcomes.push_back(Outcome::Kill { signal, client: number }),
            Request::Pause => self.outcomes.push_back(Outcome::Freeze { frozen: true, client: number }),
            Request::Unpause => self.outcomes.push_back(Outcome::Freeze { frozen: false, client: number }),
            Request::Network => self.outcomes.push_back(Outcome::Reconnect { client: number }),
            Request::Update(update) => {
                self.outcomes.push_back(Outcome::Update { update, client: number });
            }
        }
        Ok(())
    }

    /// Who comes after the start hears of it at once.
    fn tell_started(&self, number: u64) {
        if self.streams.is_some() {
            self.tell(number, &Event::Started { pid: self.pid });
        }
    }

    fn resize(&mut self, size: Option<(u16, u16)>) {
        let Some(size) = size else { return };
        self.size = Some(size);
        if let Some(streams) = &self.streams {
            streams.resize(size);
        }
    }

    fn drop_client(&mut self, number: u64) {
        drop(self.remove_client(number));
    }

    /// With the client that gave input the container's input ends, if there is to be but one.
    fn remove_client(&mut self, number: u64) -> Option<Client> {
        let client = self.clients.remove(&number)?;
        if client.stdin.is_some() && self.manners.stdin_once {
            self.end_input();
        }
        self.watch_listener(true);
        Some(client)
    }

    /// The input of the client that counts has ended; with `stdin_once` so has the container's.
    fn end_input(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.end_input();
        }
    }

    fn read(&mut self, token: u64, stream: Stream) {
        let Some(streams) = &mut self.streams else { return };
        self.buffer.reserve_exact(READ_BYTES);
        if streams.read(token, &mut self.buffer) {
            self.spread(stream);
        }
    }

    /// Gives what was read to the log and to every client.
    fn spread(&mut self, stream: Stream) {
        self.log.write(stream, &self.buffer);
        self.notice_loss();
        for client in self.clients.values_mut() {
            client.write(stream, &self.buffer);
        }
    }

    fn notice_loss(&mut self) {
        if self.log.has_lost_more() {
            self.outcomes.push_back(Outcome::LogLost);
        }
    }

    fn flush(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.flush();
        if client.try_farewell() {
            self.drop_client(number);
        }
    }

    /// Who may say something now: the container while no client is full and the log keeps up, the clients while the
    /// container takes their input.
    fn balance(&mut self) {
        let Some(streams) = &mut self.streams else { return };
        streams.hold_back(self.log.is_busy() || self.clients.values().any(Client::is_full));
        let wanted = streams.wants_input();
        for client in self.clients.values_mut() {
            if streams.input_closed() {
                client.stdin = None;
            }
            if let Some(stdin) = &mut client.stdin {
                stdin.watch(wanted);
            }
        }
    }

    fn read_input(&mut self, number: u64) {
        let (Some(streams), Some(client)) = (&mut self.streams, self.clients.get_mut(&number)) else { return };
        let Some(stdin) = client.stdin.as_ref().filter(|_| streams.wants_input()) else { return };
        let mut bytes = vec![0u8; INPUT_BYTES];
        match stdin.read(&mut bytes) {
            Err(Errno::AGAIN) => {}
            Ok(0) | Err(_) => {
                client.stdin = None;
                if self.manners.stdin_once {
                    self.end_input();
                }
            }
            Ok(count) => {
                bytes.truncate(count);
                let (passed, detached) = client.keys.feed(bytes);
                streams.feed(passed);
                if detached {
                    client.stdin = None; // which is no end of the container's input
                    if let Some(client) = self.remove_client(number) {
                        client.dismiss(&Event::Detached);
                    }
                }
            }
        }
    }

    /// Input from regular files, which cannot be waited for, one piece a turn; whether there may be more.
    fn read_files(&mut self) -> bool {
        if !self.streams.as_ref().is_some_and(Streams::wants_input) {
            return false;
        }
        let ready = |client: &Client| client.stdin.as_ref().is_some_and(|stdin: &Input| stdin.always_ready);
        let Some(number) = self.clients.iter().find(|(_, client)| ready(client)).map(|(number, _)| *number) else {
            return false;
        };
        self.read_input(number);
        true
    }

    fn write_input(&mut self) {
        if let Some(streams) = &mut self.streams {
            streams.write_input();
        }
    }

    /// Takes what a container that has ended left in its pipes, and lets go of them. Its pid namespace is dead, so nothing
    /// comes after that; a process outside that holds a pipe still (`--pid host`) is not waited for, however much it writes.
    pub fn detach(&mut self) {
        self.pidfd = None;
        self.outcomes.retain(|outcome| *outcome != Outcome::Exited);
        if let Some(mut streams) = self.streams.take() {
            for (token, stream, mut bytes) in streams.leftovers() {
                self.buffer.reserve_exact(READ_BYTES);
                while bytes > 0 && streams.read(token, &mut self.buffer) {
                    bytes = bytes.saturating_sub(self.buffer.len());
                    self.spread(stream);
                }
            }
        }
        self.log.finish();
    }

    /// Tells the end to every client that waits for it, each when the last byte of output has reached it; those clients are
    /// then let go. Slow ones are told later, while the loop runs.
    pub fn announce_exit(&mut self, event: &Event) {
        self.clients.retain(|_, client| {
            if client.waits {
                client.bid_farewell(event.clone());
            }
            !client.try_farewell()
        });
    }

    /// Serves clients that have not taken all output yet, as long as they live; the others are let go.
    pub fn serve_slow_clients(&mut self) -> Result<()> {
        self.clients.retain(|_, client| client.is_leaving());
        let mut tokens = Vec::new();
        while !self.clients.is_empty() {
            self.turn(&mut tokens, None)?;
            self.outcomes.clear();
        }
        Ok(())
    }

    /// What of the output could not be logged.
    pub fn log_lost(&self) -> u64 {
        self.log.lost()
    }

    /// Ends the log: what works for it in the background is waited for.
    pub fn close_log(&mut self) {
        self.log.close();
    }
}
