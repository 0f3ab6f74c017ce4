//! Content-addressed files: hashed while they are written, renamed into place when they are whole and right.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::digest::{Digest, Expected, Hasher, corrupt};
use crate::{Error, Result};

const BUFFER_BYTES: usize = 256 * 1024;
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A blob that lies in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest, which is its name.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
}

/// Writes what `source` gives into `directory` under its digest. Idempotent; returns only when stored.
pub fn store(source: &mut impl Read, directory: BorrowedFd<'_>, expected: Expected, max_bytes: u64) -> Result<Blob> {
    let name = format!(".{}.{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, &name, flags, Mode::from_raw_mode(0o600))
        .map_err(|errno| Error::kernel("create blob", &name, errno))?;
    let result = fill(source, &file, expected, max_bytes).and_then(|blob| {
        let fail = |errno| Error::kernel("store blob", blob.digest.to_string(), errno);
        rustix::fs::fsync(&file).map_err(fail)?;
        rustix::fs::renameat(directory, &name, directory, blob.digest.hex()).map_err(fail)?;
        rustix::fs::fsync(directory).map_err(fail)?;
        Ok(blob)
    });
    if result.is_err() {
        let _ = rustix::fs::unlinkat(directory, &name, AtFlags::empty());
    }
    result
}

fn fill(source: &mut impl Read, file: &OwnedFd, expected: Expected, max_bytes: u64) -> Result<Blob> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_none() => return Err(corrupt("blob", error.to_string())),
            Err(error) => return Err(Error::io("read", "blob", &error)),
        };
        if hasher.length + count as u64 > max_bytes.min(expected.size.unwrap_or(u64::MAX)) {
            return Err(corrupt("blob", "is larger than it may be"));
        }
        hasher.update(&buffer[..count]);
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let written =
                rustix::io::write(file.as_fd(), rest).map_err(|errno| Error::kernel("write", "blob", errno))?;
            rest = &rest[written..];
        }
    }
    let size = hasher.length;
    let digest = hasher.finish();
    expected.check("blob", &digest, size)?;
    Ok(Blob { digest, size })
}
