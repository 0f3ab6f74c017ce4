//! Docker's json-file driver: one JSON object a line of output, rotated by size.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Stream, json_line, size};
use crate::monitor::clock;
use crate::{Error, Result};

/// A line longer than this is written in pieces, as Docker does.
const PIECE_BYTES: usize = 16 * 1024;

/// The log of one container.
#[derive(Debug)]
pub struct JsonFile {
    path: PathBuf,
    /// Opened at the first byte: a silent container has no log file to make.
    file: Option<File>,
    written: u64,
    max_size: Option<u64>,
    max_files: u64,
    partial: [Vec<u8>; 2],
    out: Vec<u8>,
    /// Bytes of log that could not be written.
    pub lost: u64,
}

impl JsonFile {
    /// Reads `max-size` and `max-file`; other options are refused by name.
    pub fn new(path: &Path, options: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unknown) = options.keys().find(|key| !matches!(key.as_str(), "max-size" | "max-file")) {
            return Err(Error::invalid("use log option", unknown, "not supported by the json-file driver"));
        }
        let max_files = match options.get("max-file") {
            None => 1,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| *count >= 1)
                .ok_or_else(|| Error::invalid("read log option", format!("max-file={text}"), "not a count"))?,
        };
        let max_size = size(path, options, "max-size")?;
        if max_files > 1 && max_size.is_none() {
            return Err(Error::invalid("use log option", "max-file", "max-size is needed with it"));
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            file: None,
            written: 0,
            max_size,
            max_files,
            partial: [Vec::new(), Vec::new()],
            out: Vec::new(),
            lost: 0,
        })
    }

    /// Keeps what was read: whole lines at once, the rest until its end comes.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let time = clock::now();
        let mut partial = std::mem::take(&mut self.partial[stream as usize]);
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PIECE_BYTES - partial.len();
            let end = rest.iter().take(room).position(|&byte| byte == b'\n').map_or(rest.len().min(room), |at| at + 1);
            let (piece, tail) = rest.split_at(end);
            rest = tail;
            let whole = piece.ends_with(b"\n") || partial.len() + piece.len() == PIECE_BYTES;
            if !whole {
                partial.extend_from_slice(piece);
            } else if partial.is_empty() {
                self.entry(piece, stream, &time);
            } else {
                partial.extend_from_slice(piece);
                self.entry(&partial, stream, &time);
                partial.clear();
            }
        }
        self.partial[stream as usize] = partial;
        self.flush();
    }

    /// Writes what no newline ended.
    pub fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(&mut self.partial[stream as usize]);
            if !partial.is_empty() {
                self.entry(&partial, stream, &clock::now());
            }
        }
        self.flush();
    }

    fn entry(&mut self, line: &[u8], stream: Stream, time: &str) {
        let before = self.out.len();
        json_line::append(&mut self.out, line, stream, time);
        let length = (self.out.len() - before) as u64;
        let pending = before as u64;
        if self.max_size.is_some_and(|max| self.written + pending + length > max && self.written + pending > 0) {
            let entry = self.out.split_off(before);
            self.flush();
            self.rotate();
            self.out = entry;
        }
    }

    fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        if self.file.is_none() {
            self.open();
        }
        match self.file.as_mut().map(|file| file.write_all(&self.out)) {
            Some(Ok(())) => self.written += self.out.len() as u64,
            _ => self.lost += self.out.len() as u64,
        }
        self.out.clear();
        self.out.shrink_to(PIECE_BYTES);
    }

    fn open(&mut self) {
        use std::os::unix::fs::OpenOptionsExt;
        let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path);
        if let Ok(file) = opened {
            self.written = file.metadata().map_or(0, |data| data.len());
            self.file = Some(file);
        }
    }

    /// `log` becomes `log.1`, that `log.2`, and the last one goes.
    fn rotate(&mut self) {
        let name = |index: u64| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{index}"));
            PathBuf::from(name)
        };
        if self.max_files == 1 {
            let _ = std::fs::remove_file(&self.path);
        } else {
            for index in (1..self.max_files - 1).rev() {
                let _ = std::fs::rename(name(index), name(index + 1));
            }
            let _ = std::fs::rename(&self.path, name(1));
        }
        self.file = None;
        self.written = 0;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn log(dir: &tempfile::TempDir, options: &[(&str, &str)]) -> JsonFile {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        JsonFile::new(&dir.path().join("log"), &options).unwrap()
    }

    fn entries(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["log"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn lines_are_entries_whatever_the_reads_were() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, &[]);
        for part in [&b"one\ntw"[..], b"o\n", b"\nlast"] {
            log.write(Stream::Stdout, part);
        }
        log.finish();
        assert_eq!(entries(&dir.path().join("log")), ["one\n", "two\n", "\n", "last"]);
    }

    #[test]
    fn endless_line_is_cut_into_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, &[]);
        log.write(Stream::Stdout, &vec![b'x'; 40_000]);
        log.finish();
        let lengths: Vec<usize> = entries(&dir.path().join("log")).iter().map(String::len).collect();
        assert_eq!(lengths, [16384, 16384, 7232]);
    }

    #[test]
    fn rotation_keeps_the_limit_and_the_number_of_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, &[("max-size", "1k"), ("max-file", "3")]);
        for number in 0..100 {
            log.write(Stream::Stderr, format!("line {number}\n").as_bytes());
        }
        let mut names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        for name in names {
            assert!(dir.path().join(&name).metadata().unwrap().len() <= 1024, "{name}");
        }
        assert_eq!(entries(&dir.path().join("log")).last().unwrap(), "line 99\n");
    }

    #[test]
    fn unknown_option_is_refused_by_name() {
        let options = [("compress".to_owned(), "true".to_owned())].into();
        assert!(JsonFile::new(Path::new("x"), &options).unwrap_err().to_string().contains("compress"));
    }
}
