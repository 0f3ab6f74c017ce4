//! What decides whether a copy would be the same: BuildKit's rules (solver/llbsolver, cache/contenthash).
//!
//! Name, type, permissions, owner, size, content, link target, device number and file capabilities count; times do not.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use super::Source;
use super::contents::{Content, File, read_files};
use super::node::{Attributes, names};
use super::path::{DIRECTORY, failed, find, join};
use super::shares::{DIRECTORIES_OPEN, ENTRIES_WAITING};
use crate::Result;
use crate::layer::digest::{Digest, Hasher};

/// Bytes read at once.
pub const BUFFER_BYTES: usize = 256 * 1024;

/// The digest of what a path leads to, with all that is in it.
pub fn digest(source: Source<'_>, path: &[u8]) -> Result<Digest> {
    let place = find(source, path)?;
    let mut walk = Walk { source, digest: TreeDigest::default(), waiting: Vec::new(), files: Vec::new(), opened: 0 };
    let kind = place.kind().unwrap_or(FileType::Unknown);
    walk.entry(&Arc::new(place.parent), &place.name, kind, &place.path, b"")?;
    walk.add_waiting()?;
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
#[derive(Clone, Copy)]
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
    /// Entries not yet added, in the order of the walk: paths, and what counts; None for the next one of `files`.
    waiting: Vec<(Vec<u8>, Option<Content>)>,
    files: Vec<File>,
    /// Directories opened since entries were added last.
    opened: usize,
}

impl Walk<'_> {
    fn entry(&mut self, parent: &Arc<OwnedFd>, name: &CStr, kind: FileType, whole: &[u8], path: &[u8]) -> Result<()> {
        if self.opened >= DIRECTORIES_OPEN || self.waiting.len() >= ENTRIES_WAITING {
            self.add_waiting()?;
        }
        let fail = failed("read", whole);
        let look = || rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail);
        match kind {
            FileType::RegularFile => {
                self.waiting.push((path.to_vec(), None));
                self.files.push(File { directory: Arc::clone(parent), name: name.to_owned(), whole: whole.to_vec() });
            }
            FileType::Directory => return self.directory(parent, name, whole, path),
            FileType::Symlink => {
                let stat = look()?;
                let link = rustix::fs::readlinkat(parent, name, Vec::new()).map_err(&fail)?;
                self.wait(path, &stat, whole, link.into_bytes());
            }
            FileType::Socket => {} // belongs to a process, not to a tree
            _ => {
                let stat = look()?;
                self.wait(path, &stat, whole, stat.st_rdev.to_be_bytes().to_vec());
            }
        }
        Ok(())
    }

    fn directory(&mut self, parent: &Arc<OwnedFd>, name: &CStr, whole: &[u8], path: &[u8]) -> Result<()> {
        let fail = failed("read", whole);
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        let stat = rustix::fs::fstat(&directory).map_err(&fail)?;
        self.wait(path, &stat, whole, Vec::new());
        self.opened += 1;
        let directory = Arc::new(directory);
        for (name, kind) in names(&directory).map_err(&fail)? {
            let child = join(whole, name.to_bytes());
            if !self.source.skips(&child) {
                self.entry(&directory, &name, kind, &child, &join(path, name.to_bytes()))?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, path: &[u8], stat: &Stat, whole: &[u8], content: Vec<u8>) {
        self.waiting.push((path.to_vec(), Some((Facts::new(self.source, stat, whole), content))));
    }

    /// Reads the files that wait, and adds all entries that do.
    fn add_waiting(&mut self) -> Result<()> {
        let mut contents = read_files(self.source, &self.files)?.into_iter();
        for (path, known) in self.waiting.drain(..) {
            if let Some((facts, content)) = known.or_else(|| contents.next()) {
                self.digest.add(&path, &facts, &content);
            }
        }
        self.files.clear();
        self.opened = 0;
        Ok(())
    }
}
