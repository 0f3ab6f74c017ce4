//! Content-addressed files: hashed while they are written, given their name when they are whole and right.

use std::ffi::CString;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::digest::{Digest, Expected, Hasher, corrupt};
use super::tree::path_of;
use crate::files::temporary_name;
use crate::{Error, Result};

const BUFFER_BYTES: usize = 256 * 1024;
/// What is not longer, a manifest or a config, is compared with what has its name already.
const COMPARED_MAX: usize = 64 * 1024;

/// A blob that lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest, which is its name.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

/// A file in the making: without a name where the file system can, so that a crash leaves nothing, else with a hidden one.
#[derive(Debug)]
pub struct Draft<'fd> {
    directory: BorrowedFd<'fd>,
    file: OwnedFd,
    name: Option<String>,
}

/// Whether a blob has its name only when it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It survives a power cut.
    Synced,
    /// Who asked for it syncs the file system later, and until then trusts it no longer than this boot.
    Later,
}

/// Writes what `source` gives into `directory` under its digest. Idempotent; returns only when stored.
///
/// Fails with kind Corrupt, and leaves nothing, if it is longer than `max_bytes` or not what is expected.
pub fn store(
    source: &mut impl Read,
    directory: BorrowedFd<'_>,
    expected: Expected,
    max_bytes: u64,
    durability: Durability,
) -> Result<Blob> {
    let mut draft = Draft::new(directory)?;
    let max_bytes = max_bytes.min(expected.size.unwrap_or(u64::MAX));
    let (digest, size) =
        read_all(source, max_bytes, |data| draft.write_all(data).map_err(|error| Error::io("write", "blob", &error)))?;
    expected.check("blob", &digest, size)?;
    draft.publish(&digest, durability)?;
    Ok(Blob { digest, size })
}

/// The digest and length of what `source` gives.
pub fn digest_of(source: &mut impl Read) -> Result<(Digest, u64)> {
    read_all(source, u64::MAX, |_| Ok(()))
}

fn read_all(
    source: &mut impl Read,
    max_bytes: u64,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<(Digest, u64)> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_none() => return Err(corrupt("blob", error.to_string())),
            Err(error) => return Err(Error::io("read", "blob", &error)),
        };
        hasher.update(&buffer[..count]);
        if hasher.length > max_bytes {
            return Err(corrupt("blob", format!("is larger than {max_bytes} bytes")));
        }
        take(&buffer[..count])?;
    }
    let size = hasher.length;
    Ok((hasher.finish(), size))
}

impl<'fd> Draft<'fd> {
    /// An empty one, to lie in `directory`.
    pub fn new(directory: BorrowedFd<'fd>) -> Result<Self> {
        Self::create(directory).map_err(|errno| Error::kernel("create", "blob", errno))
    }

    /// Gives it the name of what was written. The digest is the caller's word.
    pub fn publish(mut self, digest: &Digest, durability: Durability) -> Result<()> {
        self.name_it(&digest.hex(), durability).map_err(|errno| Error::kernel("store blob", digest.to_string(), errno))
    }

    fn create(directory: BorrowedFd<'fd>) -> rustix::io::Result<Self> {
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        match rustix::fs::openat(directory, c".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Self { directory, file, name: None }),
            // open(2): a file system without O_TMPFILE says one of these.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let name = temporary_name();
                let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = rustix::fs::openat(directory, &name, flags, mode)?;
                Ok(Self { directory, file, name: Some(name) })
            }
            Err(errno) => Err(errno),
        }
    }

    fn name_it(&mut self, name: &str, durability: Durability) -> rustix::io::Result<()> {
        let is_synced = durability == Durability::Synced;
        // Who holds a lock on it goes on holding it: what is the same is left as it is.
        let same = self.same_as(name)?;
        if is_synced {
            rustix::fs::fsync(same.as_ref().unwrap_or(&self.file))?;
        }
        if same.is_none() {
            self.take(name)?;
        }
        if is_synced { rustix::fs::fsync(self.directory) } else { Ok(()) }
    }

    /// What has the name, if it is a small file and has the same content.
    fn same_as(&self, name: &str) -> rustix::io::Result<Option<OwnedFd>> {
        let Some(content) = small_content(&self.file)? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(self.directory, name, flags, Mode::empty()) {
            Ok(file) => Ok((small_content(&file)? == Some(content)).then_some(file)),
            Err(Errno::NOENT | Errno::LOOP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    fn take(&mut self, name: &str) -> rustix::io::Result<()> {
        if self.name.is_none() && !self.link(name)? {
            // What has the name may have been damaged since; only a rename replaces it at once.
            let temporary = temporary_name();
            if !self.link(&temporary)? {
                return Err(Errno::EXIST);
            }
            self.name = Some(temporary);
        }
        if let Some(temporary) = self.name.clone() {
            rustix::fs::renameat(self.directory, &temporary, self.directory, name)?;
            self.name = None;
        }
        Ok(())
    }

    /// Names the nameless file; false if the name is taken.
    fn link(&self, name: &str) -> rustix::io::Result<bool> {
        let from: CString = path_of(&self.file);
        match rustix::fs::linkat(rustix::fs::CWD, &from, self.directory, name, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// A regular file's content; None if it is long.
fn small_content(file: &OwnedFd) -> rustix::io::Result<Option<Vec<u8>>> {
    let stat = rustix::fs::fstat(file)?;
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || size > COMPARED_MAX {
        return Ok(None);
    }
    let mut content = vec![0; size];
    let mut length = 0;
    while length < size {
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut content[length..], length as u64))? {
            0 => break,
            count => length += count,
        }
    }
    content.truncate(length);
    Ok(Some(content))
}

impl Write for Draft<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(&self.file, buffer))?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = rustix::fs::unlinkat(self.directory, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn directory() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        (dir, fd)
    }

    #[test]
    fn stored_twice_is_stored_once_and_heals() {
        let (dir, fd) = directory();
        let blob = store(&mut &b"abc"[..], fd.as_fd(), Expected::default(), 3, Durability::Synced).unwrap();
        assert_eq!((blob.size, blob.digest), (3, digest_of(&mut &b"abc"[..]).unwrap().0));
        let path = dir.path().join(blob.digest.hex());
        let inode = || std::fs::metadata(&path).unwrap().ino();
        let before = inode();
        store(&mut &b"abc"[..], fd.as_fd(), Expected::default(), 3, Durability::Synced).unwrap();
        assert_eq!(
            inode(),
            before,
            "who has locked it, like a start the config of its image, has still locked what has the name"
        );
        std::fs::write(&path, "abd").unwrap();
        assert_eq!(store(&mut &b"abc"[..], fd.as_fd(), Expected::default(), 3, Durability::Later).unwrap(), blob);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn wrong_content_leaves_nothing() {
        let (dir, fd) = directory();
        let digest = Some(digest_of(&mut &b"abc"[..]).unwrap().0);
        for (data, expected, max_bytes) in [
            (&b"abd"[..], Expected { digest, size: None }, 10),
            (b"abc", Expected { digest, size: Some(2) }, 10),
            (b"abc", Expected { digest, size: Some(4) }, 10),
            (b"abc", Expected { digest, size: None }, 2),
        ] {
            let error = store(&mut &*data, fd.as_fd(), expected, max_bytes, Durability::Later).unwrap_err();
            assert_eq!(error.kind, crate::Kind::Corrupt);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
