//! Being told that something in a directory changed.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use crate::{Error, Result};

/// A descriptor that becomes readable when a file in a directory is written, made, renamed or removed, or the directory goes
/// (inotify(7)). Reading never waits; what is read says nothing a look at the directory does not.
pub fn watch_directory(path: &Path) -> Result<OwnedFd> {
    let changes = WatchFlags::MODIFY
        | WatchFlags::CREATE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::ONLYDIR;
    init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .and_then(|fd| add_watch(&fd, path, changes).map(|_| fd))
        .map_err(|errno| Error::kernel("watch", path, errno))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn test_watch_directory_changes_are_told_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("file"), dir.path().join("other"));
        let watch = watch_directory(dir.path()).unwrap();
        let told = || {
            let read = rustix::io::read(&watch, &mut [0u8; 4096][..]);
            assert!(matches!(read, Ok(1..) | Err(Errno::AGAIN)));
            read.is_ok()
        };
        assert!(!told());
        std::fs::write(&file, "one").unwrap();
        assert!(told());
        std::fs::read(&file).unwrap();
        assert!(!told());
        std::fs::rename(&file, &other).unwrap();
        assert!(told());
        std::fs::remove_file(&other).unwrap();
        assert!(told());
        dir.close().unwrap();
        assert!(told());
    }

    #[test]
    fn test_watch_directory_missing_or_no_directory_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(watch_directory(file.path()).unwrap_err().errno, Some(Errno::NOTDIR));
        assert_eq!(watch_directory(Path::new("/nonexistent")).unwrap_err().errno, Some(Errno::NOENT));
    }
}
