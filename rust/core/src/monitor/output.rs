//! Where a client's output goes, without ever blocking and without changing what the client lent.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::poller::{EventFlags, Poller, Source};

/// With this much waiting for a client the container is held back, as Docker does at a million bytes: output is never dropped.
pub const QUEUE_MAX_BYTES: usize = 128 * 1024;
/// What a pipe takes at once when it polls writable at all (pipe(7), PIPE_BUF).
const PIPE_BUF: usize = 4096;

/// How a lent descriptor is used. Its open file description is the client's: O_NONBLOCK there is not ours to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A pipe or a terminal, opened again for us alone, without blocking.
    Own,
    /// A socket: asked not to wait, call by call.
    Socket,
    /// A regular file, or what else never makes anybody wait. Its offset is shared, as the client means it to be.
    File,
    /// What cannot be opened again: polled before each piece.
    Shared,
}

/// Opens a lent descriptor again where that is how not to block on it.
fn adopt(fd: OwnedFd, mode: OFlags) -> (OwnedFd, Kind) {
    let kind = rustix::fs::fstat(&fd).map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        FileType::Socket => (fd, Kind::Socket),
        FileType::RegularFile | FileType::BlockDevice | FileType::Directory => (fd, Kind::File),
        _ => {
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let flags = mode | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(own) => (own, Kind::Own),
                Err(_) => (fd, Kind::Shared),
            }
        }
    }
}

/// Whether a call would not wait now. A hang-up or an error is no wait either.
fn ready(fd: &Source, what: PollFlags) -> bool {
    let mut entry = [PollFd::new(fd, what)];
    rustix::event::poll(&mut entry, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
}

/// One of a client's output descriptors, and what waits for it.
#[derive(Debug)]
pub struct Output {
    source: Source,
    kind: Kind,
    queue: VecDeque<u8>,
}

impl Output {
    /// For a descriptor a client lent.
    pub fn new(fd: OwnedFd, poller: &Poller, token: u64) -> Self {
        let (fd, kind) = adopt(fd, OFlags::WRONLY);
        Self { source: poller.source(fd, token), kind, queue: VecDeque::new() }
    }

    /// Bytes waiting.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Writes, or queues what cannot be written now; an error means that the reader is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let written = if self.queue.is_empty() { self.attempt(bytes)? } else { 0 };
        if written < bytes.len() {
            self.queue.extend(&bytes[written..]);
            self.source.watch(EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Writes on from the queue.
    pub fn flush(&mut self) -> Result<(), Errno> {
        while !self.queue.is_empty() {
            let (front, _) = self.queue.as_slices();
            let length = front.len();
            let written = self.attempt(front)?;
            self.queue.drain(..written);
            if written < length {
                return Ok(());
            }
        }
        self.queue = VecDeque::new(); // the memory goes too
        self.source.watch(EventFlags::empty())
    }

    /// How much could be written without waiting.
    fn attempt(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let result = match self.kind {
                Kind::Own | Kind::File => rustix::io::write(&self.source, rest),
                Kind::Socket => rustix::net::send(&self.source, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                Kind::Shared if !ready(&self.source, PollFlags::OUT) => return Ok(done),
                Kind::Shared => rustix::io::write(&self.source, &rest[..rest.len().min(PIPE_BUF)]),
            };
            match result {
                Ok(0) | Err(Errno::AGAIN) => break,
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }
}

/// A client's input descriptor.
#[derive(Debug)]
pub struct Input {
    source: Source,
    kind: Kind,
    /// It cannot be watched: the loop reads it whenever there is room.
    pub always_ready: bool,
}

impl Input {
    /// For a descriptor a client lent.
    pub fn new(fd: OwnedFd, poller: &Poller, token: u64) -> Self {
        let (fd, kind) = adopt(fd, OFlags::RDONLY);
        Self { source: poller.source(fd, token), kind, always_ready: false }
    }

    /// Whether to be told of input.
    pub fn watch(&mut self, wanted: bool) {
        let flags = if wanted { EventFlags::IN } else { EventFlags::empty() };
        match self.source.watch(flags) {
            Ok(()) => {}
            // Whatever epoll does not take is found out by reading it.
            Err(_) => self.always_ready = true,
        }
    }

    /// Reads what is there; EAGAIN when nothing is.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let result = match self.kind {
            Kind::Socket => rustix::net::recv(&self.source, buffer, RecvFlags::DONTWAIT).map(|(count, _)| count),
            Kind::Shared if !ready(&self.source, PollFlags::IN) => Err(Errno::AGAIN),
            Kind::Own | Kind::File | Kind::Shared => rustix::io::read(self.source.as_fd(), buffer),
        };
        if result == Err(Errno::INTR) { Err(Errno::AGAIN) } else { result }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn is_nonblocking(fd: &impl AsFd) -> bool {
        rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
    }

    #[test]
    fn test_output_full_pipe_queues_and_leaves_the_description_alone() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut output = Output::new(rustix::io::dup(&writer).unwrap(), &poller, 1);
        let bytes: Vec<u8> = (0..200_000u32).map(|number| number.to_le_bytes()[0]).collect();
        output.write(&bytes).unwrap();
        assert!(!is_nonblocking(&writer));
        assert_eq!(output.waiting(), 200_000 - 65_536);
        let (mut got, mut part) = (Vec::new(), vec![0; 50_000]);
        while got.len() < bytes.len() {
            let count = rustix::io::read(&reader, &mut part).unwrap();
            got.extend_from_slice(&part[..count]);
            output.flush().unwrap();
        }
        assert!(got == bytes && output.waiting() == 0);
    }

    #[test]
    fn test_output_socket_queues() {
        let poller = Poller::new().unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut output = Output::new(theirs.try_clone().unwrap().into(), &poller, 1);
        output.write(&vec![b'x'; 1 << 20]).unwrap();
        assert!(output.waiting() > 0 && !is_nonblocking(&theirs));
        drop(ours);
        assert!(output.flush().is_err());
    }

    #[test]
    fn test_output_regular_file_keeps_the_shared_offset() {
        let poller = Poller::new().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"before ").unwrap();
        Output::new(file.try_clone().unwrap().into(), &poller, 1).write(b"after").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "before after");
    }

    #[test]
    fn test_output_reader_gone_is_an_error() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        assert_eq!(Output::new(writer, &poller, 1).write(b"x"), Err(Errno::PIPE));
    }

    #[test]
    fn test_input_empty_pipe_does_not_block() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let input = Input::new(rustix::io::dup(&reader).unwrap(), &poller, 1);
        let mut buffer = [0; 8];
        assert_eq!(input.read(&mut buffer), Err(Errno::AGAIN));
        rustix::io::write(&writer, b"hi").unwrap();
        assert_eq!(input.read(&mut buffer), Ok(2));
        drop(writer);
        assert_eq!(input.read(&mut buffer), Ok(0));
        assert!(!is_nonblocking(&reader));
    }
}
