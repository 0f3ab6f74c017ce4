//! Log drivers: what becomes of the container's output, besides going to clients.

use super::config::Config;
use super::poller::Poller;
use crate::{Error, Result};

mod file;
mod json_line;
mod lines;
mod local_entry;
mod rotate;
mod syslog;
mod tag;

use file::{FileLog, Format};
use syslog::Syslog;

/// Encodes as the drivers do, for tests of what reads it back.
#[cfg(test)]
pub struct Encoder {
    json: bool,
    attributes: Vec<u8>,
    lines: lines::Lines,
}

#[cfg(test)]
impl Encoder {
    /// For json-file or local.
    pub fn new(json: bool, attributes: &std::collections::BTreeMap<String, String>) -> Self {
        Self { json, attributes: json_line::attributes(attributes), lines: lines::Lines::default() }
    }

    /// What one read adds to the file.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (json, attributes) = (self.json, &self.attributes);
        self.lines.split(stream, bytes, super::clock::Time::now(), |entry| encode(json, attributes, &entry, &mut out));
        out
    }

    /// What the end adds.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let (json, attributes) = (self.json, &self.attributes);
        self.lines.finish(super::clock::Time::now(), |entry| encode(json, attributes, &entry, &mut out));
        out
    }
}

#[cfg(test)]
fn encode(json: bool, attributes: &[u8], entry: &lines::Entry<'_>, out: &mut Vec<u8>) {
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

/// Where output is kept.
#[derive(Debug)]
pub enum Driver {
    /// Nowhere.
    None,
    /// In files: Docker's json-file and local.
    Files(Box<FileLog>),
    /// With a syslog daemon.
    Syslog(Box<Syslog>),
}

impl Driver {
    /// The driver a request names. Nothing is opened or connected yet, but every option is checked.
    pub fn new(config: &Config, poller: &Poller) -> Result<Self> {
        let log = &config.log;
        let files = |format| FileLog::new(format, config, poller).map(|log| Self::Files(Box::new(log)));
        match log.driver.as_str() {
            "none" => match log.options.keys().next() {
                None => Ok(Self::None),
                Some(option) => Err(Error::invalid("use log option", option, "the driver none has no options")),
            },
            "json-file" => files(Format::Json),
            "local" => files(Format::Local),
            "syslog" => Ok(Self::Syslog(Box::new(Syslog::new(config, poller)?))),
            other => Err(Error::invalid("use log driver", other, "not supported")
                .with_hint("json-file, local, syslog and none are")),
        }
    }

    /// Keeps what was read from a stream. A full disk or a dead daemon loses log, never the container.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Files(log) => log.write(stream, bytes),
            Self::Syslog(log) => log.write(stream, bytes),
        }
    }

    /// The streams have ended: an unfinished line is written as it is.
    pub fn finish(&mut self) {
        match self {
            Self::None => {}
            Self::Files(log) => log.finish(),
            Self::Syslog(log) => log.finish(),
        }
    }

    /// What could not be kept: bytes of a file, messages of syslog.
    pub fn lost(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Files(log) => log.lost(),
            Self::Syslog(log) => log.lost,
        }
    }

    /// Takes no more for now: output stays in its pipe until [`TOKEN`] is reported.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Files(log) => log.is_busy(),
            Self::None | Self::Syslog(_) => false,
        }
    }

    /// An event of the log's own.
    pub fn proceed(&mut self) {
        match self {
            Self::None => {}
            Self::Files(log) => log.wait_for_compressor(),
            Self::Syslog(log) => log.flush(),
        }
    }

    /// Nothing comes any more: what works in the background is waited for, if it can be.
    pub fn close(&mut self) {
        self.proceed();
    }
}
