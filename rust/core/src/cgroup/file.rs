//! Reading, writing, making and removing what lies in a control-group file system, in as few system calls as that takes.
//!
//! Paths are absolute strings: resolving six components of a kernfs path costs less than opening and closing a descriptor
//! of the directory first, and nobody but the host's administrator can rename anything in them.

use std::io;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// Writes a value in one write(2), as the kernel's handlers demand; three system calls.
pub(super) fn write(path: &str, value: &str) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write_open(&file, value)
}

/// Writes a value to a file that is open already.
pub(super) fn write_open(file: impl std::os::fd::AsFd, value: &str) -> rustix::io::Result<()> {
    let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, value.as_bytes()))?;
    if written == value.len() { Ok(()) } else { Err(Errno::IO) }
}

/// Reads a whole file.
pub(super) fn read(path: &str) -> rustix::io::Result<String> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_open(file)
}

/// Reads the rest of an open file.
pub(super) fn read_open(file: impl std::os::fd::AsFd) -> rustix::io::Result<String> {
    let mut text = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut chunk))?;
        if count == 0 {
            return String::from_utf8(text).map_err(|_| Errno::ILSEQ);
        }
        text.extend_from_slice(&chunk[..count]);
    }
}

/// Reads a file that may be missing because the kernel lacks what it shows.
pub(super) fn read_optional(path: &str) -> Result<Option<String>> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT | Errno::OPNOTSUPP | Errno::NODEV) => Ok(None),
        Err(errno) => Err(Error::kernel("read", path, errno)),
    }
}

/// Reads a file holding one number; `max` is `u64::MAX`; a missing file is None.
pub(super) fn read_number(path: &str) -> Result<Option<u64>> {
    let Some(text) = read_optional(path)? else {
        return Ok(None);
    };
    match text.trim() {
        // v1 prints -1 for an unlimited quota.
        "max" | "-1" => Ok(Some(u64::MAX)),
        number => number
            .parse()
            .map(Some)
            .map_err(|_| Error::new(crate::Kind::Corrupt, "read", path, format!("not a number: {number}"))),
    }
}

/// The value after a key in lines of `key value`.
pub(super) fn keyed_number(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Makes a directory; says whether it is new.
pub(super) fn make_directory(path: &str) -> rustix::io::Result<bool> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Removes an empty directory.
pub(super) fn remove_directory(path: &str) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

/// The names of a group's children; one stat(2) where it has none, since kernfs counts subdirectories as links.
pub(super) fn children(path: &str) -> rustix::io::Result<Vec<String>> {
    if rustix::fs::stat(path)?.st_nlink == 2 {
        return Ok(Vec::new());
    }
    let io_errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io_errno)? {
        let entry = entry.map_err(io_errno)?;
        if entry.file_type().map_err(io_errno)?.is_dir() {
            names.push(entry.file_name().into_string().map_err(|_| Errno::ILSEQ)?);
        }
    }
    Ok(names)
}

/// How often a busy directory is tried again: 20 doublings from 50 µs, capped at 100 ms, are 1.3 s.
const REMOVE_ATTEMPTS: u32 = 20;

/// Removes a group and the groups below it, waiting for processes that are just dying; a missing one is removed already.
pub(super) fn remove_tree(path: &str) -> Result<()> {
    let mut delay = Duration::from_micros(50);
    for attempt in 0..=REMOVE_ATTEMPTS {
        match remove_directory(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) if attempt < REMOVE_ATTEMPTS => {}
            Err(errno) => {
                // A read-only mount answers EROFS for a missing directory too.
                if rustix::fs::access(path, rustix::fs::Access::EXISTS) == Err(Errno::NOENT) {
                    return Ok(());
                }
                return Err(Error::kernel("remove control group", path, errno));
            }
        }
        match children(path) {
            Ok(names) if names.is_empty() => {
                std::thread::sleep(delay);
                delay = (delay * 2).min(Duration::from_millis(100));
            }
            Ok(names) => {
                for name in names {
                    remove_tree(&format!("{path}/{name}"))?;
                }
            }
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::kernel("list control group", path, errno)),
        }
    }
    Err(Error::kernel("remove control group", path, Errno::BUSY))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_keyed_number_of_several_lines_finds_the_exact_key() {
        let text = "oom 3\noom_kill 5\noom_group_kill 7\n";
        assert_eq!(keyed_number(text, "oom_kill"), Some(5));
        assert_eq!(keyed_number(text, "oom"), Some(3));
        assert_eq!(keyed_number(text, "max"), None);
    }

    #[test]
    fn test_read_number_max_and_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pids.max");
        let path = path.to_str().unwrap();
        assert_eq!(read_number(path).unwrap(), None);
        std::fs::write(path, "max\n").unwrap();
        assert_eq!(read_number(path).unwrap(), Some(u64::MAX));
        std::fs::write(path, "12\n").unwrap();
        assert_eq!(read_number(path).unwrap(), Some(12));
        std::fs::write(path, "twelve\n").unwrap();
        assert!(read_number(path).is_err());
    }

    #[test]
    fn test_remove_tree_with_nested_directories_removes_all() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("a");
        std::fs::create_dir_all(top.join("b/c")).unwrap();
        remove_tree(top.to_str().unwrap()).unwrap();
        assert!(!top.exists());
        remove_tree(top.to_str().unwrap()).unwrap();
    }
}
