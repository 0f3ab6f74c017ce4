//! Log drivers.

use std::collections::BTreeMap;
use std::path::Path;

use super::config::Log;
use crate::{Error, Result};

mod json_file;
mod json_line;

pub use json_file::JsonFile;

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
    /// Docker's json-file.
    JsonFile(JsonFile),
}

impl Driver {
    /// The driver a request names.
    pub fn open(log: &Log) -> Result<Self> {
        match log.driver.as_str() {
            "none" => Ok(Self::None),
            "json-file" => Ok(Self::JsonFile(JsonFile::new(&log.path, &log.options)?)),
            other => Err(Error::invalid("use log driver", other, "not supported").with_hint("json-file and none are")),
        }
    }

    /// Keeps what was read from a stream. A full disk loses log, never the container.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Self::JsonFile(log) = self {
            log.write(stream, bytes);
        }
    }

    /// The streams have ended: an unfinished line is written as it is.
    pub fn finish(&mut self) {
        if let Self::JsonFile(log) = self {
            log.finish();
        }
    }
}

/// A size option: a number with k, m or g (powers of 1024), -1 for none.
fn size(path: &Path, options: &BTreeMap<String, String>, key: &str) -> Result<Option<u64>> {
    let Some(text) = options.get(key).filter(|text| *text != "-1") else { return Ok(None) };
    let bad = || Error::invalid(format!("read log option {key}={text} of"), path, "not a size");
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return Err(bad()),
    };
    let number: u64 = digits.parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Some).ok_or_else(bad)
}
