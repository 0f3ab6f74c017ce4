//! Writing layers and archives (docs/layers.md).

mod changes;
mod diff;
mod entries;
mod export;
mod gzip;
mod stack;
mod stream;
mod subtree;
mod walk;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::BorrowedFd;

pub use changes::{Change, changes};
pub use diff::diff;
pub use entries::Packed;
pub use export::{Path, archive, export};
pub use stream::{Compression, Digests};
pub use subtree::copy_directory;

use super::{Whiteouts, codec};
use crate::{Error, Result};

/// How an archive is written.
#[derive(Debug, Clone, Copy)]
pub struct Options<'fd> {
    /// How it is compressed.
    pub compression: Compression,
    /// Later modification times, in seconds since the epoch, become this one.
    pub clamp_mtime: Option<i64>,
    /// An empty directory the layer is extracted into in the same pass.
    pub extract_to: Option<BorrowedFd<'fd>>,
    /// How overlay is told of deletions.
    pub whiteouts: Whiteouts,
    /// Nobody else reaches the upper directory of a [`diff`]: what was looked at is what is opened.
    pub still: bool,
}

impl Options<'_> {
    /// No compression, times as they are.
    pub fn new(whiteouts: Whiteouts) -> Self {
        Self { compression: Compression::None, clamp_mtime: None, extract_to: None, whiteouts, still: false }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Digests and lengths.
    pub digests: Digests,
    /// What is in it.
    pub packed: Packed,
}

/// Writes a stream, compressed or not, in another compression.
pub fn recompress(
    source: impl Read + Send,
    sink: &mut (impl Write + Send),
    compression: Compression,
) -> Result<Digests> {
    let mut source = BufReader::with_capacity(super::chunks::CHUNK_BYTES, codec::decoder(source)?);
    let copy = |out: &mut super::chunks::ChunkWriter| {
        loop {
            let data = source.fill_buf().map_err(|error| match error.raw_os_error() {
                Some(_) => Error::io("read", "layer", &error),
                None => super::digest::corrupt("layer", error.to_string()),
            })?;
            if data.is_empty() {
                return Ok(());
            }
            out.write_all(data).map_err(|error| stream::write_failure(&error))?;
            let count = data.len();
            source.consume(count);
        }
    };
    stream::write_stream(sink, compression, None, copy).map(|((), digests)| digests)
}
