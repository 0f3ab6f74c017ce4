//! A file that is either the old one or the new one, whatever happens in between.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::temporary_name;
use crate::{Error, Result};

/// Writes a file by way of a temporary one beside it; a link of that name is replaced, not followed.
///
/// `mode` is exact, whatever the umask. With `sync` it has reached the disk when this returns, its name too.
pub fn write_atomic(path: &Path, data: &[u8], mode: u32, sync: bool) -> Result<()> {
    let fail = |errno| Error::kernel("write", path, errno);
    let name = path.file_name().ok_or_else(|| fail(Errno::INVAL))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let (temporary, file) = create(directory.as_fd()).map_err(fail)?;
    let result = fill(&file, data, mode, sync)
        .and_then(|()| rustix::fs::renameat(&directory, &temporary, &directory, name))
        .and_then(|()| if sync { rustix::fs::fsync(&directory) } else { Ok(()) });
    if result.is_err() {
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
    }
    result.map_err(fail)
}

/// A new file of a name nobody else has.
fn create(directory: BorrowedFd<'_>) -> rustix::io::Result<(String, OwnedFd)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let name = temporary_name();
        match rustix::fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR) {
            Err(Errno::EXIST) => {}
            other => return other.map(|file| (name, file)),
        }
    }
}

fn fill(file: &OwnedFd, mut data: &[u8], mode: u32, sync: bool) -> rustix::io::Result<()> {
    while !data.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, data))?;
        data = &data[written..];
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    if sync { rustix::fs::fsync(file) } else { Ok(()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn link_is_replaced_and_nothing_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("victim"), "old").unwrap();
        std::os::unix::fs::symlink("victim", dir.path().join("name")).unwrap();
        write_atomic(&dir.path().join("name"), b"new", 0o644, true).unwrap();
        assert_eq!(std::fs::read(dir.path().join("victim")).unwrap(), b"old");
        let metadata = dir.path().join("name").symlink_metadata().unwrap();
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o7777 == 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("name/full")).unwrap();
        assert!(write_atomic(&dir.path().join("name"), b"x", 0o600, false).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomic(&dir.path().join("missing/name"), b"x", 0o600, false).is_err());
    }
}
