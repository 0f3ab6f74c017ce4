//! Layers on top of each other, as overlay merges them (Documentation/filesystems/overlayfs.rst), without a mount.
//!
//! Directories are opened below a layer's root by their whole path, no component of which may be a link: what a running container
//! moves about meanwhile is another directory of the same layer or none, never one elsewhere.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Dir, FileType, Mode, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::layer::Whiteouts;
use crate::layer::tree::{DIRECTORY, failed, is_whiteout, lstat};
use crate::{Error, Result};

/// One call takes a path of at most PATH_MAX (4096) bytes; deeper directories are reached in steps.
const STEP_BYTES: usize = 3072;

/// The layers, topmost first.
pub struct Stack<'fd> {
    layers: Vec<BorrowedFd<'fd>>,
    whiteouts: Whiteouts,
    /// Whether mounts below a layer's root are entered.
    crosses_mounts: bool,
}

/// A directory of the merged tree: its path, and which layers have a part in it, topmost first.
pub struct Directory {
    /// Components joined by `/`; empty at the root.
    pub path: Vec<u8>,
    layers: Vec<usize>,
    open: Vec<OwnedFd>,
}

/// What a name of a merged directory stands for.
pub struct Found {
    /// Which of the directory's parts has it.
    part: usize,
    /// As it was when it was looked at.
    pub stat: Stat,
}

impl<'fd> Stack<'fd> {
    /// Layers, topmost first, each its root directory.
    pub fn new(layers: &[BorrowedFd<'fd>], whiteouts: Whiteouts) -> Self {
        Self { layers: layers.to_vec(), whiteouts, crosses_mounts: false }
    }

    /// The tree at a directory, with what is mounted below it.
    pub fn with_mounts(root: BorrowedFd<'fd>) -> Self {
        Self { layers: vec![root], whiteouts: Whiteouts::of_this_process(), crosses_mounts: true }
    }

    /// The root of the merged tree.
    pub fn root(&self) -> Result<Directory> {
        let candidates: Vec<usize> = (0..self.layers.len()).collect();
        self.merge(Vec::new(), &candidates)?.ok_or_else(|| Error::kernel("open", "layer", Errno::NOENT))
    }

    /// A directory of a merged directory; None if it is none, or gone.
    pub fn child(&self, parent: &Directory, name: &CStr) -> Result<Option<Directory>> {
        self.merge(join(&parent.path, name.to_bytes()), &parent.layers)
    }

    /// Opens a path in those layers, down to the first that hides what is below.
    fn merge(&self, path: Vec<u8>, candidates: &[usize]) -> Result<Option<Directory>> {
        let mut directory = Directory { path, layers: Vec::new(), open: Vec::new() };
        for &layer in candidates {
            let opened = match self.open_in(layer, &directory.path) {
                Ok(opened) => opened,
                Err(Errno::NOENT) => continue,
                // A link, a file, a whiteout: it hides what lower layers have of that name.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(errno) => return Err(failed(&directory.path, "open")(errno)),
            };
            let is_opaque = self.is_opaque(&opened).map_err(failed(&directory.path, "look at"))?;
            directory.layers.push(layer);
            directory.open.push(opened);
            if is_opaque {
                break;
            }
        }
        Ok((!directory.open.is_empty()).then_some(directory))
    }

    /// Whether a directory of a layer hides what lower ones have.
    pub fn is_opaque(&self, directory: &OwnedFd) -> rustix::io::Result<bool> {
        let name = match self.whiteouts {
            Whiteouts::Trusted => c"trusted.overlay.opaque",
            Whiteouts::User => c"user.overlay.opaque",
        };
        let mut value = [0u8; 8];
        match rustix::fs::fgetxattr(directory, name, &mut value[..]) {
            Ok(length) => Ok(value[..length] == *b"y"),
            Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Opens a directory of one layer, through no link.
    fn open_in(&self, layer: usize, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_XDEV, !self.crosses_mounts);
        let mut rest = path;
        let mut at: Option<OwnedFd> = None;
        loop {
            let end = if rest.len() <= STEP_BYTES {
                rest.len()
            } else {
                rest[..STEP_BYTES].iter().rposition(|&byte| byte == b'/').unwrap_or(rest.len())
            };
            let step = if end == 0 { &b"."[..] } else { &rest[..end] };
            let base = at.as_ref().map_or(self.layers[layer], AsFd::as_fd);
            let opened = match rustix::fs::openat2(base, OsStr::from_bytes(step), DIRECTORY, Mode::empty(), resolve) {
                Err(Errno::AGAIN) => continue, // somebody renames on this file system
                other => other?,
            };
            if end == rest.len() {
                return Ok(opened);
            }
            rest = &rest[end + 1..];
            at = Some(opened);
        }
    }

    /// Gives a directory's descriptors back; [`reopen`](Self::reopen) before it is used again.
    pub fn close(directory: &mut Directory) {
        directory.open.clear();
    }

    /// Opens a directory again; false if a part of it is gone.
    pub fn reopen(&self, directory: &mut Directory) -> Result<bool> {
        if !directory.open.is_empty() {
            return Ok(true);
        }
        for &layer in &directory.layers {
            match self.open_in(layer, &directory.path) {
                Ok(opened) => directory.open.push(opened),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                Err(errno) => return Err(failed(&directory.path, "open")(errno)),
            }
        }
        Ok(true)
    }
}

impl Directory {
    /// Its names, sorted by bytes, without whiteouts.
    pub fn entries(&self) -> Result<Vec<(CString, Found)>> {
        let mut names: BTreeMap<CString, usize> = BTreeMap::new();
        for (part, opened) in self.open.iter().enumerate() {
            for name in names_in(opened).map_err(failed(&self.path, "read"))? {
                names.entry(name).or_insert(part);
            }
        }
        let mut found = Vec::with_capacity(names.len());
        for (name, part) in names {
            match rustix::fs::statat(&self.open[part], &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_whiteout(&stat) => {}
                Ok(stat) => found.push((name, Found { part, stat })),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(&join(&self.path, name.to_bytes()), "look at")(errno)),
            }
        }
        Ok(found)
    }

    /// What a name of it stands for.
    pub fn entry(&self, name: &CStr) -> Result<Option<Found>> {
        for (part, opened) in self.open.iter().enumerate() {
            match rustix::fs::statat(opened, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some(Found { part, stat })),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed(&join(&self.path, name.to_bytes()), "look at")(errno)),
            }
        }
        Ok(None)
    }

    /// The descriptor of the directory that has an entry.
    pub fn part(&self, found: &Found) -> BorrowedFd<'_> {
        self.open[found.part].as_fd()
    }

    /// The topmost layer's descriptor.
    pub fn top(&self) -> &OwnedFd {
        &self.open[0]
    }
}

impl Found {
    /// Its type.
    pub fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// Names in one directory, unsorted, whiteouts too.
pub fn names_in(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    names_of(directory, |_| true)
}

/// The whiteouts in one directory, sorted; only what may be one is looked at.
pub fn whiteouts_in(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = names_of(directory, |kind| matches!(kind, FileType::CharacterDevice | FileType::Unknown))?;
    names.sort();
    let mut whiteouts = Vec::with_capacity(names.len());
    for name in names {
        if lstat(directory, &name)?.is_some_and(|stat| is_whiteout(&stat)) {
            whiteouts.push(name);
        }
    }
    Ok(whiteouts)
}

fn names_of(directory: &OwnedFd, wanted: impl Fn(FileType) -> bool) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    // A description of its own: two who read through one share a position.
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." && wanted(entry.file_type()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A path with one more component.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
