//! A directory tree being written: every name is resolved by descriptor and never leaves the root.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pyctr_init::sys;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::digest::corrupt;
use crate::{Error, Result};

/// Parent directories held open: archives come directory by directory.
const CACHE_MAX: usize = 64;

/// A member's name as components; never `..`, never empty ones.
pub fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    let mut parts = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let shown = String::from_utf8_lossy(path).into_owned();
                return Err(corrupt("archive", format!("member {shown:?} leads out of its directory")));
            }
            part if part.len() > 255 => return Err(corrupt("archive", "a name is longer than 255 bytes")),
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// A component as a C string.
pub fn c_name(name: &[u8]) -> Result<CString> {
    CString::new(name).map_err(|_| corrupt("archive", "NUL in a name"))
}

/// The root, and parents open below it.
#[derive(Debug)]
pub struct Tree<'fd> {
    root: BorrowedFd<'fd>,
    open: HashMap<Vec<u8>, OwnedFd>,
}

impl<'fd> Tree<'fd> {
    /// A tree at a directory.
    pub fn new(root: BorrowedFd<'fd>) -> Self {
        Self { root, open: HashMap::new() }
    }

    /// The root itself.
    pub fn root(&self) -> BorrowedFd<'fd> {
        self.root
    }

    /// The directory of these components; what is missing is made, mode 0755. Links on the way are followed as in a chroot.
    pub fn directory(&mut self, parts: &[&[u8]]) -> Result<BorrowedFd<'_>> {
        if parts.is_empty() {
            return Ok(self.root);
        }
        let key = parts.join(&b'/');
        if !self.open.contains_key(&key) {
            if self.open.len() >= CACHE_MAX {
                self.open.clear();
            }
            let directory = self.open_or_make(parts)?;
            self.open.insert(key.clone(), directory);
        }
        self.open
            .get(&key)
            .map(AsFd::as_fd)
            .ok_or_else(|| corrupt("archive", "a directory that was just opened is gone"))
    }

    fn open_or_make(&self, parts: &[&[u8]]) -> Result<OwnedFd> {
        let path = parts.join(&b'/');
        let fail = |errno| Error::kernel("open", Path::new(OsStr::from_bytes(&path)), errno);
        let flags = sys::open::PATH | sys::open::DIRECTORY;
        match self.resolve(&path, flags) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(fail),
        }
        for end in 1..=parts.len() {
            let part = parts[..end].join(&b'/');
            match self.resolve(&part, flags) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    let parent = self.resolve(&parts[..end - 1].join(&b'/'), flags).map_err(fail)?;
                    rustix::fs::mkdirat(&parent, OsStr::from_bytes(parts[end - 1]), Mode::from_raw_mode(0o755))
                        .map_err(fail)?;
                }
                Err(errno) => return Err(fail(errno)),
            }
        }
        self.resolve(&path, flags).map_err(fail)
    }

    /// Opens below the root; an empty path is the root.
    pub fn resolve(&self, path: &[u8], flags: i32) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { &b"."[..] } else { path };
        super::super::rootfs::open_in_root(self.root, Path::new(OsStr::from_bytes(path)), flags)
    }

    /// Forgets open directories: one of them is about to go.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}

/// Removes what has a name, whatever it is; a directory with all that is in it.
pub fn remove(parent: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            remove(directory.as_fd(), &entry.file_name().to_owned())?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// What has a name, without following it.
pub fn kind_of(parent: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<Option<(FileType, u64)>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_rdev))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A path to what a descriptor stands for, for system calls that take only paths.
pub fn path_of(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn components_never_lead_out() {
        assert_eq!(components(b"./a//b/").unwrap(), [b"a", b"b"]);
        assert_eq!(components(b"/etc/x").unwrap(), [&b"etc"[..], b"x"]);
        assert!(components(b"..").is_err() && components(b"a/../b").is_err());
    }
}
