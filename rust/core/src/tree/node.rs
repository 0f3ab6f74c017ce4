//! What is read of one entry: names of a directory, content of a file, attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::{Error, Kind, Result};

/// Never through a link, never waiting for a FIFO's other end, never becoming anybody's terminal.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// XATTR_LIST_MAX (xattr(7)).
const XATTRS_MAX: usize = 65536;

/// Names in a directory and their types, sorted by bytes.
pub fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            },
            known => known,
        };
        names.push((name.to_owned(), kind));
    }
    names.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(names)
}

/// Opens what was a regular file when it was looked at, and still is; what it is like before it is read.
pub fn open_regular(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<(OwnedFd, Stat)> {
    let file = rustix::fs::openat(parent, name, READ, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok((file, stat))
}

/// Reads a whole file piece by piece; an error of kind State if it is not what it was `before`, or changes meanwhile.
pub fn read_all(
    file: &OwnedFd,
    before: &Stat,
    path: &[u8],
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let fail = |errno| Error::kernel("read", super::path::shown(path), errno);
    let mut length = 0u64;
    let size = u64::try_from(before.st_size).unwrap_or(0);
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(file, &mut *buffer)).map_err(fail)?;
        if count == 0 {
            break;
        }
        take(&buffer[..count])?;
        length += count as u64;
        if length >= size && count < buffer.len() {
            break;
        }
    }
    let after = rustix::fs::fstat(file).map_err(fail)?;
    let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_size);
    if length != size || times(before) != times(&after) {
        let reason = "it changed while it was read";
        return Err(Error::new(Kind::State, "read", super::path::shown(path), reason));
    }
    Ok(())
}

/// Extended attributes: names and values.
pub type Attributes = Vec<(CString, Vec<u8>)>;

/// The extended attributes that travel with a copy, sorted: file capabilities and the user's own.
pub fn attributes(file: &OwnedFd) -> rustix::io::Result<Attributes> {
    let mut list = [0u8; 1024];
    let names = match rustix::fs::flistxattr(file, &mut list[..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(length) => list[..length].to_vec(),
        Err(Errno::RANGE) => {
            let mut list = vec![0; XATTRS_MAX];
            let length = rustix::fs::flistxattr(file, &mut list[..])?;
            list.truncate(length);
            list
        }
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    for name in names.split(|&byte| byte == 0) {
        let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
        if !is_users && name != b"security.capability" {
            continue;
        }
        let name = CString::new(name).unwrap_or_default();
        match value(file, &name) {
            Err(Errno::NODATA) => {} // gone meanwhile
            other => found.push((name, other?)),
        }
    }
    found.sort();
    Ok(found)
}

fn value(file: &OwnedFd, name: &CStr) -> rustix::io::Result<Vec<u8>> {
    let mut value = vec![0; XATTRS_MAX];
    let length = rustix::fs::fgetxattr(file, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}
