//! Maps of sparse files.

use crate::Result;
use crate::layer::digest::corrupt;

/// A stretch of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

/// Checks that segments come in order, do not overlap, lie in the file, and are as long as the data.
pub fn check(map: &[Segment], file_size: u64, data_size: u64) -> Result<()> {
    let malformed = |reason: &str| corrupt("sparse file", reason);
    let mut end = 0;
    let mut total = 0u64;
    for segment in map {
        let next = segment.offset.checked_add(segment.length).ok_or_else(|| malformed("offset too large"))?;
        if segment.offset < end || next > file_size {
            return Err(malformed("segments out of order"));
        }
        end = next;
        total += segment.length;
    }
    if total == data_size { Ok(()) } else { Err(malformed("segments do not match the data")) }
}

#[cfg(test)]
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
}
