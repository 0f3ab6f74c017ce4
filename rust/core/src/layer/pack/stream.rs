//! From the bytes of a tar to a sink: hashed, compressed, hashed again, in one pass beside whoever makes the bytes.

use std::io::Write;
use std::os::fd::BorrowedFd;

use super::gzip::GzipWriter;
use crate::layer::chunks::{self, ChunkWriter, Chunks, Sender};
use crate::layer::digest::{Digest, Hasher};
use crate::layer::{Limits, Whiteouts, extract};
use crate::{Error, Kind, Result};

/// Level 3 of zstd is its own default: twelve times faster than gzip -6 in one thread, and smaller.
const ZSTD_LEVEL: i32 = 3;
/// A fixed number, whatever the machine has: one worker or more give the same bytes, none others.
const ZSTD_WORKERS: u32 = 2;
/// Three times faster than level 6 (zlib-rs, of Debian's Python), for a twentieth more bytes.
const GZIP_LEVEL: u32 = 3;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip -3.
    Gzip,
    /// zstd -3.
    Zstd,
}

impl Compression {
    /// Parses `none`, `gzip`, `zstd`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Error::invalid("use compression", text, "not none, gzip or zstd")),
        }
    }
}

/// Digests and lengths of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// Digest of what was written.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Its length.
    pub uncompressed_size: u64,
}

/// Lets `produce` write a stream, which goes to `sink`, and, if there is one, is extracted into `target` as a layer.
pub fn write_stream<T>(
    sink: &mut (impl Write + Send),
    compression: Compression,
    target: Option<(BorrowedFd<'_>, Whiteouts)>,
    produce: impl FnOnce(&mut ChunkWriter) -> Result<T>,
) -> Result<(T, Digests)> {
    let (sender, chunks) = chunks::channel();
    std::thread::scope(|scope| {
        let (forward, extracting) = match target {
            None => (None, None),
            Some((root, whiteouts)) => {
                let (forward, copy) = chunks::channel();
                let limits = Limits { max_bytes: u64::MAX, max_entries: u64::MAX }; // our own tree, however large
                (Some(forward), Some(scope.spawn(move || extract::write(copy, root, limits, whiteouts))))
            }
        };
        let consuming = scope.spawn(move || consume(chunks, sink, compression, forward));
        let mut writer = ChunkWriter::new(sender);
        let produced = produce(&mut writer).and_then(|value| {
            writer.flush().map_err(|error| write_failure(&error))?;
            Ok(value)
        });
        drop(writer);
        let consumed = consuming.join().unwrap_or_else(|_| Err(early_end()));
        let extracted = extracting.map(|thread| thread.join().unwrap_or_else(|_| Err(early_end())));
        // The end of whoever takes ends whoever gives: the cause is told, not the effect. And what was cut short because the
        // walk failed is no malformed archive.
        let reason = consumed.as_ref().err().filter(|error| error.reason != GONE);
        match (reason, produced) {
            (Some(error), _) => Err(error.clone()),
            (None, Err(error)) if error.reason != GONE => Err(error),
            (None, produced) => {
                extracted.transpose()?;
                Ok((produced?, consumed?))
            }
        }
    })
}

/// Said by one thread of another: never the cause.
const GONE: &str = "the stream's other end is gone";

fn early_end() -> Error {
    Error::new(Kind::State, "write", "archive", "a thread ended early")
}

/// A failure to write; that of a channel says so.
pub(super) fn write_failure(error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        None if error.kind() == std::io::ErrorKind::BrokenPipe => Error::new(Kind::State, "write", "archive", GONE),
        None => Error::new(Kind::State, "write", "archive", error.to_string()),
        Some(_) => Error::io("write", "archive", error),
    }
}

fn consume(
    mut chunks: Chunks,
    sink: &mut (impl Write + Send),
    compression: Compression,
    forward: Option<Sender>,
) -> Result<Digests> {
    // Uncompressed, one digest is the other.
    let second = (compression != Compression::None).then(Hasher::default);
    let mut out = Encoder::new(HashingWriter { inner: sink, hasher: second, length: 0 }, compression)
        .map_err(|error| write_failure(&error))?;
    let mut hasher = Hasher::default();
    chunks.each(|chunk| {
        hasher.update(&chunk);
        out.write_all(&chunk).map_err(|error| write_failure(&error))?;
        let Some(forward) = &forward else { return Ok(Some(chunk)) };
        if forward.send(chunk) {
            Ok(Some(forward.space()))
        } else {
            Err(write_failure(&std::io::ErrorKind::BrokenPipe.into()))
        }
    })?;
    drop(forward);
    let uncompressed_size = hasher.length;
    let diff_id = hasher.finish();
    let written = out.finish().map_err(|error| write_failure(&error))?;
    written.inner.flush().map_err(|error| write_failure(&error))?;
    let digest = written.hasher.map_or(diff_id, Hasher::finish);
    Ok(Digests { digest, size: written.length, diff_id, uncompressed_size })
}

struct HashingWriter<W> {
    inner: W,
    hasher: Option<Hasher>,
    length: u64,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.length += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

enum Encoder<W: Write> {
    Plain(W),
    Gzip(GzipWriter<W>),
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
}

impl<W: Write> Encoder<W> {
    fn new(sink: W, compression: Compression) -> std::io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(sink),
            Compression::Gzip => Self::Gzip(GzipWriter::new(sink, GZIP_LEVEL)),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(sink, ZSTD_LEVEL)?;
                encoder.multithread(ZSTD_WORKERS)?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    fn write_all(&mut self, data: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(data),
            Self::Gzip(encoder) => encoder.write_all(data),
            Self::Zstd(encoder) => encoder.write_all(data),
        }
    }

    fn finish(self) -> std::io::Result<W> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}
