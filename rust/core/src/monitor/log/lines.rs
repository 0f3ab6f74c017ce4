//! Reads of a pipe become lines, as Docker's copier makes them.

use super::Stream;
use crate::monitor::clock::Time;

/// A longer line is kept in pieces.
pub const PIECE_BYTES: usize = 16 * 1024;

/// A line, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it came from.
    pub stream: Stream,
    /// Its bytes, without the newline.
    pub line: &'a [u8],
    /// A newline ended it.
    pub ended: bool,
    /// It is a piece of a longer line: which, from 1.
    pub piece: Option<u32>,
    /// When it came; for a piece, when the first piece did.
    pub time: Time,
}

/// What of each stream waits for its newline.
#[derive(Debug, Default)]
pub struct Lines {
    rests: [Rest; 2],
}

#[derive(Debug, Default)]
struct Rest {
    bytes: Vec<u8>,
    /// Of the line being cut into pieces: how many there are so far, since when.
    pieces: Option<(u32, Time)>,
}

impl Rest {
    fn entry<'a>(&mut self, stream: Stream, line: &'a [u8], ended: bool, now: Time) -> Entry<'a> {
        let whole = ended && self.pieces.is_none();
        let (count, time) = self.pieces.unwrap_or((0, now));
        self.pieces = if ended { None } else { Some((count + 1, time)) };
        Entry { stream, line, ended, piece: (!whole).then_some(count + 1), time }
    }
}

impl Lines {
    /// Hands on every line that is complete now.
    pub fn split(&mut self, stream: Stream, mut bytes: &[u8], now: Time, mut each: impl FnMut(Entry<'_>)) {
        let rest = &mut self.rests[stream as usize];
        let mut held = std::mem::take(&mut rest.bytes);
        while !bytes.is_empty() {
            let room = PIECE_BYTES - held.len();
            let window = &bytes[..bytes.len().min(room)];
            let newline = window.iter().position(|&byte| byte == b'\n');
            let end = newline.unwrap_or(window.len());
            let (line, tail) = (&bytes[..end], &bytes[end + usize::from(newline.is_some())..]);
            bytes = tail;
            if newline.is_none() && held.len() + line.len() < PIECE_BYTES {
                held.extend_from_slice(line);
            } else if held.is_empty() {
                each(rest.entry(stream, line, newline.is_some(), now));
            } else {
                held.extend_from_slice(line);
                each(rest.entry(stream, &held, newline.is_some(), now));
                held.clear();
            }
        }
        if !held.is_empty() {
            rest.bytes = held; // otherwise its memory goes: a line may be long once
        }
    }

    /// The streams have ended: hands on what no newline ended.
    pub fn finish(&mut self, now: Time, mut each: impl FnMut(Entry<'_>)) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = &mut self.rests[stream as usize];
            let held = std::mem::take(&mut rest.bytes);
            if !held.is_empty() {
                each(rest.entry(stream, &held, false, now));
            }
            rest.pieces = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time { seconds: 1, nanoseconds: 0 };
    const LATER: Time = Time { seconds: 2, nanoseconds: 0 };

    fn texts(reads: &[&[u8]]) -> Vec<(String, bool, Option<u32>)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut keep = |entry: Entry<'_>| {
            found.push((String::from_utf8_lossy(entry.line).into_owned(), entry.ended, entry.piece));
        };
        for read in reads {
            lines.split(Stream::Stdout, read, NOW, &mut keep);
        }
        lines.finish(NOW, keep);
        found
    }

    #[test]
    fn test_split_any_reads_same_lines() {
        let whole = texts(&[b"one\ntwo\n\nlast"]);
        assert_eq!(
            whole,
            [
                ("one".to_owned(), true, None),
                ("two".to_owned(), true, None),
                (String::new(), true, None),
                ("last".to_owned(), false, Some(1))
            ]
        );
        assert_eq!(texts(&[b"one\ntw", b"o\n", b"\nla", b"st"]), whole);
    }

    #[test]
    fn test_split_endless_line_is_cut() {
        let lengths = |reads: &[&[u8]]| -> Vec<(usize, bool, Option<u32>)> {
            texts(reads).into_iter().map(|(text, ended, piece)| (text.len(), ended, piece)).collect()
        };
        let expected = [(16_384, false, Some(1)), (16_384, false, Some(2)), (7_232, false, Some(3))];
        assert_eq!(lengths(&[&vec![b'x'; 40_000]]), expected);
        assert_eq!(lengths(&[&[b'x'; 10_000], &vec![b'x'; 30_000]]), expected);
        // A line that fills the room exactly has its newline in a piece of its own, as in Docker.
        let mut full = vec![b'x'; 16_384];
        full.push(b'\n');
        assert_eq!(lengths(&[&full, b"next\n"]), [(16_384, false, Some(1)), (0, true, Some(2)), (4, true, None)]);
        assert_eq!(lengths(&[&full[1..]]), [(16_383, true, None)]);
    }

    #[test]
    fn test_split_pieces_have_the_time_of_the_first() {
        let (mut lines, mut times) = (Lines::default(), Vec::new());
        lines.split(Stream::Stderr, &[b'x'; PIECE_BYTES], NOW, |entry| times.push(entry.time));
        lines.split(Stream::Stderr, b"y\nz\n", LATER, |entry| times.push(entry.time));
        assert_eq!(times, [NOW, NOW, LATER]);
    }

    #[test]
    fn test_split_streams_do_not_mix() {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        lines.split(Stream::Stdout, b"a", NOW, |_| {});
        lines.split(Stream::Stderr, b"b\n", NOW, |entry| found.push((entry.stream, entry.line.to_vec())));
        lines.split(Stream::Stdout, b"c\n", NOW, |entry| found.push((entry.stream, entry.line.to_vec())));
        assert_eq!(found, [(Stream::Stderr, b"b".to_vec()), (Stream::Stdout, b"ac".to_vec())]);
    }
}
