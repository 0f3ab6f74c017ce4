//! What an overlay's upper directory changes, as `docker diff` lists it (moby pkg/archive, changes_linux.go).

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use rustix::fs::FileType;

use super::Options;
use super::diff::{Below, Hidden};
use super::stack::{Directory, Found, Stack, join, whiteouts_in};
use super::walk::{Visitor, walk};
use crate::Result;
use crate::layer::Whiteouts;
use crate::layer::tree::{failed, lstat, path_of};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// From the root, beginning with `/`.
    pub path: Vec<u8>,
    /// `A`, `C` or `D`.
    pub kind: char,
}

/// What differs between the merged tree and the layers below, sorted by path; `hidden` as [`diff`](super::diff) takes it.
pub fn changes(
    upper: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    hidden: &[PathBuf],
    whiteouts: Whiteouts,
) -> Result<Vec<Change>> {
    let options = Options::new(whiteouts);
    let stack = Stack::new(&[upper], whiteouts);
    let below = Below::new(lowers, options)?;
    let mut visitor = Changes { stack: &stack, below, hidden: Hidden::new(hidden), found: Vec::new() };
    walk(&stack, stack.root()?, &mut visitor)?;
    let mut found = visitor.found;
    add_parents(&mut found);
    found.sort();
    found.dedup_by(|second, first| second.path == first.path);
    Ok(found)
}

/// A directory something changed in is changed itself, whatever its times say.
fn add_parents(found: &mut Vec<Change>) {
    let mut parents = Vec::new();
    for change in found.iter() {
        let mut path = change.path.as_slice();
        while let Some(slash) = path.iter().rposition(|&byte| byte == b'/').filter(|&slash| slash > 0) {
            path = &path[..slash];
            parents.push(Change { path: path.to_vec(), kind: 'C' });
        }
    }
    parents.sort();
    parents.dedup();
    // After what the walk found: of two with the same path the first counts, and `A` sorts before `C`.
    found.extend(parents);
}

struct Changes<'a, 'fd> {
    stack: &'a Stack<'fd>,
    below: Below<'fd>,
    hidden: Hidden,
    found: Vec<Change>,
}

impl Changes<'_, '_> {
    fn push(&mut self, kind: char, path: &[u8]) {
        self.found.push(Change { path: [b"/", path].concat(), kind });
    }

    fn deletions(&mut self, directory: &Directory) -> Result<()> {
        for name in whiteouts_in(directory.top()).map_err(failed(&directory.path, "read"))? {
            if self.below.find(&directory.path, &name)?.is_some() {
                self.push('D', &join(&directory.path, name.to_bytes()));
            }
        }
        if self.stack.is_opaque(directory.top()).map_err(failed(&directory.path, "look at"))? {
            self.hidden(directory)?;
        }
        Ok(())
    }

    /// Of what an opaque directory hides, that which it does not have itself.
    fn hidden(&mut self, directory: &Directory) -> Result<()> {
        let Some(lower) = self.below.directory(&directory.path)? else { return Ok(()) };
        let names: Vec<CString> = lower.entries()?.into_iter().map(|(name, _)| name).collect();
        for name in names {
            if lstat(directory.top(), &name).map_err(failed(name.to_bytes(), "look at"))?.is_none() {
                self.push('D', &join(&directory.path, name.to_bytes()));
            }
        }
        Ok(())
    }

    fn differs(&mut self, directory: &Directory, name: &CString, found: &Found) -> Result<Option<bool>> {
        let Some(lower) = self.below.directory(&directory.path)? else { return Ok(None) };
        let Some(before) = lower.entry(name)? else { return Ok(None) };
        let (old, new) = (&before.stat, &found.stat);
        let mut differs =
            (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev);
        // A directory's size and time say little: what changed in it is listed itself.
        if found.kind() != FileType::Directory {
            // An archive keeps whole seconds.
            let fraction = old.st_mtime_nsec != 0 && new.st_mtime_nsec != 0 && old.st_mtime_nsec != new.st_mtime_nsec;
            differs |= (old.st_size, old.st_mtime) != (new.st_size, new.st_mtime) || fraction;
        }
        if !differs && found.kind() == FileType::RegularFile {
            differs = capability(lower.part(&before), name) != capability(directory.part(found), name);
        }
        Ok(Some(differs))
    }
}

impl Visitor for Changes<'_, '_> {
    fn visit(&mut self, directory: &Directory, name: &CString, found: &Found, path: &[u8]) -> Result<bool> {
        if self.hidden.hides(&mut self.below, directory, name, found, path)? {
            return Ok(false);
        }
        match self.differs(directory, name, found)? {
            None => self.push('A', path),
            Some(true) => self.push('C', path),
            Some(false) => {}
        }
        Ok(found.kind() == FileType::Directory)
    }

    fn enter(&mut self, directory: &Directory) -> Result<Vec<(CString, Found)>> {
        self.deletions(directory)?;
        directory.entries()
    }
}

/// A file's capabilities; none where they cannot be read.
fn capability(directory: BorrowedFd<'_>, name: &CStr) -> Option<Vec<u8>> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let node = rustix::fs::openat(directory, name, flags, rustix::fs::Mode::empty()).ok()?;
    let mut value = [0u8; 64];
    let length = rustix::fs::getxattr(path_of(&node), c"security.capability", &mut value[..]).ok()?;
    Some(value[..length].to_vec())
}
