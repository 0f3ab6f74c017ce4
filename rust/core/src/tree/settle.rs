//! An overlay's upper directory made what extracting the layer packed of it would give, so that it can be that layer.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::node::names;
use super::path::{DIRECTORY, failed};
use crate::Result;

/// What overlay notes of where a copy came from; only `opaque` means something in a layer below.
const NOTES: [&CStr; 6] = [
    c"trusted.overlay.origin",
    c"trusted.overlay.impure",
    c"trusted.overlay.nlink",
    c"user.overlay.origin",
    c"user.overlay.impure",
    c"user.overlay.nlink",
];

/// Whole seconds, none later than `clamp`, and nothing of overlay's but opaque marks and whiteouts.
///
/// What is in `settled` is that already: a directory that a copy filled behind the overlay's back ([`super::Copied::direct`]).
pub fn settle(upper: &OwnedFd, clamp: Option<i64>, settled: Option<&[u8]>) -> Result<()> {
    for (name, kind) in names(upper).map_err(failed("read", b"upper"))? {
        let below = settled.and_then(|path| below(path, &name));
        entry(upper.as_fd(), &name, kind, clamp, below)?;
    }
    forget(upper.as_fd(), c".").map_err(failed("settle", b"upper"))?;
    times(upper.as_fd(), c".", clamp).map_err(failed("settle", b"upper"))
}

/// What is left of a path behind its first name, if that is `name`.
fn below<'a>(path: &'a [u8], name: &CStr) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(name.to_bytes())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

/// `settled` is a path from here; an empty one is this directory.
fn entry(
    parent: BorrowedFd<'_>,
    name: &CStr,
    kind: FileType,
    clamp: Option<i64>,
    settled: Option<&[u8]>,
) -> Result<()> {
    let fail = failed("settle", name.to_bytes());
    if kind == FileType::Directory && settled.is_none_or(|path| !path.is_empty()) {
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        for (child, kind) in names(&directory).map_err(&fail)? {
            entry(directory.as_fd(), &child, kind, clamp, settled.and_then(|path| below(path, &child)))?;
        }
    }
    // No time of a deletion is recorded.
    if kind != FileType::CharacterDevice {
        forget(parent, name).map_err(&fail)?;
        times(parent, name, clamp).map_err(&fail)?;
    }
    Ok(())
}

fn forget(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let path = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name.to_bytes()].concat();
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    let mut list = [0u8; 1024];
    match rustix::fs::llistxattr(&path, &mut list[..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        Ok(_) | Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    for note in NOTES {
        match rustix::fs::lremovexattr(&path, note) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn times(parent: BorrowedFd<'_>, name: &CStr, clamp: Option<i64>) -> rustix::io::Result<()> {
    let stat: Stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let seconds = clamp.map_or(stat.st_mtime, |latest| stat.st_mtime.min(latest));
    if seconds == stat.st_mtime && stat.st_mtime_nsec == 0 {
        return Ok(());
    }
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
