//! The monitor's ends of the container's standard streams.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pty::OpenptFlags;

use super::log::Stream;
use super::poller::{EventFlags, Poller, Source};

/// Tokens: output, error output, terminal, input.
pub const STDOUT: u64 = 2;
/// See [`STDOUT`].
pub const STDERR: u64 = 3;
/// See [`STDOUT`].
pub const CONSOLE: u64 = 4;
/// See [`STDOUT`].
pub const STDIN: u64 = 5;

/// What a terminal may hold that nobody has read, generously.
const CONSOLE_BYTES: usize = 1 << 20;

/// Fresh ends of pipes, or the master of a terminal.
#[derive(Debug, Default)]
pub struct Ends {
    /// Feeds the command's descriptor 0.
    pub stdin: Option<OwnedFd>,
    /// Reads the command's descriptor 1.
    pub stdout: Option<OwnedFd>,
    /// Reads the command's descriptor 2.
    pub stderr: Option<OwnedFd>,
    /// Master of the terminal, in place of the three.
    pub console: Option<OwnedFd>,
}

/// The streams of one life of a container, none of which ever blocks.
#[derive(Debug)]
pub struct Streams {
    stdin: Option<Source>,
    stdout: Option<Source>,
    stderr: Option<Source>,
    console: Option<Source>,
    /// The terminal's other side: as long as somebody holds it, the master reports no hang-up, however often the container
    /// closes its terminal and opens it again.
    _peer: Option<OwnedFd>,
    /// Input that the container has not taken yet.
    pending: Vec<u8>,
    /// Input ends when that has been taken.
    ending: bool,
    held_back: bool,
}

impl Streams {
    /// Takes the ends over and watches them.
    pub fn new(ends: Ends, poller: &Poller) -> rustix::io::Result<Self> {
        let peer = ends.console.as_ref().and_then(|console| {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            rustix::pty::ioctl_tiocgptpeer(console, flags).ok()
        });
        for fd in [&ends.stdin, &ends.stdout, &ends.stderr, &ends.console].into_iter().flatten() {
            // These descriptions are ours alone: the command has the pipes' other ends.
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let source = |fd: Option<OwnedFd>, token| fd.map(|fd| poller.source(fd, token));
        let mut streams = Self {
            stdin: source(ends.stdin, STDIN),
            stdout: source(ends.stdout, STDOUT),
            stderr: source(ends.stderr, STDERR),
            console: source(ends.console, CONSOLE),
            _peer: peer,
            pending: Vec::new(),
            ending: false,
            held_back: false,
        };
        streams.watch()?;
        Ok(streams)
    }

    fn watch(&mut self) -> rustix::io::Result<()> {
        let output = if self.held_back { EventFlags::empty() } else { EventFlags::IN };
        let input = if self.pending.is_empty() { EventFlags::empty() } else { EventFlags::OUT };
        let wanted = [
            (&mut self.stdin, input),
            (&mut self.stdout, output),
            (&mut self.stderr, output),
            (&mut self.console, output | input),
        ];
        for (source, flags) in wanted {
            if let Some(source) = source {
                source.watch(flags)?;
            }
        }
        Ok(())
    }

    /// Leaves the container's output where it is, or no longer: what a full client or a busy log asks for.
    pub fn hold_back(&mut self, held_back: bool) {
        if self.held_back != held_back {
            self.held_back = held_back;
            let _ = self.watch();
        }
    }

    /// Appends what can be read of a stream to an empty buffer, at most its capacity. False: there is nothing now.
    pub fn read(&mut self, token: u64, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let source = match token {
            STDOUT => &mut self.stdout,
            STDERR => &mut self.stderr,
            _ => &mut self.console,
        };
        let Some(fd) = source else { return false };
        match rustix::io::read(&*fd, rustix::buffer::spare_capacity(buffer)) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(count) if count > 0 => return true,
            // The end of a pipe; of a terminal (EIO) only where its peer could not be held open.
            Ok(_) | Err(_) => *source = None,
        }
        false
    }

    /// The tokens of streams still open, and how many bytes may be left in each when the container has ended.
    pub fn leftovers(&self) -> Vec<(u64, Stream, usize)> {
        let pipe = |source: &Source| rustix::pipe::fcntl_getpipe_size(source).unwrap_or(1 << 16);
        let mut left = Vec::new();
        left.extend(self.stdout.as_ref().map(|source| (STDOUT, Stream::Stdout, pipe(source))));
        left.extend(self.stderr.as_ref().map(|source| (STDERR, Stream::Stderr, pipe(source))));
        left.extend(self.console.as_ref().map(|_| (CONSOLE, Stream::Stdout, CONSOLE_BYTES)));
        left
    }

    /// Whether input would be taken now.
    pub fn wants_input(&self) -> bool {
        self.pending.is_empty() && !self.ending && (self.stdin.is_some() || self.console.is_some())
    }

    /// Nothing will ever be taken again.
    pub fn input_closed(&self) -> bool {
        self.stdin.is_none() && self.console.is_none()
    }

    /// Gives input to the container; what it does not take now waits.
    pub fn feed(&mut self, bytes: Vec<u8>) {
        self.pending = bytes;
        self.write_input();
    }

    /// Writes on what waits.
    pub fn write_input(&mut self) {
        let mut done = 0;
        while let Some(target) = self.console.as_ref().or(self.stdin.as_ref())
            && done < self.pending.len()
        {
            match rustix::io::write(target, &self.pending[done..]) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    self.stdin = None;
                    done = self.pending.len();
                }
            }
        }
        self.pending.drain(..done);
        if self.pending.is_empty() {
            self.pending = Vec::new();
            if self.ending {
                self.stdin = None;
            }
        }
        let _ = self.watch();
    }

    /// The end of input. A terminal has none: its end is a character somebody types.
    pub fn end_input(&mut self) {
        if self.pending.is_empty() {
            self.stdin = None;
        } else {
            self.ending = self.stdin.is_some();
        }
    }

    /// Tells the terminal its size.
    pub fn resize(&self, (rows, cols): (u16, u16)) {
        if let Some(console) = &self.console {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(console, size);
        }
    }
}
