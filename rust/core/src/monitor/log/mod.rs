//! Log drivers: what becomes of the container's output, besides going to clients.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::clock::Time;
use super::config::Config;
use super::poller::Poller;
use crate::{Error, Result};

mod file;
mod frame;
mod json_line;
mod lines;
mod local_entry;
mod ring;
mod rotate;
mod syslog;
mod tag;

use file::{FileLog, Format};
use lines::{Entry, Lines};
use ring::Ring;
use syslog::Syslog;

/// Docker's size of the ring.
const BUFFER_BYTES: usize = 1_000_000;
const LOSS_PAUSE: Duration = Duration::from_secs(1);

/// Encodes as the drivers do, for tests of what reads it back.
#[cfg(test)]
pub struct Encoder {
    json: bool,
    attributes: Vec<u8>,
    lines: Lines,
}

#[cfg(test)]
impl Encoder {
    /// For json-file or local.
    pub fn new(json: bool, attributes: &std::collections::BTreeMap<String, String>) -> Self {
        Self { json, attributes: json_line::attributes(attributes), lines: Lines::default() }
    }

    /// What one read adds to the file.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (json, attributes) = (self.json, &self.attributes);
        self.lines.split(stream, bytes, Time::now(), |entry| encode(json, attributes, &entry, &mut out));
        out
    }

    /// What the end adds.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let (json, attributes) = (self.json, &self.attributes);
        self.lines.finish(Time::now(), |entry| encode(json, attributes, &entry, &mut out));
        out
    }
}

#[cfg(test)]
fn encode(json: bool, attributes: &[u8], entry: &Entry<'_>, out: &mut Vec<u8>) {
    if json {
        json_line::append(out, entry, attributes, &entry.time.rfc3339_nano());
    } else {
        local_entry::append(out, entry);
    }
}

/// The token of the log's own events: a compression that ended, a socket that takes more.
pub const TOKEN: u64 = 9;

/// Which of the command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1, or the terminal.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Where output is kept, line by line.
#[derive(Debug)]
pub struct Driver {
    lines: Lines,
    sink: Sink,
    /// What was lost when that was told last, and when.
    told: (u64, Option<Instant>),
}

#[derive(Debug)]
enum Sink {
    /// Nowhere.
    None,
    /// In files: Docker's json-file and local.
    Files(Box<FileLog>),
    /// The same by another process, which may be slow (`mode=non-blocking`).
    Ring(Box<Ring>),
    /// With a syslog daemon.
    Syslog(Box<Syslog>),
}

impl Driver {
    /// The driver a request names. Nothing is opened or connected yet, but every option is checked.
    pub fn new(config: &Config, poller: &Poller) -> Result<Self> {
        let log = &config.log;
        let mut options = log.options.clone();
        let buffer_bytes = buffer_bytes(&mut options)?;
        let files = |format| FileLog::new(format, config, options.clone(), poller).map(Box::new);
        let sink = match log.driver.as_str() {
            "none" => match log.options.keys().next() {
                None => Sink::None,
                Some(option) => return Err(Error::invalid("use log option", option, "the driver none has no options")),
            },
            "json-file" | "local" => {
                let format = if log.driver == "local" { Format::Local } else { Format::Json };
                match buffer_bytes {
                    None => Sink::Files(files(format)?),
                    Some(bytes) => Sink::Ring(Box::new(Ring::new(files(format)?, bytes, poller))),
                }
            }
            "syslog" => Sink::Syslog(Box::new(Syslog::new(config, &options, buffer_bytes, poller)?)),
            other => {
                return Err(Error::invalid("use log driver", other, "not supported")
                    .with_hint("json-file, local, syslog and none are"));
            }
        };
        Ok(Self::to(sink))
    }

    /// The driver that keeps nothing.
    pub fn none() -> Self {
        Self::to(Sink::None)
    }

    fn to(sink: Sink) -> Self {
        Self { lines: Lines::default(), sink, told: (0, None) }
    }

    /// Keeps what was read from a stream. A full disk or a dead daemon loses log, never the container.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let sink = &mut self.sink;
        if matches!(sink, Sink::None) {
            return;
        }
        self.lines.split(stream, bytes, Time::now(), |entry| sink.add(&entry));
        sink.flush();
    }

    /// The streams have ended: an unfinished line is written as it is.
    pub fn finish(&mut self) {
        let sink = &mut self.sink;
        self.lines.finish(Time::now(), |entry| sink.add(&entry));
        sink.flush();
        if let Sink::Ring(ring) = sink {
            ring.drain();
        }
    }

    /// What could not be kept: bytes of a file, messages of syslog.
    pub fn lost(&self) -> u64 {
        match &self.sink {
            Sink::None => 0,
            Sink::Files(log) => log.lost(),
            Sink::Ring(ring) => ring.lost(),
            Sink::Syslog(log) => log.lost,
        }
    }

    /// Whether more was lost since this was true last, which it is at most once a second: whoever asks is to know while the
    /// container runs.
    pub fn has_lost_more(&mut self) -> bool {
        let lost = self.lost();
        let is_due = lost > self.told.0 && self.told.1.is_none_or(|told| told.elapsed() >= LOSS_PAUSE);
        if is_due {
            self.told = (lost, Some(Instant::now()));
        }
        is_due
    }

    /// Takes no more for now: output stays in its pipe until [`TOKEN`] is reported.
    pub fn is_busy(&self) -> bool {
        match &self.sink {
            Sink::Files(log) => log.is_busy(),
            Sink::None | Sink::Ring(_) | Sink::Syslog(_) => false,
        }
    }

    /// An event of the log's own.
    pub fn proceed(&mut self) {
        match &mut self.sink {
            Sink::None => {}
            Sink::Files(log) => log.wait_for_compressor(),
            Sink::Ring(ring) => ring.proceed(),
            Sink::Syslog(log) => log.flush(),
        }
    }

    /// Nothing comes any more: what works in the background is waited for, if it can be.
    pub fn close(&mut self) {
        match &mut self.sink {
            Sink::Ring(ring) => ring.close(),
            _ => self.proceed(),
        }
    }
}

impl Sink {
    fn add(&mut self, entry: &Entry<'_>) {
        match self {
            Self::None => {}
            Self::Files(log) => log.add(entry),
            Self::Ring(ring) => ring.add(entry),
            Self::Syslog(log) => log.add(entry),
        }
    }

    /// Nothing more comes for the moment.
    fn flush(&mut self) {
        match self {
            Self::None => {}
            Self::Files(log) => log.flush(),
            Self::Ring(ring) => ring.flush(),
            Self::Syslog(log) => log.flush(),
        }
    }
}

/// Takes `mode` and `max-buffer-size` out of the options: how much may wait, None where output waits in its pipe (moby
/// daemon/logger/factory.go, ring.go).
fn buffer_bytes(options: &mut BTreeMap<String, String>) -> Result<Option<usize>> {
    let (mode, size) = (options.remove("mode"), options.remove("max-buffer-size"));
    let bad = |key: &str, text: &str, reason| Err(Error::invalid("use log option", format!("{key}={text}"), reason));
    match (mode.as_deref(), size) {
        (Some("non-blocking"), None) => Ok(Some(BUFFER_BYTES)),
        (Some("non-blocking"), Some(text)) => match file::size(&text).map(usize::try_from) {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            _ => bad("max-buffer-size", &text, "not a size"),
        },
        (None | Some("" | "blocking"), None) => Ok(None),
        (None | Some("" | "blocking"), Some(text)) => bad("max-buffer-size", &text, "only with mode=non-blocking"),
        (Some(other), _) => bad("mode", other, "neither blocking nor non-blocking"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<Option<usize>> {
        buffer_bytes(&mut pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn test_buffer_bytes_as_docker_reads_them() {
        assert_eq!(parsed(&[]).unwrap(), None);
        assert_eq!(parsed(&[("mode", "blocking"), ("max-size", "1k")]).unwrap(), None);
        assert_eq!(parsed(&[("mode", "non-blocking")]).unwrap(), Some(1_000_000));
        assert_eq!(parsed(&[("mode", "non-blocking"), ("max-buffer-size", "4m")]).unwrap(), Some(4 << 20));
        for pairs in [
            &[("mode", "dropping")][..],
            &[("max-buffer-size", "4m")],
            &[("mode", "non-blocking"), ("max-buffer-size", "much")],
        ] {
            assert!(parsed(pairs).unwrap_err().to_string().contains(pairs.last().unwrap().0));
        }
    }
}
