//! The entries of an archive, one after another.

use std::io::Read;

use super::header::{BLOCK, Header, Kind, Type, number};
use super::pax::Records;
use super::sparse::{self, Segment};
use crate::layer::digest::corrupt;
use crate::{Error, Result};

/// PAX headers and long names larger than this are refused: they are read into memory.
const METADATA_MAX: u64 = 1 << 20;
/// A sparse file of more pieces than this is refused.
const SEGMENTS_MAX: usize = 1 << 20;

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
    /// Bytes of the file.
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

/// Reads entries; the content of the current one is read through [`Read`].
#[derive(Debug)]
pub struct TarReader<R> {
    input: R,
    /// Content of the current entry not read yet.
    remaining: u64,
    /// Padding behind it.
    padding: u64,
    global: Records,
}

impl<R: Read> TarReader<R> {
    /// Reads from the beginning of an archive.
    pub fn new(input: R) -> Self {
        Self { input, remaining: 0, padding: 0, global: Records::default() }
    }

    /// The input, wherever it stands now.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next entry; None at the end. What was not read of the previous one is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut records = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(block) = self.block()? else {
                return if long_name.is_some() || long_link.is_some() { Err(truncated()) } else { Ok(None) };
            };
            let header = Header::parse(&block)?;
            match header.kind()? {
                Type::Pax => records.parse(&self.metadata(header.size()?)?)?,
                Type::PaxGlobal => {
                    let data = self.metadata(header.size()?)?;
                    self.global.parse(&data)?;
                    records.parse(&data)?;
                }
                Type::LongName => long_name = Some(name(&self.metadata(header.size()?)?)),
                Type::LongLink => long_link = Some(name(&self.metadata(header.size()?)?)),
                Type::Entry(kind) => return self.entry(&header, kind, records, long_name, long_link).map(Some),
                Type::Sparse => {
                    let mut entry = self.entry(&header, Kind::File, records, long_name, long_link)?;
                    self.old_sparse(&header, &mut entry)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        kind: Kind,
        records: Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        // The size of the PAX header governs how much of the stream is content (CVE-2025-62518): a reader that believes the
        // other one sees entries that nobody else sees.
        let size = records.size.map_or_else(|| header.size(), Ok)?;
        let size = if kind == Kind::File { size } else { 0 };
        if kind != Kind::File && records.size.unwrap_or(0) != 0 {
            return Err(corrupt("tar header", "content behind an entry that has none"));
        }
        self.remaining = size;
        self.padding = padding(size)?;
        let mut entry = Entry {
            kind,
            path: records.path.or(long_name).unwrap_or_else(|| header.path()),
            link: records.link.or(long_link).unwrap_or_else(|| header.link()),
            mode: header.mode()?,
            uid: records.uid.map_or_else(|| header.uid(), Ok)?,
            gid: records.gid.map_or_else(|| header.gid(), Ok)?,
            size,
            mtime: records.mtime.map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?,
            device: if matches!(kind, Kind::Character | Kind::Block) { header.device()? } else { (0, 0) },
            xattrs: records.xattrs,
            sparse: None,
        };
        if records.sparse.present && kind == Kind::File {
            let file_size = records.sparse.size.ok_or_else(|| corrupt("sparse file", "no size"))?;
            let map = if records.sparse.major == Some(1) { self.map_in_data()? } else { records.sparse.map };
            if let Some(name) = records.sparse.name {
                entry.path = name;
            }
            sparse::check(&map, file_size, self.remaining)?;
            entry.size = file_size;
            entry.sparse = Some(map);
        }
        if entry.path.contains(&0) || entry.link.contains(&0) {
            return Err(corrupt("tar header", "NUL in a name"));
        }
        Ok(entry)
    }

    /// Sparse format 1.0: decimal numbers a line, at the beginning of the content, padded to a block.
    fn map_in_data(&mut self) -> Result<Vec<Segment>> {
        let malformed = || corrupt("sparse file", "bad map");
        let mut text = Vec::new();
        let mut numbers: Vec<u64> = Vec::new();
        loop {
            let wanted = numbers
                .first()
                .map_or(1, |count| 1 + 2 * usize::try_from(*count).unwrap_or(usize::MAX).min(SEGMENTS_MAX));
            if numbers.len() >= wanted {
                break;
            }
            if numbers.first().is_some_and(|count| *count > SEGMENTS_MAX as u64) {
                return Err(malformed());
            }
            let mut block = [0; BLOCK];
            if self.remaining < BLOCK as u64 {
                return Err(malformed());
            }
            self.input.read_exact(&mut block).map_err(|error| read_error(&error))?;
            self.remaining -= BLOCK as u64;
            text.extend_from_slice(&block);
            numbers.clear();
            let lines = text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
            for line in lines {
                let digits = std::str::from_utf8(&line[..line.len() - 1]).map_err(|_| malformed())?;
                match digits.parse() {
                    Ok(number) => numbers.push(number),
                    Err(_) => break,
                }
            }
        }
        let map = numbers[1..].chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] });
        Ok(map.take(usize::try_from(numbers[0]).unwrap_or(0)).collect())
    }

    /// The old GNU form: four pieces in the header, more in blocks that follow.
    fn old_sparse(&mut self, header: &Header<'_>, entry: &mut Entry) -> Result<()> {
        let block = header.block();
        let mut map = pieces(&block[386..482])?;
        let file_size =
            u64::try_from(number(&block[483..495])?).map_err(|_| corrupt("sparse file", "negative size"))?;
        let mut extended = block[482] != 0;
        while extended {
            let mut next = [0; BLOCK];
            self.input.read_exact(&mut next).map_err(|error| read_error(&error))?;
            map.extend(pieces(&next[..504])?);
            extended = next[504] != 0;
            if map.len() > SEGMENTS_MAX {
                return Err(corrupt("sparse file", "too many pieces"));
            }
        }
        sparse::check(&map, file_size, self.remaining)?;
        entry.size = file_size;
        entry.sparse = Some(map);
        Ok(())
    }

    /// The next block that is not the end; None at the end of the archive or of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(truncated()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(&error)),
            }
        }
        // One zero block ends it for every reader that matters; what comes behind is padding, hashed but not believed.
        Ok(Some(block).filter(|block| block.iter().any(|&byte| byte != 0)))
    }

    fn metadata(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > METADATA_MAX {
            return Err(corrupt("tar header", format!("extended header of {size} bytes")));
        }
        self.remaining = size;
        self.padding = padding(size)?;
        let mut data = vec![0; usize::try_from(size).unwrap_or(0)];
        self.input.read_exact(&mut data).map_err(|error| read_error(&error))?;
        self.remaining = 0;
        self.skip_content()?;
        Ok(data)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.remaining + self.padding;
        let mut buffer = [0; 8192];
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match self.input.read(&mut buffer[..wanted]) {
                Ok(0) => return Err(truncated()),
                Ok(count) => left -= count as u64,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(&error)),
            }
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn padding(size: u64) -> Result<u64> {
    let rounded = size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| corrupt("tar header", "size too large"))?;
    Ok(rounded - size)
}

fn pieces(fields: &[u8]) -> Result<Vec<Segment>> {
    let mut map = Vec::new();
    for field in fields.chunks_exact(24) {
        let (offset, length) = (number(&field[..12])?, number(&field[12..])?);
        if field[0] == 0 {
            break;
        }
        let value = |number| u64::try_from(number).map_err(|_| corrupt("sparse file", "negative number"));
        map.push(Segment { offset: value(offset)?, length: value(length)? });
    }
    Ok(map)
}

fn name(data: &[u8]) -> Vec<u8> {
    data.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

fn truncated() -> Error {
    corrupt("archive", "unexpected end")
}

fn read_error(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return truncated();
    }
    let decoding = matches!(
        error.kind(),
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData | std::io::ErrorKind::Other
    );
    if decoding { corrupt("archive", error.to_string()) } else { Error::io("read", "archive", error) }
}
