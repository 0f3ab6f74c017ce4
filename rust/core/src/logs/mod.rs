//! Reading what a log driver kept (moby daemon/logger/jsonfilelog, daemon/logger/local): entries back to the bytes a container
//! wrote. Which files there are, and when one is rotated away, is the caller's.

use std::os::fd::BorrowedFd;

use crate::{Error, Result};

mod json_file;
mod local;
mod window;

pub use crate::monitor::log::Stream;
pub use window::Window;

/// A piece of a file read backwards.
const CHUNK_BYTES: u64 = 1 << 16;

/// How a file's entries are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonFile,
    /// Length, protocol buffer, length.
    Local,
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Which of the command's streams.
    pub stream: Stream,
    /// What it wrote, with its newline if it had one.
    pub line: std::borrow::Cow<'a, [u8]>,
    /// When, nanoseconds since 1970.
    pub time_ns: i64,
    /// `--log-opt labels, env, tag`, sorted by key.
    pub attributes: Vec<(String, String)>,
}

/// What consecutive entries of one stream come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// Which of the command's streams.
    pub stream: Stream,
    /// What a reader sees.
    pub bytes: Vec<u8>,
}

impl Format {
    /// Decodes the whole entries at the beginning of `data`: what of them the window shows, and how many bytes they are. A
    /// broken line (a monitor killed while it wrote, a disk that was full) is passed over; behind a broken binary entry nothing
    /// can be told apart, so all of `data` counts as read.
    pub fn decode(self, data: &[u8], window: &Window) -> (usize, Vec<Run>) {
        let mut runs: Vec<Run> = Vec::new();
        let mut rest = data;
        while let Some(end) = self.entry_end(rest) {
            let (bytes, behind) = rest.split_at(end);
            rest = behind;
            let entry = match self {
                Self::JsonFile => json_file::parse(bytes),
                Self::Local => local::parse(bytes),
            };
            let Some(entry) = entry.filter(|entry| window.holds(entry.time_ns)) else { continue };
            match runs.last_mut() {
                Some(run) if run.stream == entry.stream => window.render(&entry, &mut run.bytes),
                _ => {
                    let mut bytes = Vec::with_capacity(rest.len().min(1 << 20));
                    window.render(&entry, &mut bytes);
                    runs.push(Run { stream: entry.stream, bytes });
                }
            }
        }
        (data.len() - rest.len(), runs)
    }

    /// Where the first entry ends; None while it is not whole.
    fn entry_end(self, data: &[u8]) -> Option<usize> {
        match self {
            Self::JsonFile => data.iter().position(|&byte| byte == b'\n').map(|end| end + 1),
            Self::Local => local::entry_end(data),
        }
    }

    /// Where the last whole entry of a file of `size` bytes ends.
    pub fn whole_end(self, file: BorrowedFd<'_>, size: u64) -> Result<u64> {
        match self {
            Self::JsonFile => json_file::whole_end(file, size),
            Self::Local => local::whole_end(file, size),
        }
    }

    /// Where the last `count` entries before `end` begin, and how many there are; `end` is an entry's end.
    pub fn tail(self, file: BorrowedFd<'_>, end: u64, count: usize) -> Result<(u64, usize)> {
        match self {
            Self::JsonFile => json_file::tail(file, end, count),
            Self::Local => local::tail(file, end, count),
        }
    }
}

/// Fills a buffer from a place in a file; fewer bytes at the file's end.
fn read_at<'a>(file: BorrowedFd<'_>, buffer: &'a mut [u8], mut offset: u64) -> Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], offset) {
            Ok(0) => break,
            Ok(count) => {
                filled += count;
                offset += count as u64;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel("read", "log", errno)),
        }
    }
    Ok(&buffer[..filled])
}

#[cfg(test)]
mod tests;
