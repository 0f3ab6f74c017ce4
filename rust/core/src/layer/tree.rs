//! A directory tree being written: every name is resolved by descriptor and never leaves the root.
//!
//! A parent that is a symbolic link of the same layer is followed as in a chroot at the root, which is where Docker extracts;
//! nothing is ever followed as the last name.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

use super::Whiteouts;
use super::digest::corrupt;
use crate::{Error, Kind, Result};

/// Parent directories held open: archives come directory by directory.
const CACHE_MAX: usize = 64;
const PARENT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A directory opened for its attributes, never through a link.
pub const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

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
            part => parts.push(part),
        }
    }
    Ok(parts)
}

/// A component as a C string.
pub fn c_name(name: &[u8]) -> Result<CString> {
    CString::new(name).map_err(|_| corrupt("archive", "NUL in a name"))
}

/// A failure to do something to a member of an archive.
///
/// Where only the archive can be at fault, a name too long or a file where it says a directory is, the kind says so.
pub fn failed<'a>(path: &'a [u8], operation: &'a str) -> impl Fn(Errno) -> Error + 'a {
    move |errno| {
        let error = Error::kernel(operation, String::from_utf8_lossy(path).into_owned(), errno);
        let is_archives = matches!(
            errno,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::EXIST | Errno::ISDIR
        );
        if is_archives { error.with_kind(Kind::Corrupt) } else { error }
    }
}

/// The root, and parents open below it.
#[derive(Debug)]
pub struct Tree<'fd> {
    root: BorrowedFd<'fd>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
    whiteouts: Whiteouts,
    /// Whether what is mounted below the root is entered.
    pub crosses_mounts: bool,
    /// Directories made because something lies in them.
    pub implied: u64,
}

impl<'fd> Tree<'fd> {
    /// A tree at a directory.
    pub fn new(root: BorrowedFd<'fd>, whiteouts: Whiteouts) -> Self {
        Self { root, open: HashMap::new(), whiteouts, crosses_mounts: false, implied: 0 }
    }

    /// The directory of these components, only to look up in. What is missing is made: root's, mode 0755, as Docker does.
    pub fn directory(&mut self, parts: &[&[u8]]) -> Result<Rc<OwnedFd>> {
        let key = parts.join(&b'/');
        if let Some(directory) = self.open.get(&key) {
            return Ok(Rc::clone(directory));
        }
        let directory = match self.resolve(&key, PARENT) {
            // NOTDIR: perhaps a whiteout this layer put there itself
            Err(Errno::NOENT | Errno::NOTDIR) => self.make(parts)?,
            other => other.map_err(failed(&key, "open"))?,
        };
        if self.open.len() >= CACHE_MAX {
            self.open.clear();
        }
        let directory = Rc::new(directory);
        self.open.insert(key, Rc::clone(&directory));
        Ok(directory)
    }

    /// The directory of these components, if it exists.
    pub fn existing_directory(&self, parts: &[&[u8]]) -> rustix::io::Result<OwnedFd> {
        self.resolve(&parts.join(&b'/'), PARENT)
    }

    /// Opens below the root; an empty path is the root.
    pub fn resolve(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { &b"."[..] } else { path };
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_XDEV, !self.crosses_mounts);
        loop {
            match rustix::fs::openat2(self.root, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => {} // somebody renames on this file system
                other => return other,
            }
        }
    }

    /// Walks down and makes what is missing.
    fn make(&mut self, parts: &[&[u8]]) -> Result<OwnedFd> {
        let mut current = self.resolve(b"", PARENT).map_err(failed(b".", "open"))?;
        for (depth, part) in parts.iter().enumerate() {
            let path = parts[..=depth].join(&b'/');
            let name = c_name(part)?;
            current = match rustix::fs::openat(&current, &name, PARENT | OFlags::NOFOLLOW, Mode::empty()) {
                Err(Errno::NOENT) => self.make_one(&current, &name, false).map_err(failed(&path, "make directory"))?,
                Err(Errno::NOTDIR | Errno::LOOP) => match lstat(&current, &name) {
                    Ok(Some(stat)) if is_whiteout(&stat) => {
                        rustix::fs::unlinkat(&current, &name, AtFlags::empty()).map_err(failed(&path, "replace"))?;
                        self.make_one(&current, &name, true).map_err(failed(&path, "make directory"))?
                    }
                    _ => self.resolve(&path, PARENT).map_err(failed(&path, "open"))?,
                },
                other => other.map_err(failed(&path, "open"))?,
            };
        }
        Ok(current)
    }

    fn make_one(&mut self, parent: &OwnedFd, name: &CStr, opaque: bool) -> rustix::io::Result<OwnedFd> {
        self.implied += 1;
        rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
        let stat = rustix::fs::fstat(&directory)?;
        // A set-group-id parent hands its group down.
        if rustix::process::geteuid().is_root() && (stat.st_uid, stat.st_gid) != (0, 0) {
            rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::ROOT))?;
        }
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
        if opaque {
            self.whiteouts.make_opaque(&directory)?;
        }
        Ok(directory)
    }

    /// Removes what is in the way of an entry, and forgets open directories: it may have been one, or a link to one.
    pub fn remove(&mut self, parent: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
        self.open.clear();
        crate::files::remove_entry(parent.as_fd(), name)
    }
}

/// What has a name, without following it.
pub fn lstat(parent: &OwnedFd, name: &CStr) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Whether it is overlay's mark of a deletion (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
pub fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// A path to what a descriptor stands for, for system calls that take only paths.
pub fn path_of(file: &OwnedFd) -> CString {
    let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
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
