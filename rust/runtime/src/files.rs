//! Small files: bounded reads, atomic writes, descriptors handed over a socket.

use std::fs::File;
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use pyctr_core::{Error, Result};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// Reads a whole file; what is longer than `limit` bytes is read one byte beyond it, for the caller to refuse.
pub fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::kernel("open", path, errno))?;
    read_all(&mut File::from(file), limit).map_err(|error| Error::io("read", path, &error))
}

/// As [`read_bounded`], of a file that is open.
pub fn read_all(source: &mut impl Read, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(16 << 10);
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file in a directory so that readers see the old one or the new one.
pub fn replace(directory: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = format!(".{name}.tmp");
    create(directory, &temporary, bytes)?;
    rustix::fs::renameat(directory, temporary.as_str(), directory, name)
        .map_err(|errno| Error::kernel("rename", name, errno))
}

/// Writes a new file, mode 0600.
pub fn create(directory: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| Error::kernel("create", name, errno))?;
    write_all(&file, bytes).map_err(|errno| Error::kernel("write", name, errno))
}

/// Writes everything.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes a pid file, atomically: who waits for it must not read half a number.
pub fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let Some(name) = path.file_name() else { return Err(Error::invalid("write pid file", path, "is not a file name")) };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    let temporary = path.with_file_name(temporary);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(CWD, &temporary, flags, Mode::from_raw_mode(0o666))
        .and_then(|file| write_all(file, pid.to_string().as_bytes()))
        .and_then(|()| rustix::fs::rename(&temporary, path))
        .map_err(|errno| Error::kernel("write pid file", path, errno))
}

/// Connects to a unix socket.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let address = SocketAddrUnix::new(path).map_err(|errno| Error::kernel("connect to", path, errno))?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| Error::kernel("make a socket for", path, errno))?;
    rustix::net::connect(&socket, &address).map_err(|errno| Error::kernel("connect to", path, errno))?;
    Ok(socket)
}

/// Sends a descriptor in runc's form: one message whose bytes are the descriptor's name (containerd's and conmon's
/// receivers read name and descriptor in one recvmsg).
pub fn send_descriptor(socket: impl AsFd, name: &str, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(rustix::io::Errno::NOBUFS);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(name.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_read_bounded_reads_one_byte_beyond_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 10).unwrap(), b"12345");
        assert_eq!(read_bounded(&path, 3).unwrap(), b"1234");
        assert!(
            read_bounded(&directory.path().join("none"), 3)
                .unwrap_err()
                .to_string()
                .ends_with("none: No such file or directory")
        );
    }

    #[test]
    fn test_write_pid_leaves_the_number_alone_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        write_pid(&path, 123).unwrap();
        write_pid(&path, 7).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"7");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn test_replace_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let handle = File::open(directory.path()).unwrap();
        replace(handle.as_fd(), "a", b"1").unwrap();
        replace(handle.as_fd(), "a", b"2").unwrap();
        assert_eq!(std::fs::read(directory.path().join("a")).unwrap(), b"2");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
