//! What of a log is wanted, and how an entry is shown.

use super::Entry;
use crate::monitor::clock::Time;

const SECOND_NS: i64 = 1_000_000_000;

/// Bounds and additions, as `docker logs` has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    /// The first moment, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// The last.
    pub until_ns: Option<i64>,
    /// Each entry begins with its time, nine digits of a second always, so that lines are aligned.
    pub timestamps: bool,
    /// Each entry begins with its attributes.
    pub details: bool,
}

impl Window {
    /// Whether a moment lies between the bounds.
    pub fn holds(&self, time_ns: i64) -> bool {
        self.since_ns.is_none_or(|since| time_ns >= since) && self.until_ns.is_none_or(|until| time_ns <= until)
    }

    /// Appends what a reader sees of an entry.
    pub fn render(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        if self.timestamps {
            let (seconds, fraction) = (entry.time_ns.div_euclid(SECOND_NS), entry.time_ns.rem_euclid(SECOND_NS));
            let whole = Time { seconds, nanoseconds: 0 }.rfc3339();
            out.extend_from_slice(format!("{}.{fraction:09}Z ", whole.trim_end_matches('Z')).as_bytes());
        }
        if self.details {
            for (index, (key, value)) in entry.attributes.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                escape(key, out);
                out.push(b'=');
                escape(value, out);
            }
            out.push(b' ');
        }
        out.extend_from_slice(&entry.line);
    }
}

/// Go's url.QueryEscape, which keeps blanks and commas of values apart from those between attributes.
fn escape(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}
