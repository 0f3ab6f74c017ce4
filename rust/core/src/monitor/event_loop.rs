//! The loop: one thread, one epoll, asleep unless something happens.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::client::{Client, Incoming, Output};
use super::container::Running;
use super::log::{Driver, Stream};
use super::protocol::{self, Event, KeyMatcher, Request};
use crate::{Error, Result};

const PIDFD: u64 = 1;
const STDOUT: u64 = 2;
const STDERR: u64 = 3;
pub(super) const CONSOLE: u64 = 4;
pub(super) const STDIN: u64 = 5;
const LISTENER: u64 = 6;
/// Tokens of clients: socket, stdin, stdout, stderr of client n are 16 + 4n … 16 + 4n + 3.
const CLIENTS: u64 = 16;
const PER_CLIENT: u64 = 4;
const READ_BYTES: usize = 64 * 1024;
const SIGKILL: i32 = 9;

/// Everything the loop watches.
#[derive(Debug)]
pub struct EventLoop {
    pub(super) epoll: OwnedFd,
    listener: Option<OwnedFd>,
    pub(super) clients: BTreeMap<u64, Client>,
    next_client: u64,
    log: Driver,
    buffer: Vec<u8>,
    /// Input taken from a client that the container has not taken yet.
    pub(super) input: Vec<u8>,
    pub(super) stdin_once: bool,
    stop_signal: i32,
    paused_output: bool,
    /// The last terminal size a client told.
    pub size: Option<(u16, u16)>,
    /// A user asked for the end.
    pub stopped_by_user: bool,
}

/// Why the loop came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The first process ended.
    Exited,
    /// The time that was given has passed.
    TimedOut,
    /// A user ended the wait.
    Stopped,
}

impl EventLoop {
    /// A loop with its log.
    pub fn new(log: Driver, stdin_once: bool, stop_signal: i32) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|errno| Error::kernel("make", "epoll", errno))?;
        Ok(Self {
            epoll,
            listener: None,
            clients: BTreeMap::new(),
            next_client: 0,
            log,
            buffer: Vec::new(),
            input: Vec::new(),
            stdin_once,
            stop_signal,
            paused_output: false,
            size: None,
            stopped_by_user: false,
        })
    }

    /// Takes connections from now on.
    pub fn listen(&mut self, listener: OwnedFd) -> Result<()> {
        self.watch(listener.as_fd(), LISTENER, EventFlags::IN)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// A client that is connected already; what it has said is heard at once.
    pub fn add_client(&mut self, socket: OwnedFd, running: Option<&mut Running>) -> Result<()> {
        let number = self.next_client;
        self.next_client += 1;
        self.watch(socket.as_fd(), token(number, 0), EventFlags::IN)?;
        self.clients.insert(number, Client::new(socket));
        self.hear(number, running);
        Ok(())
    }

    /// Tells every client.
    pub fn tell_all(&self, event: &Event) {
        for client in self.clients.values() {
            client.send(event);
        }
    }

    /// Watches a container's descriptors.
    pub fn attach(&mut self, running: &Running) -> Result<()> {
        self.watch(running.pidfd.as_fd(), PIDFD, EventFlags::IN)?;
        for (fd, token) in [(&running.stdout, STDOUT), (&running.stderr, STDERR), (&running.console, CONSOLE)] {
            if let Some(fd) = fd {
                self.watch(fd.as_fd(), token, EventFlags::IN)?;
            }
        }
        if let Some(console) = &running.console {
            rustix::io::ioctl_fionbio(console, true).map_err(|errno| Error::kernel("set up", "the terminal", errno))?;
        }
        // Clients that attached before the start begin to give input now.
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        for number in numbers {
            self.watch_input(number);
        }
        Ok(())
    }

    fn watch(&self, fd: BorrowedFd<'_>, token: u64, flags: EventFlags) -> Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)
            .map_err(|errno| Error::kernel("watch", "a descriptor", errno))
    }

    /// Runs until the container's first process ends, a user stops the wait, or `limit` has passed.
    pub fn run(&mut self, mut running: Option<&mut Running>, limit: Option<Duration>) -> Result<Outcome> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let mut timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if timeout.is_some_and(|left| left.is_zero()) {
                return Ok(Outcome::TimedOut);
            }
            if let Some(running) = running.as_deref_mut()
                && self.read_always_ready(running)
            {
                timeout = Some(Duration::ZERO);
            }
            let mut events = Vec::with_capacity(16);
            let timespec = timeout.map(|left| rustix::event::Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timespec.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::kernel("wait for", "events", errno)),
            }
            let mut exited = false;
            for event in events {
                match event.data.u64() {
                    PIDFD => exited = true,
                    other => self.dispatch(other, running.as_deref_mut()),
                }
            }
            self.balance(running.as_deref_mut());
            if exited {
                return Ok(Outcome::Exited);
            }
            if running.is_none() && self.stopped_by_user {
                return Ok(Outcome::Stopped);
            }
        }
    }

    fn dispatch(&mut self, event: u64, running: Option<&mut Running>) {
        match (event, running) {
            (LISTENER, running) => self.accept(running),
            (STDOUT, Some(running)) => self.read(&mut running.stdout, Stream::Stdout),
            (STDERR, Some(running)) => self.read(&mut running.stderr, Stream::Stderr),
            (CONSOLE, Some(running)) => self.read_console(running),
            (STDIN, Some(running)) => self.write_input(running),
            (event, running) if event >= CLIENTS => {
                let number = (event - CLIENTS) / PER_CLIENT;
                match (event - CLIENTS) % PER_CLIENT {
                    0 => self.hear(number, running),
                    1 => self.read_input(number, running),
                    _ => self.flush(number),
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, running: Option<&mut Running>) {
        let Some(listener) = &self.listener else { return };
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let Ok(socket) = rustix::net::accept_with(listener, flags) else { return };
        let own = rustix::process::geteuid();
        let trusted =
            rustix::net::sockopt::socket_peercred(&socket).is_ok_and(|peer| peer.uid.is_root() || peer.uid == own);
        if trusted {
            let _ = self.add_client(socket, running);
        }
    }

    /// Hears all a client has to say.
    fn hear(&mut self, number: u64, mut running: Option<&mut Running>) {
        loop {
            let Some(client) = self.clients.get(&number) else { return };
            match client.receive() {
                Incoming::Request(request, fds) => self.obey(number, request, fds, running.as_deref_mut()),
                Incoming::Nothing => return,
                Incoming::Gone => return self.drop_client(number),
            }
        }
    }

    fn obey(&mut self, number: u64, request: Request, fds: Vec<OwnedFd>, running: Option<&mut Running>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        match request {
            Request::Attach { version, .. } | Request::Watch { version } if version != super::config::VERSION => {
                let message = format!("this container's monitor speaks protocol {}", super::config::VERSION);
                client.send(&Event::Error { message, code: 125 });
            }
            Request::Attach { stdin, stdout, stderr, detach_keys, size, .. } => {
                let Some(keys) = protocol::detach_keys(&detach_keys) else {
                    let message = format!("invalid detach keys ({detach_keys}) provided");
                    return client.send(&Event::Error { message, code: 125 });
                };
                client.keys = KeyMatcher::new(keys);
                client.waits = true;
                let mut fds = fds.into_iter();
                client.stdin = fds.by_ref().take(usize::from(stdin)).next();
                client.stdout = fds.by_ref().take(usize::from(stdout)).next().map(Output::new);
                client.stderr = fds.take(usize::from(stderr)).next().map(Output::new);
                self.size = size.or(self.size);
                if let Some(running) = running {
                    client.send(&Event::Started { pid: running.pid });
                    if let Some((rows, cols)) = size {
                        running.resize(rows, cols);
                    }
                    self.watch_input(number);
                }
            }
            Request::Watch { .. } => {
                if let Some(running) = running {
                    client.send(&Event::Started { pid: running.pid });
                }
            }
            Request::Wait => client.waits = true,
            Request::Resize { rows, cols } => {
                self.size = Some((rows, cols));
                if let Some(running) = running {
                    running.resize(rows, cols);
                }
            }
            Request::Signal { signal } => running.map_or((), |running| running.signal(signal)),
            Request::Kill { signal } => {
                client.send(&Event::Ok);
                if signal == SIGKILL || signal == self.stop_signal {
                    self.stopped_by_user = true;
                }
                if let Some(running) = running {
                    running.signal(signal);
                }
            }
        }
    }

    pub(super) fn drop_client(&mut self, number: u64) {
        self.unwatch_outputs(number);
        if let Some(client) = self.clients.remove(&number)
            && let Some(stdin) = &client.stdin
        {
            let _ = epoll::delete(&self.epoll, stdin);
        }
    }

    fn unwatch_outputs(&self, number: u64) {
        if let Some(client) = self.clients.get(&number) {
            for output in [&client.stdout, &client.stderr].into_iter().flatten() {
                let _ = epoll::delete(&self.epoll, output.descriptor());
            }
        }
    }

    fn read(&mut self, pipe: &mut Option<OwnedFd>, stream: Stream) {
        let Some(fd) = pipe.as_ref() else { return };
        self.buffer.resize(READ_BYTES, 0);
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(0) => {
                let _ = epoll::delete(&self.epoll, fd);
                *pipe = None;
            }
            Ok(count) => self.spread(stream, count),
            Err(_) => {}
        }
    }

    fn read_console(&mut self, running: &mut Running) {
        let Some(fd) = running.console.as_ref() else { return };
        self.buffer.resize(READ_BYTES, 0);
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(count) if count > 0 => self.spread(Stream::Stdout, count),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO: the last holder of the terminal's other side is gone. It may be opened again, so only the watch ends.
            Ok(_) | Err(_) => {
                let _ = epoll::delete(&self.epoll, fd);
            }
        }
    }

    /// Gives what was read to the log and to every client.
    fn spread(&mut self, stream: Stream, count: usize) {
        self.log.write(stream, &self.buffer[..count]);
        let mut gone = Vec::new();
        for (number, client) in &mut self.clients {
            let output = match stream {
                Stream::Stdout => &mut client.stdout,
                Stream::Stderr => &mut client.stderr,
            };
            let Some(sink) = output else { continue };
            let had = sink.waiting();
            if sink.write(&self.buffer[..count]).is_err() {
                gone.push((*number, stream));
            } else if had == 0 && sink.waiting() > 0 {
                let token = token(*number, if stream == Stream::Stdout { 2 } else { 3 });
                let _ = epoll::add(&self.epoll, sink.descriptor(), EventData::new_u64(token), EventFlags::OUT);
            }
        }
        for (number, stream) in gone {
            self.drop_output(number, stream);
        }
    }

    /// The reader of one stream is gone; the client may still listen to the other.
    fn drop_output(&mut self, number: u64, stream: Stream) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let output = match stream {
            Stream::Stdout => client.stdout.take(),
            Stream::Stderr => client.stderr.take(),
        };
        if let Some(output) = output {
            let _ = epoll::delete(&self.epoll, output.descriptor());
        }
    }

    fn flush(&mut self, number: u64) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(client) = self.clients.get_mut(&number) else { return };
            let output = match stream {
                Stream::Stdout => &mut client.stdout,
                Stream::Stderr => &mut client.stderr,
            };
            let Some(sink) = output.as_mut().filter(|sink| sink.waiting() > 0) else { continue };
            match sink.flush() {
                Err(_) => self.drop_output(number, stream),
                Ok(()) if sink.waiting() == 0 => {
                    let _ = epoll::delete(&self.epoll, sink.descriptor());
                }
                Ok(()) => {}
            }
        }
    }

    /// While a client's queue is full the container's output is left in its pipe.
    fn balance(&mut self, running: Option<&mut Running>) {
        let full = self.clients.values().any(Client::full);
        let Some(running) = running.filter(|_| full != self.paused_output) else { return };
        let flags = if full { EventFlags::empty() } else { EventFlags::IN };
        for (fd, token) in [(&running.stdout, STDOUT), (&running.stderr, STDERR), (&running.console, CONSOLE)] {
            if let Some(fd) = fd {
                let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags);
            }
        }
        self.paused_output = full;
    }

    /// Takes what is left in the pipes of a container that has ended. Its pid namespace is dead, so nothing comes after it;
    /// a process elsewhere that still holds the pipe (--pid host) is not waited for.
    pub fn drain(&mut self, running: &mut Running) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            loop {
                let fd = match stream {
                    Stream::Stdout => running.stdout.as_ref().or(running.console.as_ref()),
                    Stream::Stderr => running.stderr.as_ref(),
                };
                let Some(fd) = fd else { break };
                self.buffer.resize(READ_BYTES, 0);
                match rustix::io::read(fd, &mut self.buffer[..]) {
                    Ok(count) if count > 0 => self.spread(stream, count),
                    Err(Errno::INTR) => {}
                    Ok(_) | Err(_) => break,
                }
            }
        }
        self.log.finish();
        self.input.clear();
    }

    /// Tells the end to every client, each after the last byte of output reached it; waits for slow ones as long as they live.
    pub fn announce_exit(&mut self, event: &Event) -> Result<()> {
        loop {
            let ready: Vec<u64> =
                self.clients.iter().filter(|(_, client)| client.drained()).map(|(number, _)| *number).collect();
            for number in ready {
                if let Some(client) = self.clients.get_mut(&number) {
                    client.send(event);
                    client.release();
                }
                self.clients.remove(&number);
            }
            if self.clients.is_empty() {
                return Ok(());
            }
            self.run_once()?;
        }
    }

    fn run_once(&mut self) -> Result<()> {
        let mut events = Vec::with_capacity(16);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel("wait for", "events", errno)),
        }
        for event in events {
            self.dispatch(event.data.u64(), None);
        }
        Ok(())
    }

    /// Clients of one life of a container are let go before the next: they were told of the end.
    pub fn forget(&mut self, running: &Running) {
        let _ = epoll::delete(&self.epoll, &running.pidfd);
        for fd in [&running.stdout, &running.stderr, &running.console, &running.stdin].into_iter().flatten() {
            let _ = epoll::delete(&self.epoll, fd);
        }
        self.paused_output = false;
    }
}

pub(super) fn token(client: u64, part: u64) -> u64 {
    CLIENTS + client * PER_CLIENT + part
}
