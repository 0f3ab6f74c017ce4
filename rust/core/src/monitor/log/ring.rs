//! `mode=non-blocking`: lines wait in a ring for a process that writes the files, so that a disk that stalls holds up neither
//! the container nor the monitor. When the ring is full the oldest line goes, and is counted.
//!
//! The writer is a copy of the monitor at the other end of a socket: the monitor stays of one thread. It ends when the
//! socket does, with everything it was sent written; so it also finishes the log of a monitor that is killed.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{WaitId, WaitIdOptions};

use super::file::FileLog;
use super::lines::Entry;
use super::{TOKEN, frame};
use crate::monitor::poller::{EventFlags, Poller, Source};
use crate::sys::monitor::fork_worker_with;

/// What is sent at once: more than the longest line is.
const PACKET_BYTES: usize = 32 * 1024;
/// An idle monitor keeps no more of the ring than this.
const KEEP_BYTES: usize = 8 * 1024;
/// How long the end of a container's life waits for its last lines to be written: Docker's own patience
/// (moby container/monitor.go, loggerCloseTimeout).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The ring, and who empties it.
#[derive(Debug)]
pub struct Ring {
    /// Never written by this process: each writer begins as a copy of it.
    files: Box<FileLog>,
    max_bytes: usize,
    /// Frames, oldest first.
    queue: VecDeque<u8>,
    /// Bytes of lines in it, which is what Docker counts.
    queued_bytes: usize,
    poller: Poller,
    writer: Option<Writer>,
    /// The writer's socket was full; it is tried again when it is not.
    is_full: bool,
    /// The writer has said that everything before it is written.
    is_answered: bool,
    dropped: u64,
    /// What writers could not write: those that are gone, and this one.
    unwritten: (u64, u64),
}

#[derive(Debug)]
struct Writer {
    socket: Source,
    pidfd: OwnedFd,
}

impl Ring {
    /// Nothing is started before there is something to write.
    pub fn new(files: Box<FileLog>, max_bytes: usize, poller: &Poller) -> Self {
        Self {
            files,
            max_bytes,
            queue: VecDeque::new(),
            queued_bytes: 0,
            poller: poller.clone(),
            writer: None,
            is_full: false,
            is_answered: false,
            dropped: 0,
            unwritten: (0, 0),
        }
    }

    /// Bytes dropped, and bytes that could not be written.
    pub fn lost(&self) -> u64 {
        self.dropped + self.unwritten.0 + self.unwritten.1
    }

    /// Has a line wait. One is always let in, however long.
    pub fn add(&mut self, entry: &Entry<'_>) {
        if self.queued_bytes + entry.line.len() > self.max_bytes {
            self.flush();
        }
        while self.queued_bytes + entry.line.len() > self.max_bytes && self.drop_oldest() {}
        frame::append(&mut self.queue, entry);
        self.queued_bytes += entry.line.len();
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(length) = frame::line_length(&self.queue, 0) else { return false };
        drop(self.queue.drain(..frame::HEADER_BYTES + length));
        self.queued_bytes -= length;
        self.dropped += length as u64;
        true
    }

    /// Sends on what waits, without waiting; the loop comes back when more can be sent.
    pub fn flush(&mut self) {
        while !self.queue.is_empty() && !self.is_full {
            let (bytes, line_bytes) = self.packet();
            let (front, back) = self.queue.as_slices();
            let from_front = bytes.min(front.len());
            let parts = [IoSlice::new(&front[..from_front]), IoSlice::new(&back[..bytes - from_front])];
            let parts = &parts[..if from_front == bytes { 1 } else { 2 }];
            match send(&mut self.writer, &self.poller, &mut self.files, parts) {
                Ok(()) => {
                    drop(self.queue.drain(..bytes));
                    self.queued_bytes -= line_bytes;
                }
                Err(Errno::AGAIN) => self.is_full = true,
                Err(_) => {
                    // Not even a new one could be started.
                    drop(self.queue.drain(..bytes));
                    self.queued_bytes -= line_bytes;
                    self.dropped += line_bytes as u64;
                    self.let_go();
                }
            }
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(KEEP_BYTES);
        }
        if let Some(writer) = &mut self.writer {
            let _ = writer.socket.watch(if self.is_full { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN });
        }
    }

    /// How much of the ring, whole frames, is sent next, and how much of that is lines.
    fn packet(&self) -> (usize, usize) {
        let (mut bytes, mut line_bytes) = (0, 0);
        while let Some(length) = frame::line_length(&self.queue, bytes)
            && (bytes == 0 || bytes + frame::HEADER_BYTES + length <= PACKET_BYTES)
        {
            bytes += frame::HEADER_BYTES + length;
            line_bytes += length;
        }
        (bytes, line_bytes)
    }

    /// The socket has something to say or takes more.
    pub fn proceed(&mut self) {
        while let Some(writer) = &self.writer {
            let mut report = [0u8; size_of::<u64>() + 1];
            match rustix::net::recv(&writer.socket, &mut report, RecvFlags::DONTWAIT) {
                Ok((count, _)) if count == report.len() => {
                    let [answers, unwritten @ ..] = report;
                    self.is_answered |= answers != 0;
                    self.unwritten.1 = u64::from_ne_bytes(unwritten);
                }
                Err(Errno::AGAIN | Errno::INTR) => break,
                // It was killed: what it had been sent and not written is lost, uncounted.
                Ok(_) | Err(_) => self.let_go(),
            }
        }
        self.is_full = false;
        self.flush();
    }

    /// A writer whose socket has ended, or ends now, has ended or will.
    fn let_go(&mut self) {
        if let Some(Writer { socket, pidfd }) = self.writer.take() {
            drop(socket);
            // One that did not answer in time is stuck: init takes leave of it.
            reap(&pidfd, if self.is_answered { CLOSE_TIMEOUT } else { Duration::ZERO });
        }
        self.is_full = false;
        self.unwritten = (self.unwritten.0 + self.unwritten.1, 0);
    }

    /// A life has ended: waits until its lines are written. What could not even be sent within [`CLOSE_TIMEOUT`] is lost.
    pub fn drain(&mut self) {
        let until = Instant::now() + CLOSE_TIMEOUT;
        self.is_answered = false;
        let mut is_asked = false;
        while !self.is_answered && (self.writer.is_some() || !self.queue.is_empty()) {
            if !is_asked && self.queue.is_empty() {
                let question = [0u8; frame::HEADER_BYTES];
                match send(&mut self.writer, &self.poller, &mut self.files, &[IoSlice::new(&question)]) {
                    Ok(()) => is_asked = true,
                    Err(Errno::AGAIN) => {}
                    Err(_) => return self.let_go(),
                }
            }
            if !self.wait(until, !is_asked) {
                while self.drop_oldest() {}
                return;
            }
            self.proceed();
        }
    }

    /// Waits for the writer's socket; false: no longer.
    fn wait(&self, until: Instant, wants_room: bool) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let Some(writer) = self.writer.as_ref().filter(|_| !left.is_zero()) else { return false };
        let flags = if wants_room { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let limit = Timespec::try_from(left).ok();
        match rustix::event::poll(&mut [PollFd::new(&writer.socket, flags)], limit.as_ref()) {
            Ok(count) => count > 0,
            Err(errno) => errno == Errno::INTR,
        }
    }

    /// Nothing comes any more.
    pub fn close(&mut self) {
        self.let_go();
    }
}

/// Sends a packet to the writer, starting one where there is none. EAGAIN: its socket is full.
fn send(
    writer: &mut Option<Writer>,
    poller: &Poller,
    files: &mut FileLog,
    parts: &[IoSlice<'_>],
) -> rustix::io::Result<()> {
    for _ in 0..2 {
        let current = match writer.take() {
            Some(current) => current,
            None => start(poller, files)?,
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::sendmsg(&current.socket, parts, &mut rustix::net::SendAncillaryBuffer::default(), flags) {
            Err(Errno::PIPE | Errno::CONNRESET) => reap(&current.pidfd, CLOSE_TIMEOUT), // it was killed: another one
            result => {
                *writer = Some(current);
                return result.map(drop);
            }
        }
    }
    Err(Errno::PIPE)
}

fn start(poller: &Poller, files: &mut FileLog) -> rustix::io::Result<Writer> {
    let flags = SocketFlags::CLOEXEC;
    let (own, its) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let (_, pidfd) = fork_worker_with(its.as_fd(), |socket| serve(&socket, files))?;
    let mut socket = poller.source(own, TOKEN);
    socket.watch(EventFlags::IN)?;
    Ok(Writer { socket, pidfd })
}

fn reap(pidfd: &OwnedFd, limit: Duration) {
    let limit = Timespec::try_from(limit).ok();
    let _ = rustix::event::poll(&mut [PollFd::new(pidfd, PollFlags::IN)], limit.as_ref());
    let _ = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}

/// The writer: writes what it is sent until the socket ends.
fn serve(socket: &OwnedFd, files: &mut FileLog) -> bool {
    let mut packet = vec![0u8; PACKET_BYTES];
    let mut told = 0;
    loop {
        let count = match rustix::net::recv(socket, &mut packet, RecvFlags::empty()) {
            Ok((0, _)) => break,
            Ok((count, _)) => count,
            Err(Errno::INTR) => continue,
            Err(_) => break,
        };
        let mut answers = false;
        for entry in frame::entries(&packet[..count]) {
            match entry {
                Some(entry) => files.add(&entry),
                None => answers = true,
            }
        }
        files.flush();
        if answers || files.lost() != told {
            told = files.lost();
            tell(socket.as_fd(), answers, told);
        }
    }
    files.wait_for_compressor();
    true
}

fn tell(socket: std::os::fd::BorrowedFd<'_>, answers: bool, unwritten: u64) {
    let mut report = vec![u8::from(answers)];
    report.extend(unwritten.to_ne_bytes());
    let _ = rustix::net::send(socket, &report, SendFlags::NOSIGNAL);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::monitor::config::Config;
    use crate::monitor::log::{Driver, Stream};

    fn log(dir: &tempfile::TempDir, buffer: &str) -> Driver {
        let options = [("mode", "non-blocking"), ("max-buffer-size", buffer)];
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::for_log("json-file", &dir.path().join("log").to_string_lossy(), options);
        Driver::new(&config, &Poller::new().unwrap()).unwrap()
    }

    fn lines(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let log = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["log"].as_str().unwrap().to_owned();
        text.lines().map(log).collect()
    }

    #[test]
    fn test_finish_everything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, "1m");
        let text: String = (0..20_000).fold(String::new(), |text, number| text + &format!("line {number}\n"));
        for part in text.as_bytes().chunks(60_000) {
            log.write(Stream::Stdout, part);
        }
        log.finish();
        assert_eq!(lines(&dir.path().join("log")).concat(), text);
        assert_eq!(log.lost(), 0);
        log.close();
    }

    #[test]
    fn test_write_stalled_disk_the_newest_stay_and_the_rest_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        // Opening a FIFO waits for a reader: a disk that stalls.
        let path = dir.path().join("log");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let mut log = log(&dir, "10k");
        let text: String = (0..100_000).fold(String::new(), |text, number| text + &format!("{number:09}\n"));
        let began = Instant::now();
        for part in text.as_bytes().chunks(50_000) {
            log.write(Stream::Stdout, part);
        }
        assert!(began.elapsed() < CLOSE_TIMEOUT, "nobody waited");
        let reader = std::thread::spawn(move || lines(&path));
        log.finish();
        let lost = log.lost();
        log.close();
        let kept = reader.join().unwrap();
        assert_eq!(kept.last().map(String::as_str), Some("000099999\n"));
        assert!(kept.is_sorted());
        assert_eq!(lost, (100_000 - kept.len() as u64) * 9, "without newlines, as Docker counts");
        assert!(kept.len() < 50_000);
    }

    #[test]
    fn test_write_writer_killed_another_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::for_log("json-file", &dir.path().join("log").to_string_lossy(), [].into());
        let poller = Poller::new().unwrap();
        let files = FileLog::new(super::super::file::Format::Json, &config, [].into(), &poller).unwrap();
        let mut ring = Ring::new(Box::new(files), 1000, &poller);
        let time = crate::monitor::clock::Time::now();
        for line in [&b"one"[..], b"two"] {
            ring.add(&Entry { stream: Stream::Stdout, line, ended: true, piece: None, time });
            ring.flush();
            ring.drain();
            let writer = ring.writer.as_ref().unwrap();
            crate::sys::monitor::pidfd_send_signal(writer.pidfd.as_fd(), libc::SIGKILL).unwrap();
            rustix::event::poll(&mut [PollFd::new(&writer.pidfd, PollFlags::IN)], None).unwrap();
        }
        assert_eq!(lines(&dir.path().join("log")), ["one\n", "two\n"]);
        ring.close();
    }
}
