//! Terminals: the container's master handed to `--console-socket`, or joined with our own terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use pyctr_core::{Error, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use crate::files;

/// Connects to `--console-socket` before anything is started: a wrong path costs nothing then.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    files::connect(path)
}

/// Sends the terminal's master away.
pub fn send(socket: &OwnedFd, master: &OwnedFd) -> Result<()> {
    files::send_descriptor(socket, "/dev/ptmx", master.as_fd())
        .map_err(|errno| Error::kernel("send the terminal to", "the console socket", errno))
}

/// The size of the terminal this process has, rows and columns.
pub fn own_size() -> Option<(u16, u16)> {
    own().and_then(|fd| tcgetwinsize(fd).ok()).map(|size| (size.ws_row, size.ws_col))
}

/// The first of the three standard descriptors that is a terminal.
fn own() -> Option<BorrowedFd<'static>> {
    [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()].into_iter().find(|fd| isatty(fd))
}

/// What happened while the terminals were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A signal is to be read from the descriptor.
    Signal,
    /// Bytes went through.
    Copied,
}

/// Our terminal and the container's, joined.
#[derive(Debug)]
pub struct Proxy {
    master: OwnedFd,
    saved: Option<(BorrowedFd<'static>, Termios)>,
    input_open: bool,
    output_open: bool,
    /// What the container has not taken yet.
    pending: Vec<u8>,
}

const CHUNK: usize = 32 << 10;

impl Proxy {
    /// Puts our terminal, if there is one, into raw mode. `master` becomes non-blocking: a container that does not read
    /// must not keep us from showing what it writes.
    pub fn new(master: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&master, true).map_err(|errno| Error::kernel("set up", "terminal", errno))?;
        let saved = match own() {
            Some(fd) => {
                let saved = tcgetattr(fd).map_err(|errno| Error::kernel("read attributes of", "terminal", errno))?;
                let mut raw = saved.clone();
                raw.make_raw();
                tcsetattr(fd, OptionalActions::Now, &raw)
                    .map_err(|errno| Error::kernel("set attributes of", "terminal", errno))?;
                Some((fd, saved))
            }
            None => None,
        };
        let proxy = Self { master, saved, input_open: true, output_open: true, pending: Vec::new() };
        proxy.resize();
        Ok(proxy)
    }

    /// Gives the container's terminal the size of ours.
    pub fn resize(&self) {
        if let Some((rows, columns)) = own_size() {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A terminal already hung up has no size; nothing depends on it.
            let _ = tcsetwinsize(&self.master, size);
        }
    }

    /// Copies until a signal is waiting.
    pub fn pump(&mut self, signals: BorrowedFd<'_>) -> Result<()> {
        while self.step(signals)? != Event::Signal {}
        Ok(())
    }

    /// Copies what the container wrote before it went; never waits for more than a moment.
    pub fn drain(&mut self) {
        while self.output_open {
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            match poll(&mut fds, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(ready) if ready > 0 => {
                    if self.copy_output().is_err() {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                _ => break,
            }
        }
    }

    fn step(&mut self, signals: BorrowedFd<'_>) -> Result<Event> {
        let input = rustix::stdio::stdin();
        let mut wanted = PollFlags::empty();
        if self.output_open {
            wanted |= PollFlags::IN;
        }
        if !self.pending.is_empty() {
            wanted |= PollFlags::OUT;
        }
        let reading = self.input_open && self.pending.is_empty();
        let ready = {
            let mut fds = [
                PollFd::from_borrowed_fd(signals, PollFlags::IN),
                PollFd::from_borrowed_fd(self.master.as_fd(), wanted),
                PollFd::from_borrowed_fd(input, PollFlags::IN),
            ];
            // A hung-up master is always ready; it must not be asked once its output ended.
            let used: &mut [PollFd<'_>] = match (wanted.is_empty(), reading) {
                (_, true) => &mut fds[..],
                (false, false) => &mut fds[..2],
                (true, false) => &mut fds[..1],
            };
            match poll(used, None) {
                Ok(_) => {}
                Err(Errno::INTR) => return Ok(Event::Copied),
                Err(errno) => return Err(Error::kernel("poll", "terminal", errno)),
            }
            [fds[0].revents(), fds[1].revents(), fds[2].revents()]
        };
        if !ready[1].is_empty() {
            if self.output_open && ready[1].intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.copy_output()?;
            }
            if ready[1].contains(PollFlags::OUT) {
                self.flush_input();
            }
        }
        if reading && !ready[2].is_empty() {
            self.copy_input(input);
        }
        Ok(if ready[0].is_empty() { Event::Copied } else { Event::Signal })
    }

    fn copy_output(&mut self) -> Result<()> {
        let mut buffer = vec![0; CHUNK];
        match rustix::io::read(&self.master, &mut buffer) {
            Ok(0) => self.output_open = false,
            Ok(count) => files::write_all(rustix::stdio::stdout(), &buffer[..count])
                .map_err(|errno| Error::kernel("write to", "standard output", errno))?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            // EIO: the last process closed its side.
            Err(_) => self.output_open = false,
        }
        Ok(())
    }

    fn copy_input(&mut self, input: BorrowedFd<'_>) {
        let mut buffer = [0; 4096];
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => {
                // The end of our input is the end of file character to the container.
                self.input_open = false;
                self.pending.push(4);
            }
            Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input_open = false,
        }
        self.flush_input();
    }

    fn flush_input(&mut self) {
        match rustix::io::write(&self.master, &self.pending) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.pending.clear(),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some((fd, saved)) = &self.saved {
            let _ = tcsetattr(fd, OptionalActions::Now, saved);
        }
    }
}
