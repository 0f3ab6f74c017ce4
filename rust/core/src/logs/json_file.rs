//! `{"log":"…","stream":"…","attrs":{…},"time":"…"}`, a line each.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use serde::Deserialize;

use super::{CHUNK_BYTES, Entry, Stream, read_at};
use crate::Result;
use crate::monitor::clock::Time;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// An entry; None if the line is none.
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let Line { log, stream, time, attrs } = serde_json::from_slice(line).ok()?;
    let stream = match stream.as_ref() {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let line = match log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let time_ns = Time::parse_rfc3339(&time)?.as_nanoseconds();
    Some(Entry { stream, line, time_ns, attributes: attrs.into_iter().collect() })
}

pub fn whole_end(file: BorrowedFd<'_>, size: u64) -> Result<u64> {
    Ok(newlines_backwards(file, size, 1)?.unwrap_or(0))
}

pub fn tail(file: BorrowedFd<'_>, end: u64, count: usize) -> Result<(u64, usize)> {
    if count == 0 || end == 0 {
        return Ok((end, 0));
    }
    // The newline at the end is the last entry's own: one more than asked for lies before the first of them.
    let mut found = 0;
    let start = backwards(file, end, |_| {
        found += 1;
        found > count
    })?;
    Ok((start.unwrap_or(0), if start.is_some() { count } else { found }))
}

/// The place behind the `count`th newline from the end.
fn newlines_backwards(file: BorrowedFd<'_>, end: u64, count: usize) -> Result<Option<u64>> {
    let mut found = 0;
    backwards(file, end, |_| {
        found += 1;
        found == count
    })
}

/// Meets the newlines from the end on, until `done`: the place behind that one.
fn backwards(file: BorrowedFd<'_>, end: u64, mut done: impl FnMut(u64) -> bool) -> Result<Option<u64>> {
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).unwrap_or(0)];
    let mut stop = end;
    while stop > 0 {
        let start = stop.saturating_sub(CHUNK_BYTES);
        let length = usize::try_from(stop - start).unwrap_or(0);
        let bytes = read_at(file, &mut buffer[..length], start)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let place = start + index as u64 + 1;
            if done(place) {
                return Ok(Some(place));
            }
        }
        stop = start;
    }
    Ok(None)
}
