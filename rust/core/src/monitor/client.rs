//! A client: its socket, and the stdio it lends.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags};

use super::log::Stream;
use super::output::{Input, Output, QUEUE_MAX_BYTES};
use super::poller::{EventFlags, Poller, Source};
use super::protocol::{Event, KeyMatcher, PACKET_MAX, Request};
use crate::{Error, Result};

/// Tokens of a client: its socket, standard input, output, error.
pub const TOKENS: u64 = 4;
/// Most requests are far shorter; what is longer costs a second system call.
const USUAL_BYTES: usize = 1024;

/// One client.
#[derive(Debug)]
pub struct Client {
    socket: Source,
    poller: Poller,
    token: u64,
    /// Gives input.
    pub stdin: Option<Input>,
    outputs: [Option<Output>; 2],
    /// Detach keys; they work with a terminal only, since input that is no typing may hold any bytes.
    pub keys: KeyMatcher,
    /// Has lent its stdio.
    pub attached: bool,
    /// Wants to hear of the end.
    pub waits: bool,
    /// The end, to be told when the last byte of output has reached it; then the client is let go.
    farewell: Option<Event>,
}

/// What came over a client's socket.
#[derive(Debug)]
pub enum Incoming {
    /// A request, with the descriptors that came along.
    Request(Request, Vec<OwnedFd>),
    /// Nothing more for now.
    Nothing,
    /// No request: why not.
    Nonsense(String),
    /// The client has gone.
    Gone,
}

impl Client {
    /// A client that has only connected; its tokens begin at `token`.
    pub fn new(socket: OwnedFd, poller: &Poller, token: u64) -> Result<Self> {
        let mut socket = poller.source(socket, token);
        socket.watch(EventFlags::IN).map_err(|errno| Error::kernel("watch", "a client", errno))?;
        Ok(Self {
            socket,
            poller: poller.clone(),
            token,
            stdin: None,
            outputs: [None, None],
            keys: KeyMatcher::default(),
            attached: false,
            waits: false,
            farewell: None,
        })
    }

    /// The next request, without waiting.
    pub fn receive(&self) -> Incoming {
        let mut usual = [0u8; USUAL_BYTES];
        match self.peek() {
            Err(Errno::AGAIN | Errno::INTR) => Incoming::Nothing,
            // An empty packet is no request either.
            Err(_) | Ok(0) => Incoming::Gone,
            Ok(length) if length <= USUAL_BYTES => self.take(&mut usual[..length]),
            Ok(length) if length <= PACKET_MAX => self.take(&mut vec![0; length]),
            Ok(_) => Incoming::Nonsense(format!("a packet is at most {PACKET_MAX} bytes long")),
        }
    }

    /// The length of the next packet.
    fn peek(&self) -> rustix::io::Result<usize> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK | RecvFlags::TRUNC;
        rustix::net::recv(&self.socket, &mut [0u8; 1], flags).map(|(_, length)| length)
    }

    fn take(&self, bytes: &mut [u8]) -> Incoming {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let result = {
            let mut parts = [std::io::IoSliceMut::new(bytes)];
            rustix::net::recvmsg(&self.socket, &mut parts, &mut control, flags)
        };
        let Ok(message) = result else { return Incoming::Gone };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Incoming::Nonsense("a client lends at most three descriptors".to_owned());
        }
        match serde_json::from_slice(&bytes[..message.bytes]) {
            Ok(request) => Incoming::Request(request, descriptors),
            Err(error) => Incoming::Nonsense(format!("not understood: {error}")),
        }
    }

    /// Takes what the client lends: one descriptor for each true one of `wanted`, in the order of their numbers.
    pub fn lend(&mut self, wanted: [bool; 3], fds: Vec<OwnedFd>) -> std::result::Result<(), &'static str> {
        if self.attached {
            return Err("attached already");
        }
        if fds.len() != wanted.iter().filter(|wanted| **wanted).count() {
            return Err("attach: the number of descriptors is not that of the streams");
        }
        let mut fds = fds.into_iter();
        let mut next = |wanted: bool| if wanted { fds.next() } else { None };
        let [stdin, stdout, stderr] = wanted.map(&mut next);
        self.stdin = stdin.map(|fd| Input::new(fd, &self.poller, self.token + 1));
        self.outputs = [
            stdout.map(|fd| Output::new(fd, &self.poller, self.token + 2)),
            stderr.map(|fd| Output::new(fd, &self.poller, self.token + 3)),
        ];
        self.attached = true;
        self.waits = true;
        Ok(())
    }

    /// Passes output on. A reader that is gone costs that stream only.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let output = &mut self.outputs[stream as usize];
        if output.as_mut().is_some_and(|sink| sink.write(bytes).is_err()) {
            *output = None;
        }
    }

    /// Writes on what waits.
    pub fn flush(&mut self) {
        for output in &mut self.outputs {
            if output.as_mut().is_some_and(|sink| sink.flush().is_err()) {
                *output = None;
            }
        }
    }

    /// Tells the client something; one that does not listen is its own loss.
    pub fn send(&self, event: &Event) {
        send(self.socket.owned(), event);
    }

    /// Bytes waiting for the slower of its readers.
    fn waiting(&self) -> usize {
        self.outputs.iter().flatten().map(Output::waiting).max().unwrap_or(0)
    }

    /// It holds the container back.
    pub fn is_full(&self) -> bool {
        self.waiting() > QUEUE_MAX_BYTES
    }

    /// The end of the container's life: to be told as soon as all output has been taken.
    pub fn bid_farewell(&mut self, event: Event) {
        self.stdin = None;
        self.farewell = Some(event);
    }

    /// Tells the end if it is time to; true when the client is to be let go.
    pub fn try_farewell(&mut self) -> bool {
        let Some(event) = &self.farewell else { return false };
        if self.waiting() > 0 {
            return false;
        }
        // What it lent first: who hears of the end may count on nobody else holding its terminal or pipe.
        self.outputs = [None, None];
        part(self.socket.owned(), event);
        true
    }

    /// Tells it why and lets it go.
    pub fn dismiss(self, event: &Event) {
        part(self.socket.owned(), event);
    }

    /// Whether it has yet to hear of the end.
    pub fn is_leaving(&self) -> bool {
        self.farewell.is_some()
    }
}

/// One packet, without waiting for who does not read.
pub fn send(socket: impl AsFd, event: &Event) {
    let bytes = serde_json::to_vec(event).unwrap_or_default();
    let _ = rustix::net::send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

/// The last packet of a conversation. Were anything unread when the socket is closed, the client would read ECONNRESET before
/// what we said last (net/unix/af_unix.c, unix_release_sock): so nothing is taken any more, then the rest is read.
pub fn part(socket: impl AsFd, event: &Event) {
    let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Read);
    while rustix::net::recv(&socket, &mut [0u8; 1], RecvFlags::DONTWAIT).is_ok_and(|(_, length)| length > 0) {}
    send(socket, event);
}
