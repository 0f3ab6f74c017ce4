//! One header block.

use crate::layer::digest::corrupt;
use crate::{Error, Result};

/// Size of a block.
pub const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A further name of a file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// A header's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An entry of its own.
    Entry(Kind),
    /// PAX records for the next entry.
    Pax,
    /// PAX records for all that follow.
    PaxGlobal,
    /// GNU: the next entry's name.
    LongName,
    /// GNU: the next entry's link target.
    LongLink,
    /// GNU: a sparse file, old form.
    Sparse,
}

/// A checked header block.
#[derive(Debug)]
pub struct Header<'a> {
    block: &'a [u8; BLOCK],
}

fn malformed(reason: &str) -> Error {
    corrupt("tar header", reason)
}

impl<'a> Header<'a> {
    /// Checks the checksum, over unsigned bytes or, as ancient tars did, signed ones.
    pub fn parse(block: &'a [u8; BLOCK]) -> Result<Self> {
        let stored = number(&block[148..156])?;
        let sum = |value: fn(u8) -> i64| {
            let bytes =
                block.iter().enumerate().map(|(index, &byte)| if (148..156).contains(&index) { b' ' } else { byte });
            bytes.map(value).sum::<i64>()
        };
        let matches = [sum(i64::from), sum(|byte| i64::from(byte.cast_signed()))].contains(&stored);
        if matches { Ok(Self { block }) } else { Err(malformed("wrong checksum")) }
    }

    /// The type; unknown ones are refused by name.
    pub fn kind(&self) -> Result<Type> {
        Ok(match self.block[156] {
            b'0' | 0 | b'7' => Type::Entry(Kind::File),
            b'1' => Type::Entry(Kind::HardLink),
            b'2' => Type::Entry(Kind::Symlink),
            b'3' => Type::Entry(Kind::Character),
            b'4' => Type::Entry(Kind::Block),
            b'5' => Type::Entry(Kind::Directory),
            b'6' => Type::Entry(Kind::Fifo),
            b'x' => Type::Pax,
            b'g' => Type::PaxGlobal,
            b'L' => Type::LongName,
            b'K' => Type::LongLink,
            b'S' => Type::Sparse,
            other => return Err(malformed(&format!("unknown entry type {:?}", char::from(other)))),
        })
    }

    /// The type byte of the seventh edition, which knew no directories: a file whose name ends in `/` is one.
    pub fn is_ancient(&self) -> bool {
        self.block[156] == 0
    }

    /// The whole name: ustar's prefix before it.
    pub fn path(&self) -> Vec<u8> {
        let name = text(&self.block[..100]);
        // GNU's own format keeps times where ustar has the prefix, and star (`tar` at the end) at the prefix's end.
        let prefix = match &self.block[257..263] {
            b"ustar\0" if self.block[508..] == *b"tar\0" => text(&self.block[345..476]),
            b"ustar\0" => text(&self.block[345..500]),
            _ => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// The link target.
    pub fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    /// Permission bits.
    pub fn mode(&self) -> Result<u32> {
        u32::try_from(number(&self.block[100..108])?)
            .map(|mode| mode & 0o7777)
            .map_err(|_| malformed("mode out of range"))
    }

    /// Owner.
    pub fn uid(&self) -> Result<u32> {
        id(number(&self.block[108..116])?)
    }

    /// Group.
    pub fn gid(&self) -> Result<u32> {
        id(number(&self.block[116..124])?)
    }

    /// Bytes of content that follow.
    pub fn size(&self) -> Result<u64> {
        u64::try_from(number(&self.block[124..136])?).map_err(|_| malformed("negative size"))
    }

    /// Seconds since the epoch.
    pub fn mtime(&self) -> Result<i64> {
        number(&self.block[136..148])
    }

    /// Device numbers.
    pub fn device(&self) -> Result<(u32, u32)> {
        let part = |range: &[u8]| u32::try_from(number(range)?).map_err(|_| malformed("device number out of range"));
        Ok((part(&self.block[329..337])?, part(&self.block[337..345])?))
    }
}

/// An id as the kernel takes it; all ones means "leave alone" there, so it is refused.
pub fn id(value: i64) -> Result<u32> {
    u32::try_from(value).ok().filter(|id| *id != u32::MAX).ok_or_else(|| malformed("id out of range"))
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// A numeric field: octal digits with blanks before and blanks or NULs behind, or GNU's base 256.
pub fn number(field: &[u8]) -> Result<i64> {
    if field[0] & 0x80 != 0 {
        return base_256(field);
    }
    let blanks = field.iter().take_while(|&&byte| byte == b' ').count();
    let digits = &field[blanks..];
    let end = digits.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) {
        return Err(malformed("text behind a number"));
    }
    digits.iter().try_fold(0i64, |value, &byte| match byte {
        b'0'..=b'7' => value
            .checked_mul(8)
            .map(|value| value + i64::from(byte - b'0'))
            .ok_or_else(|| malformed("number too large")),
        _ => Err(malformed("not an octal number")),
    })
}

fn base_256(field: &[u8]) -> Result<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = if negative { -1i64 } else { 0 };
    std::iter::once(first).chain(field[1..].iter().copied()).try_fold(start, |value, byte| {
        value.checked_mul(256).map(|value| value | i64::from(byte)).ok_or_else(|| malformed("number too large"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0").unwrap(), 0o644);
        assert_eq!(number(b"   644 \0").unwrap(), 0o644);
        assert_eq!(number(b"\0\0\0\0").unwrap(), 0);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\x01\0\0\0").unwrap(), 1 << 24);
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").unwrap(), -1);
        for bad in [
            &b"0000648\0"[..],
            b"12 4\0\0\0\0",
            b"-1\0\0",
            b"0x1f\0\0\0\0",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn id_of_all_ones_is_refused() {
        assert!(id(i64::from(u32::MAX)).is_err());
        assert!(id(-1).is_err());
    }
}
