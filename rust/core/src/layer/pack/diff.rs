//! What an overlay's upper directory changes, as a layer (image-spec, "Layer", "Change Types").

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode};

use super::entries::Packer;
use super::stack::{Directory, Found, Stack, join, names_in, whiteouts_in};
use super::walk::{Visitor, walk};
use super::{Options, Written, stream};
use crate::layer::tree::{DIRECTORY, failed};
use crate::{Error, Kind, Result};

/// What marks a deletion, and so cannot begin a name.
pub const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Writes what `upper` changes of `lowers` (topmost first) to `sink`.
///
/// `hidden` are paths whose empty files and directories were made to mount something on: they are left out where no lower
/// layer has them. Fails with kind State if a name cannot be said in a layer.
pub fn diff(
    upper: BorrowedFd<'_>,
    lowers: &[BorrowedFd<'_>],
    hidden: &[PathBuf],
    sink: &mut (impl Write + Send),
    options: Options<'_>,
) -> Result<Written> {
    let stack = Stack::new(&[upper], options.whiteouts);
    let below = Below::new(lowers, options)?;
    let target = options.extract_to.map(|root| (root, options.whiteouts));
    let (packed, digests) = stream::write_stream(sink, options.compression, target, |out| {
        let packer = Packer::new(out, options.clamp_mtime).still(options.still);
        let mut visitor = Diff { packer, stack: &stack, below, hidden: Hidden::new(hidden) };
        walk(&stack, stack.root()?, &mut visitor)?;
        visitor.packer.finish()
    })?;
    Ok(Written { digests, packed })
}

/// The layers below, looked up by path; the directory looked in last stays open.
pub struct Below<'fd> {
    stack: Option<Stack<'fd>>,
    last: Vec<Directory>,
}

impl<'fd> Below<'fd> {
    pub fn new(lowers: &[BorrowedFd<'fd>], options: Options<'_>) -> Result<Self> {
        let stack = (!lowers.is_empty()).then(|| Stack::new(lowers, options.whiteouts));
        let last = stack.as_ref().map(Stack::root).transpose()?.into_iter().collect();
        Ok(Self { stack, last })
    }

    /// The merged directory at a path; None if there is none.
    pub fn directory(&mut self, path: &[u8]) -> Result<Option<&Directory>> {
        let Some(stack) = &self.stack else { return Ok(None) };
        // Down the branch that is open already, as far as it leads towards the path.
        while self.last.last().is_some_and(|last| !is_above(&last.path, path)) {
            self.last.pop();
        }
        while let Some(last) = self.last.last_mut() {
            if last.path == path {
                break;
            }
            if !stack.reopen(last)? {
                return Ok(None);
            }
            let rest = path[last.path.len()..].strip_prefix(b"/").unwrap_or(&path[last.path.len()..]);
            let name = rest.split(|&byte| byte == b'/').next().unwrap_or(rest);
            let Some(child) = stack.child(last, &crate::layer::tree::c_name(name)?)? else { return Ok(None) };
            Stack::close(last);
            self.last.push(child);
        }
        let Some(last) = self.last.last_mut() else { return Ok(None) };
        Ok(stack.reopen(last)?.then_some(&*last))
    }

    /// What the layers below have of this name.
    pub fn find(&mut self, directory: &[u8], name: &CString) -> Result<Option<Found>> {
        match self.directory(directory)? {
            Some(directory) => directory.entry(name),
            None => Ok(None),
        }
    }
}

fn is_above(directory: &[u8], path: &[u8]) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// Mount points a start made in the upper directory, and the directories above them.
pub struct Hidden {
    points: HashSet<Vec<u8>>,
    above: HashSet<Vec<u8>>,
}

impl Hidden {
    /// Of paths from the root.
    pub fn new(paths: &[PathBuf]) -> Self {
        let (mut points, mut above) = (HashSet::new(), HashSet::new());
        for path in paths {
            let parts = path.as_os_str().as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty());
            let parts: Vec<&[u8]> = parts.collect();
            above.extend((1..parts.len()).map(|depth| parts[..depth].join(&b'/')));
            points.insert(parts.join(&b'/'));
        }
        Self { points, above }
    }

    /// Whether what the walk found was made to mount something on, and is as it was made; a directory of the layers below
    /// that was copied up for that says nothing either.
    pub fn hides(
        &self,
        below: &mut Below<'_>,
        directory: &Directory,
        name: &CString,
        found: &Found,
        path: &[u8],
    ) -> Result<bool> {
        if !self.is_made(directory.part(found), name, path)? {
            return Ok(false);
        }
        let attributes = |found: &Found| (found.stat.st_mode, found.stat.st_uid, found.stat.st_gid);
        let is_same = |before: Found| before.kind() == FileType::Directory && attributes(&before) == attributes(found);
        Ok(below.find(&directory.path, name)?.is_none_or(is_same))
    }

    /// An empty file or directory of that path, or directories with nothing but such in them.
    fn is_made(&self, parent: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<bool> {
        let is_point = self.points.contains(path);
        if !is_point && !self.above.contains(path) {
            return Ok(false);
        }
        // What goes meanwhile is for the walk to notice.
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(false) };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(is_point && stat.st_size == 0),
            FileType::Directory => {
                let Ok(directory) = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()) else {
                    return Ok(false);
                };
                for name in names_in(&directory).map_err(failed(path, "read"))? {
                    if !self.is_made(directory.as_fd(), &name, &join(path, name.to_bytes()))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

/// Refuses names a layer would take for deletions.
pub fn check_name(name: &CString, path: &[u8]) -> Result<()> {
    if name.to_bytes().starts_with(PREFIX) {
        let reason = "names that begin with .wh. mark deletions in a layer";
        return Err(Error::new(Kind::State, "pack", String::from_utf8_lossy(path).into_owned(), reason));
    }
    Ok(())
}

struct Diff<'a, 'fd> {
    packer: Packer<'a>,
    stack: &'a Stack<'fd>,
    below: Below<'fd>,
    hidden: Hidden,
}

impl Diff<'_, '_> {
    /// Whiteouts among a directory's names.
    fn whiteouts(&mut self, directory: &Directory) -> Result<()> {
        for name in whiteouts_in(directory.top()).map_err(failed(&directory.path, "read"))? {
            if self.below.find(&directory.path, &name)?.is_some() {
                let mark = [PREFIX, name.to_bytes()].concat();
                self.packer.add_mark(&join(&directory.path, &mark))?;
            }
        }
        Ok(())
    }
}

impl Visitor for Diff<'_, '_> {
    fn visit(&mut self, directory: &Directory, name: &CString, found: &Found, path: &[u8]) -> Result<bool> {
        check_name(name, path)?;
        if self.hidden.hides(&mut self.below, directory, name, found, path)? {
            return Ok(false);
        }
        let kind = self.packer.add(directory.part(found), name, path, found.kind())?;
        Ok(kind == Some(FileType::Directory))
    }

    /// Deletions come before what the layer brings itself: some readers apply them to the layer too.
    fn enter(&mut self, directory: &Directory) -> Result<Vec<(CString, Found)>> {
        let is_opaque = self.stack.is_opaque(directory.top()).map_err(failed(&directory.path, "look at"))?;
        if is_opaque && self.below.directory(&directory.path)?.is_some() {
            self.packer.add_mark(&join(&directory.path, OPAQUE))?;
        }
        self.whiteouts(directory)?;
        directory.entries()
    }
}
