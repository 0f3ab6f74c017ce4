//! Extraction of a layer: one pass over the stream, both digests, two threads.

use std::io::Read;
use std::os::fd::BorrowedFd;

use super::chunks::{self, CHUNK_BYTES, Chunks, Sender};
use super::codec;
use super::digest::{Digest, Expected, Hasher, corrupt};
use super::tar::TarReader;
use super::whiteout::Whiteouts;
use super::write::Writer;
use crate::{Error, Result};

/// Bounds on what a layer may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed stream, and of all files together with the holes of sparse ones.
    pub max_bytes: u64,
    /// Entries, and directories that are made because an entry lies in them.
    pub max_entries: u64,
}

impl Default for Limits {
    /// 64 GiB and 4 million entries: far above any image, far below what fills a host by a bomb of kilobytes.
    fn default() -> Self {
        Self { max_bytes: 64 << 30, max_entries: 4_000_000 }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// Digest of the stream as it came.
    pub digest: Digest,
    /// Its length.
    pub compressed_size: u64,
    /// Digest of the uncompressed stream, to its end: padding too.
    pub diff_id: Digest,
    /// Bytes of all files.
    pub size: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Device nodes left out: a user namespace cannot make them.
    pub skipped_devices: u64,
}

/// Extracts a layer into an empty directory and verifies it.
///
/// gzip, zstd and plain archives; one thread reads, hashes and inflates, the caller's hashes what comes out and writes it.
/// Fails with kind Corrupt for a malformed or wrong stream, with the errno for what the file system refuses. On error
/// the directory holds part of the layer; the caller throws it away.
pub fn extract(
    source: impl Read + Send,
    root: BorrowedFd<'_>,
    expected: Expected,
    expected_diff_id: Option<Digest>,
    limits: Limits,
    whiteouts: Whiteouts,
) -> Result<Extracted> {
    let (sender, chunks) = chunks::channel();
    let (decoded, written) = std::thread::scope(|scope| {
        let decoding = scope.spawn(move || decode(source, &sender, expected.size, limits.max_bytes));
        let written = write(chunks, root, limits, whiteouts);
        let decoded = decoding.join().unwrap_or_else(|_| Err(corrupt("layer", "the decoder failed")));
        (decoded, written)
    });
    // A stream that cannot be decoded also looks cut short to who writes: the cause is told, not the effect.
    let decoded = decoded?;
    let written = written?;
    let (digest, compressed_size) = decoded.ok_or_else(|| corrupt("layer", "the writer ended early"))?;
    expected.check("layer", &digest, compressed_size)?;
    Expected { digest: expected_diff_id, size: None }.check("uncompressed layer", &written.diff_id, 0)?;
    Ok(Extracted { digest, compressed_size, ..written })
}

/// Reads, hashes and inflates; None if the writer would have no more.
fn decode(
    source: impl Read + Send,
    sender: &Sender,
    expected_size: Option<u64>,
    max_bytes: u64,
) -> Result<Option<(Digest, u64)>> {
    let max_size = expected_size.unwrap_or(u64::MAX);
    let mut source = HashingReader { inner: source, hasher: Hasher::default(), max_size };
    let fail = |error: std::io::Error| match error.raw_os_error() {
        Some(_) => Error::io("read", "layer", &error),
        None => corrupt("layer", error.to_string()),
    };
    {
        let mut decoder = codec::decoder(&mut source)?;
        let mut total = 0u64;
        loop {
            let mut chunk = sender.space();
            chunk.resize(CHUNK_BYTES, 0);
            let count = fill(&mut decoder, &mut chunk).map_err(fail)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > max_bytes {
                return Err(corrupt("layer", format!("unpacks to more than {max_bytes} bytes")));
            }
            chunk.truncate(count);
            if !sender.send(chunk) {
                return Ok(None);
            }
        }
    }
    // Decoders refuse what lies behind the compressed data; should one leave bytes unread, the digest has them all the same.
    std::io::copy(&mut source, &mut std::io::sink()).map_err(fail)?;
    let length = source.hasher.length;
    Ok(Some((source.hasher.finish(), length)))
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Hashes what passes, and lets no more pass than there may be.
struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    max_size: u64,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if self.hasher.length > self.max_size {
            return Err(std::io::Error::other(format!("size is more than the expected {}", self.max_size)));
        }
        Ok(count)
    }
}

/// Writes what a stream of entries says; `size` bytes of it are the files'.
pub(super) fn write(chunks: Chunks, root: BorrowedFd<'_>, limits: Limits, whiteouts: Whiteouts) -> Result<Extracted> {
    let mut reader = TarReader::new(chunks);
    let mut writer = Writer::new(root, whiteouts);
    let (mut size, mut entries) = (0u64, 0u64);
    while let Some(entry) = reader.next_entry()? {
        entries += 1;
        size = size.saturating_add(entry.size);
        if size > limits.max_bytes {
            return Err(corrupt("layer", format!("unpacks to more than {} bytes", limits.max_bytes)));
        }
        writer.entry(&entry, &mut reader)?;
        if entries + writer.implied_directories() > limits.max_entries {
            return Err(corrupt("layer", format!("has more than {} entries", limits.max_entries)));
        }
    }
    let skipped_devices = writer.finish()?;
    let diff_id = reader.into_inner().finish();
    Ok(Extracted { digest: diff_id, compressed_size: 0, diff_id, size, entries, skipped_devices })
}
