//! Header blocks of an archive being written: ustar, with PAX records for what it cannot hold (POSIX.1-2024, pax).
//!
//! No number is written in GNU's base 256, no name in GNU's long form, so every reader sees the same.

use super::header::{BLOCK, Kind};
use super::reader::Entry;

/// Largest values of octal fields of 8 and of 12 bytes.
const OCTAL_7: u64 = 0o777_7777;
const OCTAL_11: u64 = 0o777_7777_7777;
const NAME_MAX: usize = 100;

/// Two empty blocks.
pub const END_OF_ARCHIVE: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Appends the headers of an entry: a PAX header if it needs one, then its own. Content follows, then [`padding`].
///
/// A directory's name should end in `/`. Fractions of seconds are written if the entry has them. The sparse map is not used.
pub fn header(entry: &Entry, out: &mut Vec<u8>) {
    let records = records(entry);
    if !records.is_empty() {
        let base = entry.path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()).unwrap_or(b"x");
        let name = [b"PaxHeaders.0/", &base[..base.len().min(NAME_MAX - 13)]].concat();
        block(out, &Fields { name: &name, kind: b'x', mode: 0o644, size: records.len() as u64, ..Fields::default() });
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    let (kind, device) = match entry.kind {
        Kind::File => (b'0', (0, 0)),
        Kind::HardLink => (b'1', (0, 0)),
        Kind::Symlink => (b'2', (0, 0)),
        Kind::Character => (b'3', entry.device),
        Kind::Block => (b'4', entry.device),
        Kind::Directory => (b'5', (0, 0)),
        Kind::Fifo => (b'6', (0, 0)),
    };
    let fields = Fields {
        name: &entry.path,
        link: &entry.link,
        kind,
        mode: entry.mode,
        uid: entry.uid.into(),
        gid: entry.gid.into(),
        size: entry.size,
        mtime: u64::try_from(entry.mtime.0).unwrap_or(0),
        device,
    };
    block(out, &fields);
}

/// Zeros behind content of this length.
pub fn padding(size: u64) -> usize {
    #[allow(clippy::cast_possible_truncation)] // less than a block
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { 0 } else { BLOCK - over }
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    link: &'a [u8],
    kind: u8,
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    mtime: u64,
    device: (u32, u32),
}

/// What does not fit into the header block, by keyword.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut add = |key: &[u8], value: Vec<u8>| records.push((key.to_vec(), value));
    for (name, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value.clone());
    }
    for (key, id) in [(&b"gid"[..], entry.gid), (b"uid", entry.uid)] {
        if u64::from(id) > OCTAL_7 {
            add(key, id.to_string().into_bytes());
        }
    }
    for (key, name) in [(&b"linkpath"[..], &entry.link), (b"path", &entry.path)] {
        if name.len() > NAME_MAX {
            add(key, name.clone());
        }
    }
    if entry.mtime.1 != 0 || !u64::try_from(entry.mtime.0).is_ok_and(|seconds| seconds <= OCTAL_11) {
        add(b"mtime", time(entry.mtime).into_bytes());
    }
    if entry.size > OCTAL_11 {
        add(b"size", entry.size.to_string().into_bytes());
    }
    records.sort();
    records.iter().flat_map(|(key, value)| record(key, value)).collect()
}

/// `length keyword=value\n`, the length counting its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body;
    while body + length.to_string().len() != length {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Seconds with a fraction; before 1970 the fraction counts downwards, as a decimal number does.
fn time((seconds, nanoseconds): (i64, u32)) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let (whole, fraction) = (total.unsigned_abs() / 1_000_000_000, total.unsigned_abs() % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// A header block; a field that a PAX record stands for is cut or zero.
fn block(out: &mut Vec<u8>, fields: &Fields<'_>) {
    let mut block = [0u8; BLOCK];
    let text = |field: &mut [u8], value: &[u8]| {
        let length = value.len().min(field.len());
        field[..length].copy_from_slice(&value[..length]);
    };
    text(&mut block[..100], fields.name);
    octal(&mut block[100..108], fields.mode.into());
    octal(&mut block[108..116], fields.uid);
    octal(&mut block[116..124], fields.gid);
    octal(&mut block[124..136], fields.size);
    octal(&mut block[136..148], fields.mtime);
    block[156] = fields.kind;
    text(&mut block[157..257], fields.link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], fields.device.0.into());
    octal(&mut block[337..345], fields.device.1.into());
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    octal(&mut block[148..155], sum); // six digits, NUL, blank
    out.extend_from_slice(&block);
}

/// Octal digits and a NUL; zero where they do not fit.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let value = if value >> (3 * digits) == 0 { value } else { 0 };
    for (at, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + u8::try_from(value >> (3 * at) & 7).unwrap_or(0);
    }
    field[digits] = 0;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::layer::tar::TarReader;

    fn entry() -> Entry {
        Entry {
            kind: Kind::File,
            path: b"a/b".to_vec(),
            link: Vec::new(),
            mode: 0o4755,
            uid: 1,
            gid: 2,
            size: 0,
            mtime: (1_000_000, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    fn round_trip(entry: &Entry) -> Entry {
        let mut bytes = Vec::new();
        header(entry, &mut bytes);
        assert_eq!(bytes.len() % BLOCK, 0);
        TarReader::new(&bytes[..]).next_entry().unwrap().unwrap()
    }

    fn assert_same(entry: &Entry) {
        assert_eq!(format!("{:?}", round_trip(entry)), format!("{entry:?}"));
    }

    #[test]
    fn plain_entry_is_one_block() {
        let mut bytes = Vec::new();
        header(&entry(), &mut bytes);
        assert_eq!(bytes.len(), BLOCK);
        assert_same(&entry());
    }

    #[test]
    fn what_ustar_cannot_hold_is_in_records() {
        let long = vec![b'n'; 300];
        let value = (0..=255).collect::<Vec<u8>>();
        for change in [
            (|entry, _, _| entry.uid = 3_000_000) as fn(&mut Entry, &[u8], &[u8]),
            |entry, _, _| (entry.uid, entry.gid) = (u32::MAX - 1, 0o777_7777),
            |entry, long, _| entry.path = long.to_vec(),
            |entry, long, _| (entry.kind, entry.link) = (Kind::Symlink, long.to_vec()),
            |entry, _, _| entry.size = 9 << 30,
            |entry, _, _| entry.mtime = (-2, 750_000_000),
            |entry, _, _| entry.mtime = (-1, 0),
            |entry, _, _| entry.mtime = (i64::MAX / 2, 1),
            |entry, _, value| {
                entry.xattrs = vec![(b"user.all".to_vec(), value.to_vec()), (b"user.z".to_vec(), b"".to_vec())];
            },
            |entry, _, _| (entry.kind, entry.device) = (Kind::Character, (4095, 1_048_575)),
            |entry, _, _| entry.path = b"b\xff".to_vec(),
        ] {
            let mut changed = entry();
            change(&mut changed, &long, &value);
            assert_same(&changed);
        }
    }

    #[test]
    fn record_counts_its_own_digits() {
        for length in 0..200 {
            let made = record(b"k", &vec![b'v'; length]);
            let said: usize =
                std::str::from_utf8(made.split(|&byte| byte == b' ').next().unwrap()).unwrap().parse().unwrap();
            assert_eq!(said, made.len());
        }
    }
}
