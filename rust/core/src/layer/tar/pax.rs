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

fn decimal(value: &[u8]) -> Result<u64> {
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

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let has_nul = value.contains(&0);
        match key {
            b"path" | b"linkpath" if has_nul => return Err(malformed("NUL in a name")),
            b"path" => self.path = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"linkpath" => self.link = Some(value.to_vec()).filter(|path| !path.is_empty()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(id(i64::try_from(decimal(value)?).unwrap_or(-1))?),
            b"gid" => self.gid = Some(id(i64::try_from(decimal(value)?).unwrap_or(-1))?),
            b"mtime" => self.mtime = Some(time(value)?),
            _ => {
                for prefix in [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."] {
                    if let Some(name) = key.strip_prefix(prefix) {
                        return self.set_xattr(prefix, name, value);
                    }
                }
                if let Some(word) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(word, value)?;
                }
            }
        }
        Ok(())
    }

    fn set_xattr(&mut self, prefix: &[u8], name: &[u8], value: &[u8]) -> Result<()> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(malformed("bad attribute name"));
        }
        // libarchive writes both forms; its own is base64 of what SCHILY's has plain.
        if prefix.starts_with(b"SCHILY") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
        }
        Ok(())
    }
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
    let seconds: i64 = whole.parse().map_err(|_| malformed("not a time"))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("not a time"));
    }
    let mut nanoseconds: u32 = format!("{fraction:0<9.9}").parse().map_err(|_| malformed("not a time"))?;
    // A negative time counts its fraction downwards, the kernel upwards.
    if whole.starts_with('-') && nanoseconds > 0 {
        nanoseconds = 1_000_000_000 - nanoseconds;
        return Ok((seconds - 1, nanoseconds));
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
    fn wrong_lengths_are_refused() {
        for bad in [&b"4 a=\n"[..], b"99 path=a\n", b"path=a\n", b"x path=a\n", b"8 path=a\n", b"0 a=b\n", b"6 ab\nc\n"]
        {
            assert!(Records::default().parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
