//! The syslog driver: RFC 3164 and RFC 5424 messages by UDP, TCP or a unix socket, worded as Docker's.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

use super::lines::Entry;
use super::{Stream, TOKEN};
use crate::Result;
use crate::monitor::config::Config;
use crate::monitor::poller::{EventFlags, Poller, Source};

mod options;

use options::{Address, Format, Options};

/// What waits for a daemon that is slow, unless `max-buffer-size` says otherwise; beyond that, messages are lost and counted.
const QUEUE_BYTES: usize = 128 * 1024;
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
const SEVERITY_ERROR: u8 = 3;
const SEVERITY_INFORMATIONAL: u8 = 6;

/// The connection to a syslog daemon, made at the first line, made again when it broke.
#[derive(Debug)]
pub struct Syslog {
    options: Options,
    hostname: String,
    poller: Poller,
    socket: Option<Socket>,
    failed_at: Option<Instant>,
    /// Of a stream: bytes not taken yet, whole messages but for the first.
    queue: VecDeque<u8>,
    queue_max_bytes: usize,
    /// A part of the first message is sent.
    is_begun: bool,
    /// Messages nobody took.
    pub lost: u64,
}

#[derive(Debug)]
struct Socket {
    source: Source,
    /// Keeps messages apart by itself.
    datagrams: bool,
}

impl Syslog {
    /// Checks the options; nothing is connected yet.
    pub fn new(
        config: &Config,
        options: &BTreeMap<String, String>,
        queue_bytes: Option<usize>,
        poller: &Poller,
    ) -> Result<Self> {
        Ok(Self {
            options: Options::new(config, options)?,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            poller: poller.clone(),
            socket: None,
            failed_at: None,
            queue: VecDeque::new(),
            queue_max_bytes: queue_bytes.unwrap_or(QUEUE_BYTES),
            is_begun: false,
            lost: 0,
        })
    }

    /// Sends a line, or has it wait. Of what waits too long the oldest goes.
    pub fn add(&mut self, entry: &Entry<'_>) {
        let message = message(&self.options, &self.hostname, entry);
        self.connect();
        match &self.socket {
            Some(Socket { source, datagrams: true }) => {
                match rustix::net::send(source, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Ok(_) => return,
                    // A daemon that is slow: its loss. One that was restarted has a new socket.
                    Err(Errno::AGAIN | Errno::NOBUFS | Errno::MSGSIZE | Errno::INTR) => {}
                    Err(_) => self.fail(),
                }
                self.lost += 1;
            }
            Some(_) => {
                while self.queue.len() + message.len() > self.queue_max_bytes && self.drop_oldest() {}
                self.queue.extend(message);
            }
            None => self.lost += 1,
        }
    }

    /// Lets go of the oldest message that is not being sent; false: there is none.
    fn drop_oldest(&mut self) -> bool {
        let ends: Vec<usize> =
            self.queue.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).take(2).collect();
        let begun = if self.is_begun { ends.first().copied() } else { Some(0) };
        let (Some(from), Some(to)) = (begun, ends.get(usize::from(self.is_begun))) else { return false };
        drop(self.queue.drain(from..*to));
        self.lost += 1;
        true
    }

    fn connect(&mut self) {
        if self.socket.is_some() || self.failed_at.is_some_and(|moment| moment.elapsed() < RECONNECT_PAUSE) {
            return;
        }
        match open(&self.options.address) {
            Ok((fd, datagrams)) => {
                self.socket = Some(Socket { source: self.poller.source(fd, TOKEN), datagrams });
                self.failed_at = None;
            }
            Err(_) => self.fail(),
        }
    }

    fn fail(&mut self) {
        self.socket = None;
        self.failed_at = Some(Instant::now());
        // The rest of a message that was cut would be taken for a message.
        self.queue.clear();
        self.is_begun = false;
    }

    /// Sends on what waits, without waiting; the loop comes back when more can be sent.
    pub fn flush(&mut self) {
        let Some(socket) = self.socket.as_mut().filter(|socket| !socket.datagrams) else { return };
        while !self.queue.is_empty() {
            let (front, _) = self.queue.as_slices();
            match rustix::net::send(&socket.source, front, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.is_begun = front[count - 1] != b'\n';
                    drop(self.queue.drain(..count));
                }
                Err(Errno::INTR) => {}
                // ENOTCONN: the connection is still being made.
                Err(Errno::AGAIN | Errno::NOTCONN) => {
                    let _ = socket.source.watch(EventFlags::OUT);
                    return;
                }
                Err(_) => return self.fail(),
            }
        }
        let _ = socket.source.watch(EventFlags::empty());
    }
}

/// A socket whose connection is made or on its way; whether it carries datagrams.
fn open(address: &Address) -> rustix::io::Result<(OwnedFd, bool)> {
    let socket =
        |family, kind| rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    match address {
        Address::Network { address, udp } => {
            let kind = if *udp { SocketType::DGRAM } else { SocketType::STREAM };
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let fd = socket(family, kind)?;
            match rustix::net::connect(&fd, address) {
                Ok(()) | Err(Errno::INPROGRESS) => Ok((fd, *udp)),
                Err(errno) => Err(errno),
            }
        }
        Address::Unix { paths, kinds } => {
            let mut error = Errno::NOENT;
            for path in paths {
                let address = rustix::net::SocketAddrUnix::new(path.as_path())?;
                for &datagrams in *kinds {
                    let kind = if datagrams { SocketType::DGRAM } else { SocketType::STREAM };
                    let fd = socket(AddressFamily::UNIX, kind)?;
                    match rustix::net::connect(&fd, &address) {
                        Ok(()) => return Ok((fd, datagrams)),
                        Err(errno) => error = errno,
                    }
                }
            }
            Err(error)
        }
    }
}

/// One message, newline-terminated, as github.com/RackSec/srslog formats and frames it for Docker.
fn message(options: &Options, hostname: &str, entry: &Entry<'_>) -> Vec<u8> {
    let severity = if entry.stream == Stream::Stderr { SEVERITY_ERROR } else { SEVERITY_INFORMATIONAL };
    let priority = options.facility << 3 | severity;
    let (tag, pid, time) = (&options.tag, std::process::id(), entry.time);
    let mut message = match options.format {
        Format::Unix => format!("<{priority}>{} {tag}[{pid}]: ", time.rfc3164()),
        Format::Rfc3164 => format!("<{priority}>{} {hostname} {tag}[{pid}]: ", time.rfc3164()),
        Format::Rfc5424 => format!("<{priority}>1 {} {hostname} {tag} {pid} {tag} - ", time.rfc3339()),
        Format::Rfc5424Micro => {
            let seconds = time.rfc3339();
            let (whole, micros) = (seconds.trim_end_matches('Z'), time.nanoseconds / 1000);
            format!("<{priority}>1 {whole}.{micros:06}Z {hostname} {tag} {pid} {tag} - ")
        }
    }
    .into_bytes();
    message.extend_from_slice(entry.line);
    message.push(b'\n');
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::monitor::clock::Time;
    use crate::monitor::log::lines::Lines;

    fn syslog(address: &str, format: &str) -> Syslog {
        let options = [("syslog-address", address), ("syslog-format", format), ("tag", "web")];
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::for_log("syslog", "", options);
        Syslog::new(&config, &config.log.options, None, &Poller::new().unwrap()).unwrap()
    }

    /// As the driver does with what is read.
    fn write(log: &mut Syslog, stream: Stream, bytes: &[u8]) {
        let mut lines = Lines::default();
        lines.split(stream, bytes, Time::now(), |entry| log.add(&entry));
        lines.finish(Time::now(), |entry| log.add(&entry));
        log.flush();
    }

    #[test]
    fn test_message_formats_are_dockers() {
        let options = |format| syslog("udp://127.0.0.1:1", format).options;
        let time = Time { seconds: 951_782_400, nanoseconds: 123_456_789 };
        let entry = Entry { stream: Stream::Stderr, line: b"oops", ended: true, piece: None, time };
        let pid = std::process::id();
        let text = |format| String::from_utf8(message(&options(format), "host", &entry)).unwrap();
        assert_eq!(text(""), format!("<27>Feb 29 00:00:00 web[{pid}]: oops\n"));
        assert_eq!(text("rfc3164"), format!("<27>Feb 29 00:00:00 host web[{pid}]: oops\n"));
        assert_eq!(text("rfc5424"), format!("<27>1 2000-02-29T00:00:00Z host web {pid} web - oops\n"));
        assert_eq!(text("rfc5424micro"), format!("<27>1 2000-02-29T00:00:00.123456Z host web {pid} web - oops\n"));
    }

    #[test]
    fn test_write_udp_line_is_a_datagram() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut log = syslog(&format!("udp://{}", daemon.local_addr().unwrap()), "rfc5424");
        write(&mut log, Stream::Stdout, b"one\ntwo\nthr");
        let mut buffer = [0; 200];
        for expected in [" - one\n", " - two\n", " - thr\n"] {
            let count = daemon.recv(&mut buffer).unwrap();
            assert!(std::str::from_utf8(&buffer[..count]).unwrap().ends_with(expected));
        }
    }

    #[test]
    fn test_write_tcp_daemon_restarted_is_connected_again() {
        let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut log = syslog(&format!("tcp://{}", daemon.local_addr().unwrap()), "rfc3164");
        write(&mut log, Stream::Stdout, b"one\n");
        let (connection, _) = daemon.accept().unwrap();
        log.flush(); // as the loop does when the connection is there
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).unwrap();
        assert!(line.ends_with(": one\n"), "{line}");
        let began = Instant::now();
        while log.socket.is_some() && began.elapsed() < Duration::from_secs(5) {
            write(&mut log, Stream::Stdout, b"lost\n"); // the first is taken by the kernel, the next finds the reset
        }
        log.failed_at = None;
        write(&mut log, Stream::Stdout, b"two\n");
        let (connection, _) = daemon.accept().unwrap();
        log.flush();
        line.clear();
        BufReader::new(connection).read_line(&mut line).unwrap();
        assert!(line.ends_with(": two\n"), "{line}");
    }

    #[test]
    fn test_write_stuck_daemon_memory_is_bounded() {
        let daemon = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut log = syslog(&format!("tcp://{}", daemon.local_addr().unwrap()), "");
        write(&mut log, Stream::Stdout, b"first\n");
        let (_connection, _) = daemon.accept().unwrap();
        for _ in 0..2000 {
            write(&mut log, Stream::Stdout, &[&[b'x'; 8000][..], b"\n"].concat());
        }
        assert!(log.lost > 0 && log.queue.len() <= QUEUE_BYTES);
    }

    #[test]
    fn test_write_unix_datagram_socket_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let daemon = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let mut log = syslog(&format!("unix://{}", path.display()), "rfc3164");
        write(&mut log, Stream::Stderr, b"hi\n");
        let mut buffer = [0; 200];
        let count = daemon.recv(&mut buffer).unwrap();
        assert!(buffer[..count].starts_with(b"<27>"));
    }
}
