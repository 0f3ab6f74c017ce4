//! Long work that a signal ends: it runs in a thread, while the thread Python came with looks after Python's signals.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::IntoPython;

/// How long a signal handler may have to wait for its turn.
const WAIT: Duration = Duration::from_millis(50);
const WAIT_KERNEL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Tells work that it is no longer wanted.
pub type Cancelled = Arc<AtomicBool>;

/// A file whose reads end when they are no longer wanted, be it a pipe nobody writes into.
pub struct Source {
    file: File,
    cancelled: Cancelled,
}

impl Source {
    /// Reads a file as long as it is wanted.
    pub fn new(file: File, cancelled: &Cancelled) -> Self {
        Self { file, cancelled: Arc::clone(cancelled) }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        wait(&self.file, PollFlags::IN, &self.cancelled)?;
        self.file.read(buffer)
    }
}

/// A file whose writes end when they are no longer wanted, be it a pipe nobody reads.
pub struct Target {
    file: File,
    cancelled: Cancelled,
    /// Most bytes one write may have: a pipe that is ready takes PIPE_BUF without waiting, more at the reader's pace.
    piece: usize,
}

impl Target {
    /// Writes a file as long as it is wanted.
    pub fn new(file: File, cancelled: &Cancelled) -> Self {
        let is_file =
            rustix::fs::fstat(&file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
        Self { file, cancelled: Arc::clone(cancelled), piece: if is_file { usize::MAX } else { 4096 } }
    }
}

impl Write for Target {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        wait(&self.file, PollFlags::OUT, &self.cancelled)?;
        let count = buffer.len().min(self.piece);
        self.file.write(&buffer[..count])
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An error once the work is no longer wanted.
pub fn check(cancelled: &Cancelled) -> std::io::Result<()> {
    if cancelled.load(Ordering::Relaxed) { Err(std::io::Error::other("interrupted")) } else { Ok(()) }
}

fn wait(file: &File, flags: PollFlags, cancelled: &Cancelled) -> std::io::Result<()> {
    loop {
        check(cancelled)?;
        let mut descriptors = [PollFd::from_borrowed_fd(file.as_fd(), flags)];
        match rustix::event::poll(&mut descriptors, Some(&WAIT_KERNEL)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Runs work without the GIL. An exception of a signal handler cancels it, and is raised once it has ended.
pub fn run<T: Send>(py: Python<'_>, cancelled: &Cancelled, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    std::thread::scope(|scope| {
        let (sender, mut receiver) = channel();
        scope.spawn(move || {
            let _ = sender.send(work()); // nobody waits if a handler raised
        });
        loop {
            let received;
            (receiver, received) = py.detach(move || {
                let received = receiver.recv_timeout(WAIT);
                (receiver, received)
            });
            match received {
                Ok(result) => return result.into_python(py),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::State, "run", "a thread", "it ended early")).into_python(py);
                }
            }
            if let Err(raised) = py.check_signals() {
                cancelled.store(true, Ordering::Relaxed);
                py.detach(move || drop(receiver.recv()));
                return Err(raised);
            }
        }
    })
}
