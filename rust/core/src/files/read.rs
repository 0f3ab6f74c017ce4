//! Many small files of one directory's subdirectories: read by descriptor, one after the other.

use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result, retry_on_intr};

const CHUNK_BYTES: usize = 64 << 10;

/// Reads files through one buffer, so that a small one costs three system calls and one copy.
pub struct Reader<'a> {
    directory: BorrowedFd<'a>,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Reads below `directory`.
    pub fn new(directory: BorrowedFd<'a>) -> Self {
        Self { directory, buffer: vec![0; CHUNK_BYTES] }
    }

    /// A file's content; None if it is not there.
    pub fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>> {
        let file = match rustix::fs::openat(self.directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let mut content = Vec::new();
        loop {
            let count = retry_on_intr(|| rustix::io::read(&file, &mut self.buffer))?;
            content.extend_from_slice(&self.buffer[..count]);
            if count < CHUNK_BYTES {
                return Ok(Some(content)); // a regular file's short read is its end
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn files_of_any_size_are_whole_and_a_missing_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::open(dir.path()).unwrap();
        let mut reader = Reader::new(file.as_fd());
        for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let content: Vec<u8> = (0..size).map(|number| u8::try_from(number % 251).unwrap()).collect();
            std::fs::write(dir.path().join("file"), &content).unwrap();
            assert_eq!(reader.read("file").unwrap(), Some(content));
        }
        assert_eq!(reader.read("missing").unwrap(), None);
        assert_eq!(reader.read("."), Err(Errno::ISDIR));
    }
}
