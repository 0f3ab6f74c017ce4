//! Removal of trees: never through a link, never across a mount, with few descriptors however deep the tree is.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::temporary_name;
use crate::{Error, Kind, Result};

/// Below this depth directories are moved up and emptied from there: an image may nest them beyond any limit on
/// descriptors, and beyond the length of a path.
const DEPTH_MAX: usize = 32;

/// Removes a directory and all that is in it, or only what is in it. What does not exist is removed already.
///
/// A name that is no directory is removed as what it is, unless `contents_only`. Fails with `EBUSY` at a mount point.
pub fn remove_tree(path: &Path, contents_only: bool) -> Result<()> {
    let fail = |errno| Error::kernel("remove", path, errno);
    // The last name without its slashes: openat follows a link that has one behind it.
    let name = path.file_name().ok_or_else(|| fail(Errno::INVAL))?;
    let name = CString::new(name.as_bytes()).map_err(|_| fail(Errno::INVAL))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = match rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(fail)?,
    };
    if !contents_only {
        return remove_entry(parent.as_fd(), &name).map_err(fail);
    }
    match open(parent.as_fd(), &name) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(Error::new(Kind::InvalidArgument, "empty", path, "not a directory")),
        other => other.and_then(empty).map_err(fail),
    }
}

/// Removes what has a name, whatever it is; a directory with all that is in it. What does not exist is removed already.
pub fn remove_entry(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    loop {
        match open(parent, name) {
            Err(Errno::NOENT) => return Ok(()),
            other => empty(other?)?,
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {} // somebody wrote into it meanwhile
            Err(errno) => return Err(errno),
        }
    }
}

/// Opens a directory below another unless something else is mounted there; a bind mount of the same device counts.
fn open(parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    loop {
        match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
            Err(Errno::XDEV) => return Err(Errno::BUSY),
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

fn empty(directory: OwnedFd) -> rustix::io::Result<()> {
    let mut entries = Dir::new(directory)?;
    loop {
        let mut again = false;
        empty_below(&mut entries, None, 0, &mut again)?;
        if !again {
            return Ok(());
        }
        entries.rewind();
    }
}

/// One pass over a directory; `top`, None for itself, is where directories too deep are moved to.
fn empty_below(
    entries: &mut Dir,
    top: Option<BorrowedFd<'_>>,
    depth: usize,
    again: &mut bool,
) -> rustix::io::Result<()> {
    while let Some(entry) = entries.read() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let here = entries.fd()?;
        match rustix::fs::unlinkat(here, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(errno),
        }
        let top = top.unwrap_or(here);
        if depth >= DEPTH_MAX {
            move_up(here, name, top)?;
            *again = true;
            continue;
        }
        match open(here, name) {
            Err(Errno::NOENT) => continue,
            other => empty_below(&mut Dir::new(other?)?, Some(top), depth + 1, again)?,
        }
        match rustix::fs::unlinkat(here, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => *again = true, // somebody wrote into it meanwhile
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn move_up(from: BorrowedFd<'_>, name: &CStr, top: BorrowedFd<'_>) -> rustix::io::Result<()> {
    loop {
        match rustix::fs::renameat(from, name, top, temporary_name()) {
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {} // the tree has that very name already
            other => return other,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn links_are_removed_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("kept/below")).unwrap();
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        std::os::unix::fs::symlink("../kept", dir.path().join("tree/link")).unwrap();
        std::os::unix::fs::symlink("kept", dir.path().join("link")).unwrap();
        remove_tree(&dir.path().join("tree/"), false).unwrap();
        assert!(remove_tree(&dir.path().join("link/"), true).is_err());
        remove_tree(&dir.path().join("link/"), false).unwrap();
        assert!(dir.path().join("kept/below").is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        remove_tree(&dir.path().join("missing/too"), false).unwrap();
    }

    #[test]
    fn deep_tree_is_removed_with_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut current = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        for _ in 0..5000 {
            rustix::fs::mkdirat(&current, "d", Mode::RWXU).unwrap();
            current = rustix::fs::openat(&current, "d", flags, Mode::empty()).unwrap();
        }
        std::fs::write(dir.path().join("d/file"), "x").unwrap();
        remove_tree(dir.path(), true).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn mounts_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        // In a namespace of a thread of its own, so that no mount outlives the test.
        let path = dir.path().to_owned();
        let skipped = std::thread::spawn(move || {
            const CLONE_NEWNS: u32 = 0x2_0000;
            if pyctr_init::sys::unshare(CLONE_NEWNS).is_err() {
                return true;
            }
            let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
            rustix::mount::mount_change("/", private).unwrap();
            std::fs::create_dir_all(path.join("tree/mounted")).unwrap();
            std::fs::create_dir(path.join("kept")).unwrap();
            std::fs::write(path.join("kept/file"), "x").unwrap();
            rustix::mount::mount_bind(path.join("kept"), path.join("tree/mounted")).unwrap();
            let error = remove_tree(&path.join("tree"), false).unwrap_err();
            assert_eq!(error.errno, Some(Errno::BUSY));
            assert!(path.join("kept/file").exists());
            false
        });
        if skipped.join().unwrap() {
            println!("skipped: needs the right to unshare");
        }
    }
}
