//! The journal of events: whole lines appended by many processes, in a file that does not grow for ever (docs/events.md).

use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::{Error, Result};

/// From this size on the file is set aside, bytes.
const FULL: u64 = 4 << 20;

/// Appends one line, its end included, and sets a full journal aside as `PATH.1`.
pub fn append_journal(path: &Path, line: &[u8]) -> Result<()> {
    append(path, line, FULL).map_err(|errno| Error::kernel("write", path, errno))
}

fn append(path: &Path, line: &[u8], full: u64) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))?;
    // One call, so that lines of several writers never mix; less is written only where the disk is full.
    if rustix::io::retry_on_intr(|| rustix::io::write(&file, line))? < line.len() {
        let _ = rustix::io::retry_on_intr(|| rustix::io::write(&file, b"\n"));
        return Err(rustix::io::Errno::NOSPC);
    }
    let ours = rustix::fs::fstat(&file)?;
    let size = u64::try_from(ours.st_size).unwrap_or(0);
    if size < full || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    // Another may have set it aside between our open and our lock: the name has to be this very file's still.
    let named = rustix::fs::lstat(path)?;
    if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino) {
        return Ok(());
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    rustix::fs::rename(path, aside)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_append_full_journal_is_set_aside_once_and_no_line_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..100 {
                        append(path, format!("{writer} {number} {}\n", "x".repeat(32)).as_bytes(), 12_000).unwrap();
                    }
                });
            }
        });
        let lines = |name: &str| -> Vec<String> {
            std::fs::read_to_string(dir.path().join(name)).unwrap().lines().map(str::to_owned).collect()
        };
        let (old, new) = (lines("events.jsonl.1"), lines("events.jsonl"));
        assert_eq!(old.len() + new.len(), 400);
        assert!(old.iter().chain(&new).all(|line| line.ends_with(&"x".repeat(32))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn test_append_journal_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(append_journal(&dir.path().join("missing/events"), b"x\n").is_err());
        std::os::unix::fs::symlink("elsewhere", dir.path().join("link")).unwrap();
        assert!(append_journal(&dir.path().join("link"), b"x\n").is_err());
    }
}
