//! The drivers that keep a log in files: Docker's json-file and local.

use std::collections::BTreeMap;

use super::lines::Entry;
use super::rotate::{RotatingFile, Rotation};
use super::{json_line, local_entry, tag};
use crate::monitor::clock::Time;
use crate::monitor::config::Config;
use crate::monitor::poller::Poller;
use crate::{Error, Result};

/// With this much encoded it is written; a read seldom makes more.
const BATCH_BYTES: usize = 128 * 1024;
/// A container that writes little keeps no more memory than this.
const KEEP_BYTES: usize = 8 * 1024;

/// How an entry is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Length, protocol buffer, length.
    Local,
}

impl Format {
    /// Docker's defaults for the driver (moby daemon/logger/jsonfilelog, daemon/logger/local).
    fn rotation(self) -> Rotation {
        match self {
            Self::Json => Rotation { max_size: None, max_files: 1, compress: false },
            Self::Local => Rotation { max_size: Some(20 << 20), max_files: 5, compress: true },
        }
    }
}

/// A log in files.
#[derive(Debug)]
pub struct FileLog {
    format: Format,
    file: RotatingFile,
    out: Vec<u8>,
    /// What json-file adds to every line, encoded.
    attributes: Vec<u8>,
    /// Written out once for the many lines of a read.
    now: (Time, String),
}

impl FileLog {
    /// Reads `max-size`, `max-file`, `compress` and, for json-file, `tag`; other options are refused by name.
    pub fn new(
        format: Format,
        config: &Config,
        mut options: BTreeMap<String, String>,
        poller: &Poller,
    ) -> Result<Self> {
        let log = &config.log;
        let mut attributes = log.attributes.clone();
        if let Some(text) = options.remove("tag").filter(|_| format == Format::Json) {
            let tag = tag::expand(&text, config).map_err(|part| {
                Error::invalid("use log option", format!("tag={text}"), format!("{part} is not supported"))
            })?;
            attributes.insert("tag".to_owned(), tag);
        }
        let rotation = rotation(format.rotation(), &options)?;
        let file = RotatingFile::new(&log.path, rotation, poller);
        let attributes = json_line::attributes(&attributes);
        let now = Time { seconds: 0, nanoseconds: 0 };
        Ok(Self { format, file, out: Vec::new(), attributes, now: (now, now.rfc3339_nano()) })
    }

    /// Keeps an entry, in memory until [`Self::flush`] or until there are many.
    pub fn add(&mut self, entry: &Entry<'_>) {
        self.file.open();
        if self.file.is_due(self.out.len()) {
            self.append();
            self.file.rotate();
        } else if self.out.len() >= BATCH_BYTES {
            self.append();
        }
        match self.format {
            Format::Json => {
                if entry.time != self.now.0 {
                    self.now = (entry.time, entry.time.rfc3339_nano());
                }
                json_line::append(&mut self.out, entry, &self.attributes, &self.now.1);
            }
            Format::Local => local_entry::append(&mut self.out, entry),
        }
    }

    /// Writes what waits: one write a read, as a rule.
    pub fn flush(&mut self) {
        let few = self.out.len() < KEEP_BYTES;
        self.append();
        if few {
            self.out.shrink_to(KEEP_BYTES);
        }
    }

    fn append(&mut self) {
        if !self.out.is_empty() {
            self.file.append(&self.out);
            self.out.clear();
        }
    }

    /// Bytes that could not be written.
    pub fn lost(&self) -> u64 {
        self.file.lost
    }

    /// See [`RotatingFile::is_busy`].
    pub fn is_busy(&self) -> bool {
        self.file.is_busy()
    }

    /// See [`RotatingFile::wait_for_compressor`].
    pub fn wait_for_compressor(&mut self) {
        self.file.wait_for_compressor();
    }
}

fn rotation(default: Rotation, options: &BTreeMap<String, String>) -> Result<Rotation> {
    let mut rotation = default;
    for (key, text) in options {
        let bad = |reason: &str| Error::invalid("use log option", format!("{key}={text}"), reason);
        match key.as_str() {
            "max-size" if text == "-1" => rotation.max_size = None,
            "max-size" => rotation.max_size = Some(size(text).ok_or_else(|| bad("not a size"))?),
            "max-file" => {
                let count = text.parse().ok().filter(|count| *count >= 1);
                rotation.max_files = count.ok_or_else(|| bad("not a count of 1 or more"))?;
            }
            "compress" => rotation.compress = flag(text).ok_or_else(|| bad("neither true nor false"))?,
            _ => return Err(bad("not known to a driver that logs to files")),
        }
    }
    // Docker's own checks.
    let invalid = |reason: &str| Err(Error::invalid("use log options", "", reason));
    if options.contains_key("max-file") && rotation.max_files > 1 && rotation.max_size.is_none() {
        return invalid("max-file cannot be more than 1 without max-size");
    }
    if rotation.compress && options.contains_key("compress") && (rotation.max_files < 2 || rotation.max_size.is_none())
    {
        return invalid("compress cannot be true without max-size and a max-file of more than 1");
    }
    Ok(rotation)
}

/// A number with k, m, g or t (powers of 1024), as docker/go-units reads them.
pub fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let shift = match lower[digits.len()..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0)
}

/// A truth value as Go's strconv.ParseBool reads it.
fn flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::monitor::log::{Driver, Stream};

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn log(dir: &tempfile::TempDir, pairs: &[(&str, &str)]) -> Driver {
        let config = Config::for_log("json-file", &dir.path().join("log").to_string_lossy(), options(pairs));
        Driver::new(&config, &Poller::new().unwrap()).unwrap()
    }

    fn entries(path: &std::path::Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["log"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn test_write_any_reads_lines_are_entries() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, &[]);
        for part in [&b"one\ntw"[..], b"o\n", b"\nlast"] {
            log.write(Stream::Stdout, part);
        }
        log.finish();
        assert_eq!(entries(&dir.path().join("log")), ["one\n", "two\n", "\n", "last"]);
    }

    #[test]
    fn test_write_many_lines_at_once_rotates_where_single_lines_would() {
        let (single, batch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings = [("max-size", "1k"), ("max-file", "3")];
        let text: String = (0..100).fold(String::new(), |text, number| text + &format!("line {number}\n"));
        let mut log_single = log(&single, &settings);
        text.split_inclusive('\n').for_each(|line| log_single.write(Stream::Stderr, line.as_bytes()));
        let mut log_batch = log(&batch, &settings);
        log_batch.write(Stream::Stderr, text.as_bytes());
        for name in ["log", "log.1", "log.2"] {
            let (one, other) = (single.path().join(name), batch.path().join(name));
            // Times, hence lengths, differ by a few trailing zeros at most.
            assert!(entries(&one).len().abs_diff(entries(&other).len()) <= 1, "{name}");
            assert!(one.metadata().unwrap().len() < 1024 + 100);
        }
        assert_eq!(entries(&batch.path().join("log")).last().unwrap(), "line 99\n");
    }

    #[test]
    fn test_new_bad_options_are_refused_by_name() {
        let bad = [
            ("mode", "blocking"),
            ("max-size", "many"),
            ("max-size", "0"),
            ("max-file", "0"),
            ("max-file", "2"),
            ("compress", "yes"),
            ("compress", "true"),
        ];
        for (key, value) in bad {
            let result = rotation(Format::Json.rotation(), &options(&[(key, value)]));
            assert!(result.unwrap_err().to_string().contains(key), "{key}={value}");
        }
        let good = options(&[("max-size", "10M"), ("max-file", "2"), ("compress", "t")]);
        let expected = Rotation { max_size: Some(10 << 20), max_files: 2, compress: true };
        assert_eq!(rotation(Format::Json.rotation(), &good).unwrap(), expected);
        assert_eq!(rotation(Format::Local.rotation(), &options(&[("max-size", "-1")])).unwrap().max_size, None);
    }
}
