//! Docker's `local` entries: a protocol buffer between its length, twice (four bytes, big-endian).

use std::borrow::Cow;
use std::os::fd::BorrowedFd;

use super::{Entry, Stream, read_at};
use crate::Result;

const LENGTH_BYTES: usize = 4;
/// Docker refuses longer ones too (moby daemon/logger/local/read.go).
const ENTRY_MAX_BYTES: usize = 1_000_000;

/// Where the first entry ends. Lengths that are none mean that the rest cannot be told apart.
pub fn entry_end(data: &[u8]) -> Option<usize> {
    let length = length(data.get(..LENGTH_BYTES)?)?;
    if length > ENTRY_MAX_BYTES {
        return Some(data.len());
    }
    let end = length + 2 * LENGTH_BYTES;
    (data.len() >= end).then_some(end)
}

fn length(bytes: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

/// An entry with its lengths; None if it is none.
pub fn parse(bytes: &[u8]) -> Option<Entry<'_>> {
    let message = bytes.get(LENGTH_BYTES..bytes.len().checked_sub(LENGTH_BYTES)?)?;
    if bytes[..LENGTH_BYTES] != bytes[bytes.len() - LENGTH_BYTES..] {
        return None;
    }
    let (mut stream, mut line, mut time_ns, mut partial, mut last) = (None, &[][..], 0, false, false);
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(b"stdout")) => stream = Some(Stream::Stdout),
            (1, Value::Bytes(b"stderr")) => stream = Some(Stream::Stderr),
            (2, Value::Number(number)) => time_ns = number.cast_signed(),
            (3, Value::Bytes(bytes)) => line = bytes,
            (4, Value::Number(number)) => partial = number != 0,
            (5, Value::Bytes(bytes)) => last = is_last(bytes),
            _ => {}
        }
    }
    // The newline is not kept: a whole line had one, and of a line in pieces the last.
    let line = if !partial || last { Cow::Owned([line, b"\n"].concat()) } else { Cow::Borrowed(line) };
    Some(Entry { stream: stream?, line, time_ns, attributes: Vec::new() })
}

fn is_last(metadata: &[u8]) -> bool {
    Fields(metadata).any(|field| matches!(field, Some((1, Value::Number(number))) if number != 0))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message (protocol buffers, "Encoding"); a broken one is None, and the last.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            1 => Value::Bytes(self.take(8)?),
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// Lengths are followed from the beginning: nothing marks an entry's beginning for one who comes from behind.
pub fn whole_end(file: BorrowedFd<'_>, size: u64) -> Result<u64> {
    let mut end = 0;
    loop {
        let mut buffer = [0; LENGTH_BYTES];
        let bytes = read_at(file, &mut buffer, end)?;
        let Some(length) = length(bytes).filter(|length| *length <= ENTRY_MAX_BYTES) else { return Ok(end) };
        let next = end + (length + 2 * LENGTH_BYTES) as u64;
        if next > size {
            return Ok(end);
        }
        end = next;
    }
}

pub fn tail(file: BorrowedFd<'_>, end: u64, count: usize) -> Result<(u64, usize)> {
    let (mut start, mut found) = (end, 0);
    while found < count && start > 0 {
        let mut buffer = [0; LENGTH_BYTES];
        let bytes = read_at(file, &mut buffer, start.saturating_sub(LENGTH_BYTES as u64))?;
        let Some(length) = length(bytes) else { break };
        let Some(before) = start.checked_sub((length + 2 * LENGTH_BYTES) as u64) else { break };
        start = before;
        found += 1;
    }
    Ok((start, found))
}
