//! The entries of an archive, one after another.

use std::io::{BufRead, ErrorKind, Read};

use super::header::{BLOCK, Header, Kind, Type};
use super::pax::Records;
use super::sparse::{self, Segment};
use crate::layer::digest::corrupt;
use crate::{Error, Result};

/// PAX headers and long names larger than this are refused: they are read into memory.
const METADATA_MAX: u64 = 1 << 20;

/// One entry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its name, as the archive has it.
    pub path: Vec<u8>,
    /// What it links to.
    pub link: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of the file; a sparse one's holes count.
    pub size: u64,
    /// Modification time, seconds and nanoseconds since the epoch.
    pub mtime: (i64, u32),
    /// Device numbers.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data lies, if the file is sparse.
    pub sparse: Option<Vec<Segment>>,
}

/// Reads entries; the content of the current one is read through [`Read`] or, without a copy, [`BufRead`].
///
/// A sparse file's content is its data alone, without the holes.
#[derive(Debug)]
pub struct TarReader<R> {
    input: R,
    /// Content of the current entry not read yet.
    remaining: u64,
    /// Padding behind it.
    padding: u64,
    ended: bool,
}

/// What extension headers say of the entry behind them; at most one of each.
#[derive(Default)]
struct Extensions {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }
}

impl<R: BufRead> TarReader<R> {
    /// Reads from the beginning of an archive.
    pub fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0, ended: false }
    }

    /// The input, wherever it stands now.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next entry; None at the end. What was not read of the previous one is skipped.
    ///
    /// Fails with kind Corrupt for whatever is not a well-formed archive, and for forms that readers understand differently.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut extensions = Extensions::default();
        while !self.ended {
            let Some(block) = self.block()? else {
                self.ended = true;
                break;
            };
            let header = Header::parse(&block)?;
            match header.kind()? {
                Type::Entry(kind) => return self.entry(&header, kind, extensions).map(Some),
                Type::Sparse => {
                    let mut entry = self.entry(&header, Kind::File, extensions)?;
                    let map = sparse::map_in_headers(&mut self.input, &block).map_err(read_failure)??;
                    self.set_sparse(&mut entry, map.0, map.1)?;
                    return Ok(Some(entry));
                }
                extension => self.extension(extension, &header, &mut extensions)?,
            }
        }
        if extensions.is_empty() { Ok(None) } else { Err(truncated()) }
    }

    fn extension(&mut self, kind: Type, header: &Header<'_>, extensions: &mut Extensions) -> Result<()> {
        let data = self.metadata(header.size()?)?;
        let is_new = match kind {
            Type::Pax => {
                let mut records = Records::default();
                records.parse(&data)?;
                extensions.records.replace(records).is_none()
            }
            Type::LongName => extensions.name.replace(until_nul(&data)).is_none(),
            Type::LongLink => extensions.link.replace(until_nul(&data)).is_none(),
            // Between an extension and its entry it would belong to neither.
            _ => {
                Records::check_global(&data)?;
                extensions.is_empty()
            }
        };
        if is_new { Ok(()) } else { Err(corrupt("tar header", "several extended headers for one entry")) }
    }

    fn entry(&mut self, header: &Header<'_>, kind: Kind, extensions: Extensions) -> Result<Entry> {
        let mut records = extensions.records.unwrap_or_default();
        // The size of the PAX header governs how much of the stream is content (CVE-2025-62518): a reader that believes the
        // other one sees entries that nobody else sees.
        let stored = header.size()?;
        let size = records.size.unwrap_or(stored);
        let xattrs = records.take_xattrs();
        let path = one_of(records.path, extensions.name)?.unwrap_or_else(|| header.path());
        let link = one_of(records.link, extensions.link)?.unwrap_or_else(|| header.link());
        if kind == Kind::File {
            self.remaining = size;
            self.padding = padding(size)?;
        } else if records.size.is_some_and(|size| size != 0) {
            return Err(corrupt("tar header", "content behind an entry that has none"));
        }
        let is_directory = kind == Kind::File && header.is_ancient() && path.ends_with(b"/");
        let kind = if is_directory { Kind::Directory } else { kind };
        let mut entry = Entry {
            kind,
            path,
            link,
            mode: header.mode()?,
            uid: records.uid.map_or_else(|| header.uid(), Ok)?,
            gid: records.gid.map_or_else(|| header.gid(), Ok)?,
            size: if kind == Kind::File { size } else { 0 },
            mtime: records.mtime.map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?,
            device: if matches!(kind, Kind::Character | Kind::Block) { header.device()? } else { (0, 0) },
            xattrs,
            sparse: None,
        };
        if records.sparse.present && kind == Kind::File {
            let file_size = records.sparse.size.ok_or_else(|| corrupt("sparse file", "no size"))?;
            let map = if records.sparse.major == Some(1) { self.map_in_content()? } else { records.sparse.map };
            if let Some(name) = records.sparse.name {
                entry.path = name;
            }
            self.set_sparse(&mut entry, map, file_size)?;
        }
        if entry.path.contains(&0) || entry.link.contains(&0) {
            return Err(corrupt("tar header", "NUL in a name"));
        }
        Ok(entry)
    }

    fn set_sparse(&self, entry: &mut Entry, map: Vec<Segment>, file_size: u64) -> Result<()> {
        sparse::check(&map, file_size, self.remaining)?;
        entry.size = file_size;
        entry.sparse = Some(map);
        Ok(())
    }

    fn map_in_content(&mut self) -> Result<Vec<Segment>> {
        let mut content = (&mut self.input).take(self.remaining);
        let map = sparse::map_in_content(&mut content).map_err(read_failure)?;
        self.remaining = content.limit();
        map
    }

    /// The next block; None at the end of the archive, which is two blocks of zeros, or of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let Some(block) = self.whole_block()? else { return Ok(None) };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        // Readers disagree on what a single block of zeros means; behind the second is padding, hashed but not believed.
        match self.whole_block()? {
            Some(second) if second != [0; BLOCK] => Err(corrupt("archive", "a block of zeros amid entries")),
            _ => Ok(None),
        }
    }

    fn whole_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if fill(&mut self.input)? == 0 {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.input.read_exact(&mut block).map_err(read_failure)?;
        Ok(Some(block))
    }

    fn metadata(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > METADATA_MAX {
            return Err(corrupt("tar header", format!("extended header of {size} bytes")));
        }
        let mut data = vec![0; usize::try_from(size).unwrap_or(0)];
        self.input.read_exact(&mut data).map_err(read_failure)?;
        self.padding = padding(size)?;
        self.skip_content()?;
        Ok(data)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.remaining.checked_add(self.padding).ok_or_else(truncated)?;
        while left > 0 {
            let available = fill(&mut self.input)?;
            if available == 0 {
                return Err(truncated());
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(available);
            self.input.consume(count);
            left -= count as u64;
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: BufRead> BufRead for TarReader<R> {
    /// What is at hand of the current entry's content; empty at its end. A stream that ends before is an error.
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(&[]);
        }
        let available = self.input.fill_buf()?;
        if available.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(&available[..wanted.min(available.len())])
    }

    fn consume(&mut self, count: usize) {
        self.remaining -= count as u64;
        self.input.consume(count);
    }
}

impl<R: BufRead> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Bytes at hand, read anew if there are none; 0 at the end.
fn fill(input: &mut impl BufRead) -> Result<usize> {
    loop {
        match input.fill_buf() {
            Ok(bytes) => return Ok(bytes.len()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(read_failure(error)),
        }
    }
}

fn padding(size: u64) -> Result<u64> {
    let rounded = size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| corrupt("tar header", "size too large"))?;
    Ok(rounded - size)
}

/// A name given in two ways is whichever a reader looks at last.
fn one_of(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    if pax.is_some() && gnu.is_some() {
        return Err(corrupt("tar header", "both a PAX and a GNU long name"));
    }
    Ok(pax.or(gnu))
}

fn until_nul(data: &[u8]) -> Vec<u8> {
    data.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

fn truncated() -> Error {
    corrupt("archive", "unexpected end")
}

/// A decoder's complaint is the archive's fault; an errno is not.
#[allow(clippy::needless_pass_by_value)] // for map_err
fn read_failure(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => truncated(),
        _ if error.raw_os_error().is_none() => corrupt("archive", error.to_string()),
        _ => Error::io("read", "archive", &error),
    }
}
