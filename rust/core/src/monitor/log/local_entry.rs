//! One entry of Docker's `local` log: its length as four bytes, big-endian, a protocol buffer, the length again.
//!
//! The message (moby api/types/plugins/logdriver/entry.proto): `LogEntry { string source = 1; int64 time_nano = 2; bytes line =
//! 3; bool partial = 4; PartialLogEntryMetadata { bool last = 1; string id = 2; int32 ordinal = 3 } partial_log_metadata = 5 }`.

use super::lines::Entry;

const LENGTH_BYTES: usize = 4;
/// Wire types of a field's key.
const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// Appends one entry.
pub fn append(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    bytes(out, 1, entry.stream.name().as_bytes());
    number(out, 2, entry.time.as_nanoseconds().cast_unsigned());
    bytes(out, 3, entry.line);
    if let Some(ordinal) = entry.piece {
        number(out, 4, 1);
        bytes(out, 5, &partial(entry, ordinal));
    }
    // At most 16 KiB of line and some dozens of bytes around it.
    let length = u32::try_from(out.len() - start - LENGTH_BYTES).unwrap_or(0).to_be_bytes();
    out[start..start + LENGTH_BYTES].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

fn partial(entry: &Entry<'_>, ordinal: u32) -> Vec<u8> {
    let mut message = Vec::new();
    number(&mut message, 1, u64::from(entry.ended));
    // The pieces of a line share its time, and one stream has one line at a time.
    let id = format!("{:x}{}", entry.time.as_nanoseconds(), entry.stream as u8);
    bytes(&mut message, 2, id.as_bytes());
    number(&mut message, 3, u64::from(ordinal));
    message
}

/// A field that is zero is left out (proto3).
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3 | VARINT);
        varint(out, value);
    }
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(field << 3 | BYTES);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;
    use crate::monitor::clock::Time;

    #[test]
    fn test_append_line_is_encoded_as_protoc_does() {
        let mut out = Vec::new();
        let time = Time { seconds: 0, nanoseconds: 300 };
        append(&mut out, &Entry { stream: Stream::Stdout, line: b"hi", ended: true, piece: None, time });
        let message = b"\x0a\x06stdout\x10\xac\x02\x1a\x02hi";
        let expected = [&[0, 0, 0, 15][..], message, &[0, 0, 0, 15]].concat();
        assert_eq!(out, expected);
    }

    #[test]
    fn test_append_last_piece_says_so() {
        let mut out = Vec::new();
        let time = Time { seconds: 0, nanoseconds: 16 };
        append(&mut out, &Entry { stream: Stream::Stderr, line: b"", ended: true, piece: Some(2), time });
        let message = b"\x0a\x06stderr\x10\x10\x20\x01\x2a\x09\x08\x01\x12\x03101\x18\x02";
        assert_eq!(out[4..out.len() - 4], message[..]);
    }
}
