//! Compressions, told apart by their first bytes.

use std::io::{BufReader, Cursor, Read};

use crate::{Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z'];
const BZIP2: &[u8] = b"BZh";
/// zstd windows larger than this are refused: memory is ours, the window the sender's choice.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
const BUFFER_BYTES: usize = 256 * 1024;

/// The plain bytes of a stream that may be compressed with gzip (any number of members) or zstd (any number of frames).
pub fn decoder<'a>(source: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let fail = |error: std::io::Error| Error::io("read", "compressed stream", &error);
    // A short first read must not hide the magic number.
    let mut first = [0; 6];
    let mut filled = 0;
    while filled < first.len() {
        match source.read(&mut first[filled..]).map_err(fail)? {
            0 => break,
            count => filled += count,
        }
    }
    let start = &first[..filled];
    let source = Cursor::new(start.to_vec()).chain(source);
    let source = BufReader::with_capacity(BUFFER_BYTES, source);
    if start.starts_with(GZIP) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source)));
    }
    if start.starts_with(ZSTD) || is_skippable_frame(start) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(source).map_err(fail)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(fail)?;
        return Ok(Box::new(decoder));
    }
    for (magic, name) in [(XZ, "xz"), (BZIP2, "bzip2")] {
        if start.starts_with(magic) {
            return Err(Error::invalid(
                "read",
                format!("{name} stream"),
                "only gzip, zstd and plain layers are supported",
            ));
        }
    }
    Ok(Box::new(source))
}

/// A frame without content, with which a zstd stream may begin (RFC 8878, section 3.1.2); pzstd writes them.
fn is_skippable_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
