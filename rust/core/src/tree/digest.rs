//! What decides whether a copy would be the same: BuildKit's rules (solver/llbsolver, cache/contenthash).
//!
//! Name, type, permissions, owner, size, content, link target, device number and file capabilities count; times do not.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use super::Source;
use super::node::{Attributes, attributes, names, open_regular, read_all};
use super::path::{DIRECTORY, failed, find, join};
use crate::Result;
use crate::layer::digest::{Digest, Hasher};

/// Bytes read at once.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// The digest of what a path leads to, with all that is in it.
pub fn digest(source: Source<'_>, path: &[u8]) -> Result<Digest> {
    let place = find(source, path)?;
    let mut walk = Walk { source, digest: TreeDigest::default(), buffer: vec![0; BUFFER_BYTES] };
    let kind = place.kind().unwrap_or(FileType::Unknown);
    let parent = place.parent.as_fd();
    walk.entry(parent, &place.name, kind, &place.path, b"")?;
    Ok(walk.digest.finish())
}

/// A digest that entries are added to in the order of a walk.
#[derive(Default)]
pub struct TreeDigest(Hasher);

impl TreeDigest {
    /// An entry: its path from where the walk began, its attributes, and what only its type has.
    pub fn add(&mut self, path: &[u8], stat: &Facts, content: &[u8]) {
        let (kind, permissions) = (stat.mode & 0o170_000, stat.mode & 0o7777);
        for number in [kind, permissions, stat.owner.0, stat.owner.1] {
            self.0.update(&number.to_be_bytes());
        }
        for text in [path, content] {
            self.0.update(&(text.len() as u64).to_be_bytes());
            self.0.update(text);
        }
    }

    /// The digest of all entries.
    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// What of an entry's attributes counts.
pub struct Facts {
    /// Type and permissions.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
}

impl Facts {
    /// As a source wants them seen.
    pub fn new(source: Source<'_>, stat: &Stat, path: &[u8]) -> Self {
        if !source.anonymous {
            return Self { mode: stat.st_mode, owner: (stat.st_uid, stat.st_gid) };
        }
        // The directory a context was read from is not part of it.
        let mode = if path.is_empty() { stat.st_mode & 0o170_000 | 0o755 } else { stat.st_mode };
        Self { mode, owner: (0, 0) }
    }
}

/// The content of a file as an entry's: size, digest, capabilities.
pub fn file_content(size: u64, digest: &Digest, attributes: &Attributes) -> Vec<u8> {
    let mut content = size.to_be_bytes().to_vec();
    content.extend(digest.hex().into_bytes());
    for (_, value) in attributes.iter().filter(|(name, _)| name.as_c_str() == c"security.capability") {
        content.extend(value);
    }
    content
}

struct Walk<'a> {
    source: Source<'a>,
    digest: TreeDigest,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn entry(
        &mut self,
        parent: std::os::fd::BorrowedFd<'_>,
        name: &std::ffi::CStr,
        kind: FileType,
        whole: &[u8],
        path: &[u8],
    ) -> Result<()> {
        let fail = failed("read", whole);
        match kind {
            FileType::RegularFile => {
                let (file, stat) = open_regular(parent, name).map_err(&fail)?;
                let mut hasher = Hasher::default();
                read_all(&file, &stat, whole, &mut self.buffer, |piece| {
                    hasher.update(piece);
                    Ok(())
                })?;
                let size = hasher.length;
                let attributes = attributes(&file).map_err(failed("read the attributes of", whole))?;
                let content = file_content(size, &hasher.finish(), &attributes);
                self.digest.add(path, &Facts::new(self.source, &stat, whole), &content);
            }
            FileType::Directory => {
                let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(&fail)?;
                let stat = rustix::fs::fstat(&directory).map_err(&fail)?;
                self.digest.add(path, &Facts::new(self.source, &stat, whole), b"");
                for (name, kind) in names(&directory).map_err(&fail)? {
                    let child = join(whole, name.to_bytes());
                    if !self.source.skips(&child) {
                        let path = join(path, name.to_bytes());
                        self.entry(directory.as_fd(), &name, kind, &child, &path)?;
                    }
                }
            }
            FileType::Symlink => {
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
                let link = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(&fail)?;
                self.digest.add(path, &Facts::new(self.source, &stat, whole), link.as_bytes());
            }
            FileType::Socket => {} // belongs to a process, not to a tree
            _ => {
                let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
                self.digest.add(path, &Facts::new(self.source, &stat, whole), &stat.st_rdev.to_be_bytes());
            }
        }
        Ok(())
    }
}
