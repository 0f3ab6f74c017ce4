//! One line of Docker's json-file log, escaped as Go's encoder does.

use std::collections::BTreeMap;

use super::lines::Entry;

/// `"attrs":{"…":"…"},`, what [`append`] puts into every line; nothing if there are none.
pub fn attributes(attributes: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in attributes {
        out.extend_from_slice(if out.is_empty() { b"\"attrs\":{\"" } else { b",\"" });
        escape(&mut out, key.as_bytes());
        out.extend_from_slice(b"\":\"");
        escape(&mut out, value.as_bytes());
        out.push(b'"');
    }
    if !out.is_empty() {
        out.extend_from_slice(b"},");
    }
    out
}

/// Appends `{"log":"…","stream":"…","time":"…"}` and a newline. The line's own newline is part of it; a piece has none.
pub fn append(out: &mut Vec<u8>, entry: &Entry<'_>, attributes: &[u8], time: &str) {
    out.push(b'{');
    if entry.ended || !entry.line.is_empty() {
        out.extend_from_slice(b"\"log\":\"");
        escape(out, entry.line);
        out.extend_from_slice(if entry.ended { b"\\n\"," } else { b"\"," });
    }
    out.extend_from_slice(b"\"stream\":\"");
    out.extend_from_slice(entry.stream.name().as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(attributes);
    out.extend_from_slice(b"\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// Bytes that stand for themselves inside a JSON string of Go's encoder.
const fn plain(byte: u8) -> bool {
    byte >= 0x20 && byte < 0x80 && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let run = rest.iter().position(|&byte| !plain(byte)).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..run]);
        rest = &rest[run..];
        if let Some(&byte) = rest.first() {
            rest = if byte < 0x80 { escape_ascii(out, rest) } else { escape_unicode(out, rest) };
        }
    }
}

fn escape_ascii<'a>(out: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    match rest[0] {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        byte => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    &rest[1..]
}

/// What is no UTF-8 becomes U+FFFD byte by byte; line and paragraph separators are escaped for JavaScript's sake.
fn escape_unicode<'a>(out: &mut Vec<u8>, rest: &'a [u8]) -> &'a [u8] {
    let length = match rest[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    match rest.get(..length).filter(|_| length > 1).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
        Some("\u{2028}") => out.extend_from_slice(b"\\u2028"),
        Some("\u{2029}") => out.extend_from_slice(b"\\u2029"),
        Some(text) => out.extend_from_slice(text.as_bytes()),
        None => {
            out.extend_from_slice(b"\\ufffd");
            return &rest[1..];
        }
    }
    &rest[length..]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(escaped(b"a<b>&\"\\\n\r\t\x01\x1b"), r#"a\u003cb\u003e\u0026\"\\\n\r\u0009\u0001\u001b"#);
        assert_eq!(escaped("é\u{2028}😀".as_bytes()), "é\\u2028😀");
        assert_eq!(escaped(b"\xff\xc3"), "\\ufffd\\ufffd");
    }

    #[test]
    fn any_bytes_make_valid_json_of_the_same_text() {
        let mut seed = 7u32;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();
            let parsed: String = serde_json::from_str(&format!("\"{}\"", escaped(&bytes))).unwrap();
            if let Ok(text) = std::str::from_utf8(&bytes) {
                assert_eq!(parsed, text);
            }
        }
    }
}
