//! PAX extended headers.

use super::header::id;
use super::sparse::Segment;
use crate::layer::digest::corrupt;
use crate::{Error, Result};

/// What PAX records say of the entry they stand before.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseRecords,
    /// libarchive's own form of attributes; counts where the common form is missing.
    libarchive: Vec<(Vec<u8>, Vec<u8>)>,
}

/// GNU's sparse formats 0.0, 0.1 and 1.0.
#[derive(Debug, Clone, Default)]
pub struct SparseRecords {
    pub map: Vec<Segment>,
    pub size: Option<u64>,
    pub name: Option<Vec<u8>>,
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub present: bool,
    offset: Option<u64>,
}

fn malformed(reason: &str) -> Error {
    corrupt("PAX header", reason)
}

pub fn decimal(value: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(value).map_err(|_| malformed("not a number"))?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("not a number"));
    }
    text.parse().map_err(|_| malformed("number too large"))
}

impl Records {
    /// Adds the records of one header: `length keyword=value\n`, the length covering all of it.
    pub fn parse(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let space = data.iter().position(|&byte| byte == b' ').ok_or_else(|| malformed("no length"))?;
            let length = usize::try_from(decimal(&data[..space])?).map_err(|_| malformed("length too large"))?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return Err(malformed("wrong record length"));
            }
            let record = &data[space + 1..length - 1];
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(|| malformed("no keyword"))?;
            self.set(&record[..equals], &record[equals + 1..])?;
            data = &data[length..];
        }
        Ok(())
    }

    /// Checks records meant for all entries that follow (`g`), and uses none of them, as Docker does not.
    ///
    /// Those that would decide where content ends or what a name is are refused: readers disagree on them, and what one
    /// sees as content another sees as entries.
    pub fn check_global(data: &[u8]) -> Result<()> {
        let mut records = Self::default();
        records.parse(data)?;
        let steers = records.path.is_some() || records.link.is_some() || records.size.is_some();
        if steers || records.sparse.present { Err(malformed("a global name or size")) } else { Ok(()) }
    }

    /// The extended attributes: those in the common form, then those only libarchive's own form has.
    pub fn take_xattrs(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut xattrs = std::mem::take(&mut self.xattrs);
        for (name, value) in std::mem::take(&mut self.libarchive) {
            if !xattrs.iter().any(|(known, _)| *known == name) {
                xattrs.push((name, value));
            }
        }
        xattrs
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if matches!(key, b"path" | b"linkpath") && value.contains(&0) {
            return Err(malformed("NUL in a name"));
        }
        // An empty value takes the record back (POSIX.1-2024, pax, "pax Extended Header"): the header block counts again.
        let given = !value.is_empty();
        match key {
            b"path" => self.path = given.then(|| value.to_vec()),
            b"linkpath" => self.link = given.then(|| value.to_vec()),
            b"size" => self.size = given.then(|| decimal(value)).transpose()?,
            b"uid" => self.uid = given.then(|| decimal_id(value)).transpose()?,
            b"gid" => self.gid = given.then(|| decimal_id(value)).transpose()?,
            b"mtime" => self.mtime = given.then(|| time(value)).transpose()?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((attribute_name(name.to_vec())?, value.to_vec()));
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.libarchive.push((attribute_name(percent_decoded(name)?)?, base64_decoded(value)?));
                } else if let Some(word) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(word, value)?;
                }
            }
        }
        Ok(())
    }
}

fn attribute_name(name: Vec<u8>) -> Result<Vec<u8>> {
    // XATTR_NAME_MAX (xattr(7))
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        Err(malformed("bad attribute name"))
    } else {
        Ok(name)
    }
}

fn percent_decoded(text: &[u8]) -> Result<Vec<u8>> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                return Err(malformed("bad attribute name"));
            };
            decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
            at += 3;
        } else {
            decoded.push(text[at]);
            at += 1;
        }
    }
    Ok(decoded)
}

/// Base 64 (RFC 4648, section 4), padded or not.
fn base64_decoded(text: &[u8]) -> Result<Vec<u8>> {
    let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let (mut bits, mut count) = (0u32, 0u32);
    let mut decoded = Vec::with_capacity(end / 4 * 3 + 2);
    for &byte in &text[..end] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(malformed("attribute is not base 64")),
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Ok(decoded)
}

fn decimal_id(value: &[u8]) -> Result<u32> {
    id(i64::try_from(decimal(value)?).unwrap_or(-1))
}

impl SparseRecords {
    fn set(&mut self, word: &[u8], value: &[u8]) -> Result<()> {
        self.present = true;
        match word {
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"offset" => self.offset = Some(decimal(value)?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or_else(|| malformed("numbytes without offset"))?;
                self.map.push(Segment { offset, length: decimal(value)? });
            }
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(decimal).collect::<Result<Vec<u64>>>()?;
                if numbers.len() % 2 != 0 {
                    return Err(malformed("odd sparse map"));
                }
                self.map = numbers.chunks_exact(2).map(|pair| Segment { offset: pair[0], length: pair[1] }).collect();
            }
            _ => {} // numblocks: the map says it
        }
        Ok(())
    }
}

/// Seconds with a fraction.
fn time(value: &[u8]) -> Result<(i64, u32)> {
    let text = std::str::from_utf8(value).map_err(|_| malformed("not a time"))?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.starts_with('+') {
        return Err(malformed("not a time"));
    }
    let seconds: i64 = whole.parse().map_err(|_| malformed("not a time"))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("not a time"));
    }
    let mut nanoseconds: u32 = format!("{fraction:0<9.9}").parse().map_err(|_| malformed("not a time"))?;
    // A negative time counts its fraction downwards, the kernel upwards.
    if whole.starts_with('-') && nanoseconds > 0 {
        nanoseconds = 1_000_000_000 - nanoseconds;
        return Ok((seconds.checked_sub(1).ok_or_else(|| malformed("time out of range"))?, nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let mut records = Records::default();
        records.parse(b"12 path=a/b\n25 SCHILY.xattr.user.x=y\n14 size=12345\n15 mtime=-1.25\n").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(records.size, Some(12345));
        assert_eq!(records.mtime, Some((-2, 750_000_000)));
        assert_eq!(records.xattrs, [(b"user.x".to_vec(), b"y".to_vec())]);
    }

    #[test]
    fn empty_value_takes_a_record_back() {
        let mut records = Records::default();
        records.parse(b"12 path=a/b\n8 path=\n8 size=\n7 uid=\n9 mtime=\n").unwrap();
        assert!(records.path.is_none() && records.size.is_none() && records.uid.is_none() && records.mtime.is_none());
    }

    #[test]
    fn times_out_of_range_are_refused() {
        for bad in [&b"-9223372036854775808.5"[..], b"9223372036854775808", b"+1", b"1.x", b"", b".", b"-", b"1e3"] {
            assert!(time(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(time(b"1.1234567899").unwrap(), (1, 123_456_789));
    }

    #[test]
    fn libarchives_attributes_count_where_the_common_ones_are_missing() {
        let mut records = Records::default();
        records
            .parse(
                b"39 LIBARCHIVE.xattr.user.%61%3D=aGkhIQ\n32 LIBARCHIVE.xattr.user.b=eHh4\n25 SCHILY.xattr.user.b=y\n",
            )
            .unwrap();
        let pair = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
        assert_eq!(records.take_xattrs(), [pair(b"user.b", b"y"), pair(b"user.a=", b"hi!!")]);
        assert!(Records::default().parse(b"30 LIBARCHIVE.xattr.user.b=?!\n").is_err());
        assert!(Records::default().parse(b"28 LIBARCHIVE.xattr.%0=eHg=\n").is_err());
    }

    #[test]
    fn global_names_and_sizes_are_refused() {
        Records::check_global(b"16 comment=hash\n15 mtime=-1.25\n").unwrap();
        for bad in [&b"12 path=a/b\n"[..], b"14 size=12345\n", b"14 linkpath=a\n", b"22 GNU.sparse.size=10\n"] {
            assert!(Records::check_global(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for bad in [&b"6 a=\n"[..], b"99 path=a\n", b"path=a\n", b"x path=a\n", b"8 path=a\n", b"0 a=b\n", b"6 ab\nc\n"]
        {
            assert!(Records::default().parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
