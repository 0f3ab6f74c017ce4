//! A tmpfs that begins with a copy of the directory it covers (podman's `tmpcopyup`).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use pyctr_init::sys;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::sys::own;
use crate::{Error, Result};

/// Deeper trees than this are refused: the copy recurses.
const MAX_DEPTH: usize = 256;

/// Makes a detached tmpfs holding a copy of `target` as the root file system has it.
pub fn tmpfs(root: BorrowedFd<'_>, target: &CStr, data: &[String], attributes: u64) -> Result<OwnedFd> {
    let object = target.to_string_lossy().into_owned();
    let fail = |errno| Error::kernel("copy up to a tmpfs on", &object, errno);
    let fs = own(sys::fsopen(c"tmpfs")).map_err(fail)?;
    for option in data {
        configure(&fs, option).map_err(fail)?;
    }
    sys::fsconfig_create(fs.as_raw_fd()).map_err(|errno| fail(crate::sys::errno_of(errno)))?;
    // Read-only is for the container, not for us: set after the copy.
    let mount = own(sys::fsmount(fs.as_raw_fd(), attributes & !sys::attr::RDONLY)).map_err(fail)?;
    match super::open_in_root(root, Path::new(&object), sys::open::RDONLY | sys::open::DIRECTORY) {
        Ok(source) => {
            let copy =
                rustix::fs::openat(&mount, c".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
            copy_attributes(&source, &copy).map_err(fail)?;
            copy_directory(&source, &copy, 0).map_err(fail)?;
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail(errno)),
    }
    super::set_attributes(&mount, false, attributes & sys::attr::RDONLY, 0).map_err(fail)?;
    Ok(mount)
}

fn configure(fs: &OwnedFd, option: &str) -> rustix::io::Result<()> {
    let raw = fs.as_raw_fd();
    let c = |text: &str| CString::new(text).map_err(|_| Errno::INVAL);
    match option.split_once('=') {
        Some((key, value)) => sys::fsconfig_string(raw, &c(key)?, &c(value)?),
        None => sys::fsconfig_flag(raw, &c(option)?),
    }
    .map_err(crate::sys::errno_of)
}

fn copy_attributes(source: &OwnedFd, copy: &OwnedFd) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(source)?;
    rustix::fs::fchown(copy, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o7777))
}

fn copy_directory(source: &OwnedFd, copy: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::LOOP);
    }
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        copy_entry(source.as_fd(), copy.as_fd(), name, depth)?;
    }
    Ok(())
}

fn copy_entry(source: BorrowedFd<'_>, copy: BorrowedFd<'_>, name: &CStr, depth: usize) -> rustix::io::Result<()> {
    let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(copy, name, Mode::RWXU)?;
            let from = rustix::fs::openat(source, name, flags | OFlags::DIRECTORY, Mode::empty())?;
            let to = rustix::fs::openat(copy, name, flags | OFlags::DIRECTORY, Mode::empty())?;
            copy_directory(&from, &to, depth + 1)?;
            copy_attributes(&from, &to)
        }
        FileType::RegularFile => {
            let from = rustix::fs::openat(source, name, flags, Mode::empty())?;
            let to =
                rustix::fs::openat(copy, name, flags | OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY, Mode::RUSR)?;
            while rustix::fs::sendfile(&to, &from, None, 1 << 20)? > 0 {}
            copy_attributes(&from, &to)
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(source, name, Vec::new())?;
            rustix::fs::symlinkat(&target, copy, name)?;
            rustix::fs::chownat(copy, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
        // Sockets and devices of an image have no business in a scratch directory.
        _ => Ok(()),
    }
}
