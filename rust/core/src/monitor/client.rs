//! A client: its socket, and the stdio it lends.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};

use super::protocol::{Event, KeyMatcher, PACKET_MAX, Request};

/// More output than this waiting for a client holds the container back, as Docker does: output is never dropped.
pub const QUEUE_MAX: usize = 1 << 20;

/// One client.
#[derive(Debug)]
pub struct Client {
    /// Its socket.
    pub socket: OwnedFd,
    /// Wants output of the command's descriptor 1.
    pub stdout: Option<Output>,
    /// And 2.
    pub stderr: Option<Output>,
    /// Gives input.
    pub stdin: Option<OwnedFd>,
    /// That input is a regular file, which cannot be polled.
    pub always_ready: bool,
    /// Detach keys.
    pub keys: KeyMatcher,
    /// Waits for the end.
    pub waits: bool,
}

/// Where a client's output goes, without ever blocking.
#[derive(Debug)]
pub struct Output {
    file: OwnedFd,
    kind: Kind,
    queue: VecDeque<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Opened again for us alone, without blocking.
    Own,
    /// A socket: asked not to wait, call by call.
    Socket,
    /// Written in pieces a pipe takes at once when it is ready at all.
    Shared,
}

/// POSIX lets a pipe that polls writable take this much.
const PIPE_BUF: usize = 4096;

impl Output {
    /// For a descriptor a client lent. The open file description is the client's: its O_NONBLOCK is not ours to change.
    pub fn new(file: OwnedFd) -> Self {
        let is_socket = rustix::fs::fstat(&file)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Socket);
        if is_socket {
            return Self { file, kind: Kind::Socket, queue: VecDeque::new() };
        }
        // Append mode of a file stays with the description that has it, and so must the shared offset.
        let is_file = rustix::fs::fstat(&file)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile);
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(own) if !is_file => Self { file: own, kind: Kind::Own, queue: VecDeque::new() },
            _ => Self { file, kind: Kind::Shared, queue: VecDeque::new() },
        }
    }

    /// The descriptor to poll.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Bytes waiting.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Writes, or queues what cannot be written now; an error means the reader is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let mut rest = bytes;
        if self.queue.is_empty() {
            let written = self.attempt(rest)?;
            rest = &rest[written..];
        }
        self.queue.extend(rest);
        Ok(())
    }

    /// Writes on from the queue.
    pub fn flush(&mut self) -> Result<(), Errno> {
        while !self.queue.is_empty() {
            self.queue.make_contiguous();
            let (pending, _) = self.queue.as_slices();
            let written = self.attempt(pending)?;
            if written == 0 {
                break;
            }
            self.queue.drain(..written);
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(0);
        }
        Ok(())
    }

    /// How much could be written without waiting.
    fn attempt(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let result = match self.kind {
                Kind::Own => rustix::io::write(&self.file, rest),
                Kind::Socket => rustix::net::send(&self.file, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                Kind::Shared if !self.ready() => return Ok(done),
                Kind::Shared => rustix::io::write(&self.file, &rest[..rest.len().min(PIPE_BUF)]),
            };
            match result {
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    fn ready(&self) -> bool {
        let mut entry = [rustix::event::PollFd::new(&self.file, rustix::event::PollFlags::OUT)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut entry, Some(&now)).is_ok_and(|count| count > 0)
    }
}

/// What came over a client's socket.
#[derive(Debug)]
pub enum Incoming {
    /// A request, with the descriptors that came along.
    Request(Request, Vec<OwnedFd>),
    /// Nothing more for now.
    Nothing,
    /// The client has gone, or talks nonsense.
    Gone,
}

impl Client {
    /// A client that has only connected.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            stdout: None,
            stderr: None,
            stdin: None,
            always_ready: false,
            keys: KeyMatcher::default(),
            waits: false,
        }
    }

    /// The next request, without waiting.
    pub fn receive(&self) -> Incoming {
        let mut bytes = vec![0u8; PACKET_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let length = loop {
            let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut parts, &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Incoming::Nothing,
                Ok(message) if message.bytes > 0 => break message.bytes,
                Ok(_) | Err(_) => return Incoming::Gone,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        match serde_json::from_slice(&bytes[..length]) {
            Ok(request) => Incoming::Request(request, descriptors),
            Err(_) => Incoming::Gone,
        }
    }

    /// Tells the client something; one that does not listen is its own loss.
    pub fn send(&self, event: &Event) {
        let bytes = serde_json::to_vec(event).unwrap_or_default();
        let _ = rustix::net::send(&self.socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// Everything written for it has been taken.
    pub fn drained(&self) -> bool {
        [&self.stdout, &self.stderr].into_iter().flatten().all(|output| output.waiting() == 0)
    }

    /// It holds the container back.
    pub fn full(&self) -> bool {
        [&self.stdout, &self.stderr].into_iter().flatten().any(|output| output.waiting() > QUEUE_MAX)
    }

    /// Lets go of what it lent.
    pub fn release(&mut self) {
        (self.stdin, self.stdout, self.stderr) = (None, None, None);
    }
}
