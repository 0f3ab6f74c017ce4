//! From paths to descriptors below a root.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::Source;
use super::node::names;
use crate::{Error, Kind, Result};

/// Links followed before a path is given up (path_resolution(7)).
const LINKS_MAX: usize = 40;
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Opened for its attributes, if it is a directory.
pub const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An error of a system call; what is not there has the kind NotFound.
pub fn failed<'a>(operation: &'a str, path: &'a [u8]) -> impl Fn(Errno) -> Error + 'a {
    move |errno| {
        let error = Error::kernel(operation, shown(path), errno);
        if matches!(errno, Errno::NOENT | Errno::NOTDIR) { error.with_kind(Kind::NotFound) } else { error }
    }
}

/// A path as errors show it.
pub fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    if text.starts_with('/') { text.into_owned() } else { format!("/{text}") }
}

/// The names of a path, `..` among them.
pub fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

/// A name as a C string.
pub fn c_name(name: &[u8]) -> Result<CString> {
    CString::new(name).map_err(|_| Error::invalid("use", "path", "NUL in it"))
}

/// Whose the directories are that a path needs.
#[derive(Debug, Clone, Copy)]
pub struct Making {
    /// User and group.
    pub owner: (u32, u32),
    /// Permissions.
    pub mode: u32,
}

/// Where a path leads, links resolved.
#[derive(Debug)]
pub struct Place {
    /// The directory that holds it; the root for the root itself.
    pub parent: OwnedFd,
    /// Its name there; `.` for the root.
    pub name: CString,
    /// Resolved names from the root, joined by `/`.
    pub path: Vec<u8>,
    /// What is there.
    pub stat: Option<Stat>,
}

impl Place {
    /// The type of what is there.
    pub fn kind(&self) -> Option<FileType> {
        self.stat.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode))
    }
}

/// A walk down from a root.
struct Walk {
    /// Directories from the root on, and their names.
    open: Vec<(OwnedFd, Vec<u8>)>,
    links: usize,
}

impl Walk {
    fn new(root: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        let root = rustix::fs::openat(root, c".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { open: vec![(root, Vec::new())], links: 0 })
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.open[self.open.len() - 1].0.as_fd()
    }

    fn path(&self, last: Option<&[u8]>) -> Vec<u8> {
        let names: Vec<&[u8]> = self.open[1..].iter().map(|(_, name)| name.as_slice()).chain(last).collect();
        names.join(&b'/')
    }

    /// Puts the target of a link in front of what is left of the path.
    fn follow(&mut self, name: &CStr, rest: &mut VecDeque<Vec<u8>>) -> rustix::io::Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        let link = rustix::fs::readlinkat(self.here(), name, Vec::new())?.into_bytes();
        if link.starts_with(b"/") {
            self.open.truncate(1);
        }
        for part in components(&link).into_iter().rev() {
            rest.push_front(part);
        }
        Ok(())
    }

    fn enter(&mut self, name: Vec<u8>, c_name: &CStr) -> rustix::io::Result<()> {
        let child = rustix::fs::openat(self.here(), c_name, PLACE | OFlags::DIRECTORY, Mode::empty())?;
        self.open.push((child, name));
        Ok(())
    }

    fn make(&mut self, c_name: &CStr, making: Making) -> rustix::io::Result<()> {
        rustix::fs::mkdirat(self.here(), c_name, Mode::RWXU)?;
        let made = rustix::fs::openat(self.here(), c_name, DIRECTORY, Mode::empty())?;
        rustix::fs::fchown(&made, Some(Uid::from_raw(making.owner.0)), Some(Gid::from_raw(making.owner.1)))?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(making.mode))
    }

    fn lstat(&self, name: &CStr) -> rustix::io::Result<Option<Stat>> {
        match rustix::fs::statat(self.here(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

/// Resolves a path below a root; `follow` also a link as its last name. Directories above it that are missing are made, or
/// it is an error of kind NotFound.
pub fn locate(root: BorrowedFd<'_>, path: &[u8], follow: bool, making: Option<Making>) -> Result<Place> {
    let fail = failed("open", path);
    let mut walk = Walk::new(root).map_err(&fail)?;
    let mut rest = components(path);
    loop {
        let Some(name) = rest.pop_front() else {
            return stay(&walk).map_err(&fail);
        };
        if name == b".." {
            let depth = walk.open.len();
            walk.open.truncate((depth - 1).max(1));
            continue;
        }
        let entry = c_name(&name)?;
        let stat = walk.lstat(&entry).map_err(&fail)?;
        let kind = stat.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode));
        let is_last = rest.is_empty();
        match kind {
            Some(FileType::Symlink) if follow || !is_last => walk.follow(&entry, &mut rest).map_err(&fail)?,
            _ if is_last => {
                let parent = rustix::io::fcntl_dupfd_cloexec(walk.here(), 3).map_err(&fail)?;
                return Ok(Place { parent, path: walk.path(Some(&name)), name: entry, stat });
            }
            Some(_) => walk.enter(name, &entry).map_err(&fail)?,
            None => {
                walk.make(&entry, making.ok_or_else(|| fail(Errno::NOENT))?).map_err(&fail)?;
                walk.enter(name, &entry).map_err(&fail)?;
            }
        }
    }
}

/// The directory a walk has come to, as a place.
fn stay(walk: &Walk) -> rustix::io::Result<Place> {
    let depth = walk.open.len();
    let stat = rustix::fs::fstat(walk.here())?;
    let (parent, name) = match depth {
        1 => (walk.here(), c".".to_owned()),
        _ => (walk.open[depth - 2].0.as_fd(), CString::new(walk.open[depth - 1].1.as_slice()).unwrap_or_default()),
    };
    let parent = rustix::io::fcntl_dupfd_cloexec(parent, 3)?;
    Ok(Place { parent, name, path: walk.path(None), stat: Some(stat) })
}

/// Makes a directory and those above it, as `mkdir -p`; one that is there stays as it is. A descriptor of it.
pub fn make_directory(root: BorrowedFd<'_>, path: &[u8], owner: (u32, u32), mode: u32) -> Result<OwnedFd> {
    let making = Making { owner, mode };
    let place = locate(root, path, true, Some(making))?;
    let fail = failed("make directory", path);
    if place.stat.is_none() {
        let mut walk = Walk::new(place.parent.as_fd()).map_err(&fail)?;
        walk.make(&place.name, making).map_err(&fail)?;
    }
    rustix::fs::openat(&place.parent, &place.name, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => Error::kernel("make directory", shown(path), Errno::NOTDIR),
        other => fail(other),
    })
}

/// Opens a regular file to read it; anything else, a FIFO for one, is an error.
pub fn open_file(source: Source<'_>, path: &[u8]) -> Result<OwnedFd> {
    let place = find(source, path)?;
    if place.kind() != Some(FileType::RegularFile) {
        return Err(Error::invalid("read", shown(path), "not a regular file"));
    }
    super::node::open_regular(place.parent.as_fd(), &place.name).map(|(file, _)| file).map_err(failed("read", path))
}

/// Opens what a path leads to only as a place, to mount it; whether it is a directory.
pub fn open_place(source: Source<'_>, path: &[u8]) -> Result<(OwnedFd, bool)> {
    let place = find(source, path)?;
    let opened = rustix::fs::openat(&place.parent, &place.name, PLACE, Mode::empty()).map_err(failed("open", path))?;
    Ok((opened, place.kind() == Some(FileType::Directory)))
}

/// Where a path of a source leads, its links followed. NotFound also for what is skipped.
pub fn find(source: Source<'_>, path: &[u8]) -> Result<Place> {
    let place = locate(source.root, path, true, None)?;
    let mut end = place.path.len();
    let mut is_skipped = place.stat.is_none();
    while !is_skipped && end > 0 {
        is_skipped = source.skips(&place.path[..end]);
        end = place.path[..end].iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    }
    if is_skipped { Err(failed("open", path)(Errno::NOENT)) } else { Ok(place) }
}

/// Everything below a directory: its path from there, and whether it is a directory; sorted, a directory before what is in it.
pub fn list(source: Source<'_>, path: &[u8]) -> Result<Vec<(Vec<u8>, bool)>> {
    let place = find(source, path)?;
    let mut found = Vec::new();
    if place.kind() != Some(FileType::Directory) {
        return Ok(found);
    }
    let directory =
        rustix::fs::openat(&place.parent, &place.name, DIRECTORY, Mode::empty()).map_err(failed("read", path))?;
    list_below(source, &directory, &place.path, &[], &mut found)?;
    Ok(found)
}

fn list_below(
    source: Source<'_>,
    directory: &OwnedFd,
    whole: &[u8],
    path: &[u8],
    found: &mut Vec<(Vec<u8>, bool)>,
) -> Result<()> {
    for (name, kind) in names(directory).map_err(failed("read", whole))? {
        let (whole, path) = (join(whole, name.to_bytes()), join(path, name.to_bytes()));
        if source.skips(&whole) {
            continue;
        }
        let is_directory = kind == FileType::Directory;
        found.push((path.clone(), is_directory));
        if is_directory {
            let child =
                rustix::fs::openat(directory, &name, DIRECTORY, Mode::empty()).map_err(failed("read", &whole))?;
            list_below(source, &child, &whole, &path, found)?;
        }
    }
    Ok(())
}

/// A path with one more name.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}
