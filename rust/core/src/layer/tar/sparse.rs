//! Maps of sparse files ("GNU tar internals", "Storing Sparse Files").

use std::io::{self, BufRead, Read};

use super::header::{BLOCK, number};
use super::pax::decimal;
use crate::layer::digest::corrupt;
use crate::{Error, Result};

/// A sparse file of more pieces than this is refused: maps are read into memory.
const SEGMENTS_MAX: usize = 1 << 20;
/// Digits of the largest number and their newline.
const LINE_MAX: u64 = 21;

/// A stretch of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

fn malformed(reason: &str) -> Error {
    corrupt("sparse file", reason)
}

/// Checks that segments come in order, do not overlap, lie in the file, and are as long as the data.
pub fn check(map: &[Segment], file_size: u64, data_size: u64) -> Result<()> {
    let mut end = 0;
    let mut total = 0u64;
    for segment in map {
        let next = segment.offset.checked_add(segment.length).ok_or_else(|| malformed("offset too large"))?;
        if segment.offset < end || next > file_size {
            return Err(malformed("segments out of order"));
        }
        end = next;
        total += segment.length; // no overflow: segments are disjoint parts of the file
    }
    if total == data_size { Ok(()) } else { Err(malformed("segments do not match the data")) }
}

/// Format 1.0: a decimal number a line at the beginning of the content, padded to a block. Reads just that.
pub fn map_in_content(content: &mut impl BufRead) -> io::Result<Result<Vec<Segment>>> {
    let mut used = 0;
    let count = match number_line(content, &mut used)? {
        Ok(count) if count <= SEGMENTS_MAX as u64 => count,
        _ => return Ok(Err(malformed("bad map"))),
    };
    let mut map = Vec::new();
    for _ in 0..count {
        match (number_line(content, &mut used)?, number_line(content, &mut used)?) {
            (Ok(offset), Ok(length)) => map.push(Segment { offset, length }),
            (offset, length) => return Ok(offset.and(length).and(Err(malformed("bad map")))),
        }
    }
    let padding = used.next_multiple_of(BLOCK as u64) - used;
    let skipped = io::copy(&mut content.take(padding), &mut io::sink())?;
    Ok(if skipped == padding { Ok(map) } else { Err(malformed("bad map")) })
}

fn number_line(content: &mut impl BufRead, used: &mut u64) -> io::Result<Result<u64>> {
    let mut line = Vec::new();
    content.take(LINE_MAX).read_until(b'\n', &mut line)?;
    *used += line.len() as u64;
    Ok(line.strip_suffix(b"\n").ok_or_else(|| malformed("bad map")).and_then(decimal))
}

/// The old GNU form: four pieces in the header, more in blocks behind it; and the file's size.
pub fn map_in_headers(input: &mut impl Read, header: &[u8; BLOCK]) -> io::Result<Result<(Vec<Segment>, u64)>> {
    let mut map = Vec::new();
    if let Err(error) = pieces(&header[386..482], &mut map) {
        return Ok(Err(error));
    }
    let mut extended = header[482] != 0;
    while extended {
        let mut next = [0; BLOCK];
        input.read_exact(&mut next)?;
        if let Err(error) = pieces(&next[..504], &mut map) {
            return Ok(Err(error));
        }
        extended = next[504] != 0;
        if map.len() > SEGMENTS_MAX {
            return Ok(Err(malformed("too many segments")));
        }
    }
    Ok(unsigned(&header[483..495]).map(|size| (map, size)))
}

fn pieces(fields: &[u8], map: &mut Vec<Segment>) -> Result<()> {
    for field in fields.chunks_exact(24).take_while(|field| field[0] != 0) {
        map.push(Segment { offset: unsigned(&field[..12])?, length: unsigned(&field[12..])? });
    }
    Ok(())
}

fn unsigned(field: &[u8]) -> Result<u64> {
    u64::try_from(number(field)?).map_err(|_| malformed("negative number"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn overlap_and_overrun_are_refused() {
        let segment = |offset, length| Segment { offset, length };
        assert!(check(&[segment(0, 4), segment(8, 4)], 12, 8).is_ok());
        assert!(check(&[segment(0, 4), segment(3, 4)], 12, 8).is_err());
        assert!(check(&[segment(8, 8)], 12, 8).is_err());
        assert!(check(&[segment(u64::MAX, 2)], 12, 2).is_err());
        assert!(check(&[segment(0, 4)], 12, 5).is_err());
    }

    #[test]
    fn map_in_content_is_read_to_its_padding() {
        let mut content = b"2\n0\n4\n8\n4\n".to_vec();
        content.resize(512, 0);
        content.extend_from_slice(b"data");
        let mut rest = &content[..];
        let map = map_in_content(&mut rest).unwrap().unwrap();
        assert_eq!(map, [Segment { offset: 0, length: 4 }, Segment { offset: 8, length: 4 }]);
        assert_eq!(rest, b"data");
    }

    #[test]
    fn broken_maps_are_refused() {
        for bad in
            ["", "x\n", "1\n0\n", "1\n+0\n4\n", "99999999\n", "1\n0\n4", "1\n000000000000000000000000\n4\n", "0\n"]
        {
            assert!(map_in_content(&mut bad.as_bytes()).unwrap().is_err(), "{bad:?}");
        }
    }
}
