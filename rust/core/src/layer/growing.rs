//! A file that is still written, read as it grows: how a layer is unpacked while it is downloaded.
//!
//! Bytes go through the file, which stays as the blob (or as what the next pull resumes); only news of them goes through
//! a pipe. So the network never waits for the unpacking, and nothing is copied twice.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

/// The writer's word for: no more comes, give up.
pub const ABORT: u8 = b'x';

/// Reads a file to its end, waits for news, reads on; ends when the pipe does.
#[derive(Debug)]
pub struct Growing {
    file: File,
    news: OwnedFd,
    whole: bool,
}

impl Growing {
    /// Reads `file` from where it stands; `news` is the reading end of the writer's pipe.
    pub fn new(file: File, news: OwnedFd) -> Self {
        Self { file, news, whole: false }
    }

    fn wait(&mut self) -> std::io::Result<()> {
        let mut words = [0; 4096];
        loop {
            match rustix::io::read(self.news.as_fd(), &mut words) {
                Ok(0) => {
                    self.whole = true;
                    return Ok(());
                }
                Ok(count) if words[..count].contains(&ABORT) => {
                    return Err(std::io::Error::other("the transfer was given up"));
                }
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Read for Growing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let whole = self.whole; // said before this read: what it does not find is not there
            let count = self.file.read(buffer)?;
            if count > 0 || whole || buffer.is_empty() {
                return Ok(count);
            }
            self.wait()?;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    fn growing() -> (File, OwnedFd, Growing) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reader = file.reopen().unwrap();
        let (news, writer) = rustix::pipe::pipe().unwrap();
        (file.into_file(), writer, Growing::new(reader, news))
    }

    #[test]
    fn what_is_written_later_is_read() {
        let (mut file, news, mut growing) = growing();
        file.write_all(b"first ").unwrap();
        let writer = std::thread::spawn(move || {
            for _ in 0..100 {
                file.write_all(b"more ").unwrap();
                rustix::io::write(&news, b".").unwrap();
            }
            file.write_all(b"last").unwrap(); // without news: the end of the pipe is enough
        });
        let mut text = String::new();
        growing.read_to_string(&mut text).unwrap();
        writer.join().unwrap();
        assert_eq!(text, format!("first {}last", "more ".repeat(100)));
    }

    #[test]
    fn a_transfer_given_up_is_an_error() {
        let (mut file, news, mut growing) = growing();
        file.write_all(b"half").unwrap();
        rustix::io::write(&news, b"..x").unwrap();
        let error = growing.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("given up"), "{error}");
    }
}
