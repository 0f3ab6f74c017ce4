//! Archives that are no layers, unpacked into a tree that is in use: `cp`, `ADD`.

use std::io::{BufReader, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::codec;
use super::digest::corrupt;
use super::extract::Limits;
use super::tar::TarReader;
use super::tree::{DIRECTORY, c_name, failed};
use super::write::Writer;
use crate::Result;

const BUFFER_BYTES: usize = 256 * 1024;

/// Unpacks an archive, plain or compressed with gzip or zstd, into the directory `path` below `root`; the entries made.
///
/// Links in `path` lead inside `root`, those in the archive's names inside that directory. `owner` becomes the owner of all.
pub fn unpack(
    source: impl Read + Send,
    root: BorrowedFd<'_>,
    path: &[u8],
    owner: Option<(u32, u32)>,
    limits: Limits,
) -> Result<u64> {
    let directory = open(root, path)?;
    let mut reader = TarReader::new(BufReader::with_capacity(BUFFER_BYTES, codec::decoder(source)?));
    let mut writer = Writer::of_archive(std::os::fd::AsFd::as_fd(&directory), owner);
    let (mut size, mut entries) = (0u64, 0u64);
    while let Some(entry) = reader.next_entry()? {
        entries += 1;
        size = size.saturating_add(entry.size);
        if size > limits.max_bytes {
            return Err(corrupt("archive", format!("unpacks to more than {} bytes", limits.max_bytes)));
        }
        writer.entry(&entry, &mut reader)?;
        if entries + writer.implied_directories() > limits.max_entries {
            return Err(corrupt("archive", format!("has more than {} entries", limits.max_entries)));
        }
    }
    writer.finish()?;
    Ok(entries)
}

fn open(root: BorrowedFd<'_>, path: &[u8]) -> Result<std::os::fd::OwnedFd> {
    let is_root = path.iter().all(|&byte| byte == b'/');
    let name = c_name(if is_root { b"." } else { path })?;
    let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
    loop {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(root, &name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other.map_err(|errno| failed(path, "open")(errno).with_kind(crate::Kind::Kernel)),
        }
    }
}
