//! A log entry as bytes, on its way from the monitor to the process that writes the log. Both are the same program.

use std::collections::VecDeque;

use super::Stream;
use super::lines::Entry;
use crate::monitor::clock::Time;

/// Length (4), flags (4), piece (4), nanoseconds (4), seconds (8).
pub const HEADER_BYTES: usize = 24;
/// A header without it and with a length of 0 is no entry, but a question.
const IS_ENTRY: u32 = 1;
const IS_STDERR: u32 = 2;
const IS_ENDED: u32 = 4;

/// Appends an entry.
pub fn append(out: &mut VecDeque<u8>, entry: &Entry<'_>) {
    let mut flags = IS_ENTRY;
    if entry.stream == Stream::Stderr {
        flags |= IS_STDERR;
    }
    if entry.ended {
        flags |= IS_ENDED;
    }
    let length = u32::try_from(entry.line.len()).unwrap_or(0); // a line has 16 KiB at most
    for word in [length, flags, entry.piece.unwrap_or(0), entry.time.nanoseconds] {
        out.extend(word.to_ne_bytes());
    }
    out.extend(entry.time.seconds.to_ne_bytes());
    out.extend(entry.line);
}

/// The length of the line whose frame begins at a place; None at the end.
pub fn line_length(frames: &VecDeque<u8>, at: usize) -> Option<usize> {
    let mut length = [0u8; 4];
    for (index, byte) in length.iter_mut().enumerate() {
        *byte = *frames.get(at + index)?;
    }
    Some(u32::from_ne_bytes(length) as usize)
}

/// The entries of a packet; None for a question.
pub fn entries(mut packet: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    std::iter::from_fn(move || {
        let (header, rest) = packet.split_at_checked(HEADER_BYTES)?;
        let word = |index: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| header[4 * index + byte]));
        let (line, rest) = rest.split_at_checked(word(0) as usize)?;
        packet = rest;
        let seconds = i64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| header[16 + byte]));
        let stream = if word(1) & IS_STDERR == 0 { Stream::Stdout } else { Stream::Stderr };
        let time = Time { seconds, nanoseconds: word(3) };
        let piece = Some(word(2)).filter(|piece| *piece > 0);
        let entry = Entry { stream, line, ended: word(1) & IS_ENDED != 0, piece, time };
        Some((word(1) & IS_ENTRY != 0).then_some(entry))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_entries_are_what_was_appended() {
        let time = Time { seconds: -5, nanoseconds: 7 };
        let written = [
            Entry { stream: Stream::Stdout, line: b"", ended: true, piece: None, time },
            Entry { stream: Stream::Stderr, line: b"some", ended: false, piece: Some(3), time },
        ];
        let mut frames = VecDeque::new();
        for entry in &written {
            append(&mut frames, entry);
        }
        assert_eq!(line_length(&frames, 0), Some(0));
        assert_eq!(line_length(&frames, HEADER_BYTES), Some(4));
        assert_eq!(line_length(&frames, 2 * HEADER_BYTES + 4), None);
        let packet: Vec<u8> = frames.into_iter().chain([0; HEADER_BYTES]).collect();
        let read: Vec<_> = entries(&packet).collect();
        assert_eq!(read, [Some(written[0]), Some(written[1]), None]);
        assert_eq!(entries(&packet[..HEADER_BYTES + 10]).count(), 1, "what is cut off is no entry");
    }
}
