//! Copies as COPY and ADD make them (BuildKit, fsutil/copy): where things go, what is replaced, what they become.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Source;
use super::digest::{BUFFER_BYTES, Facts, TreeDigest, file_content};
use super::mode::ModeChange;
use super::node::{attributes, names, open_regular, read_all};
use super::path::{DIRECTORY, Making, Place, c_name, failed, find, join, locate, make_directory, shown};
use crate::layer::digest::{Digest, Hasher};
use crate::{Error, Result};

const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Modification times of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// The source's.
    Kept,
    /// Seconds since the epoch.
    Set(i64),
}

/// What a copy becomes.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// User and group, of directories made on the way too.
    pub owner: Option<(u32, u32)>,
    /// Permissions of files and directories.
    pub mode: Option<ModeChange>,
    /// Times.
    pub times: Times,
    /// Where in `path` the part begins that is kept below the target, with its directories (`--parents`); in bytes.
    pub parents_from: Option<usize>,
}

/// What was copied.
#[derive(Debug, Clone, Copy)]
pub struct Copied {
    /// As [`super::digest`] gives it of the source at the moment of the copy.
    pub digest: Digest,
    /// Entries made.
    pub entries: u64,
    /// Bytes of all files.
    pub size: u64,
    /// Something was put into `upper` behind the overlay's back: it must be mounted anew before it is used again.
    pub direct: bool,
}

/// Copies what `path` leads to in a source to `target` below `root`.
///
/// A file goes into a target that is a directory or ends with a slash, else it becomes the target. Of a directory the contents
/// go into the target, which is made. Directories above the target are made; links in its path lead inside the root.
///
/// `upper` is the upper directory of the overlay that `root` is: what goes into an empty directory is written there, which
/// takes a sixth of the time.
pub fn copy(
    source: Source<'_>,
    path: &[u8],
    root: BorrowedFd<'_>,
    target: &[u8],
    options: &CopyOptions,
    upper: Option<BorrowedFd<'_>>,
) -> Result<Copied> {
    let from = find(source, path)?;
    let kind = from.kind().unwrap_or(FileType::Unknown);
    let making = Making { owner: options.owner.unwrap_or((0, 0)), mode: 0o755 };
    let mut copier = Copier {
        source,
        options,
        digest: TreeDigest::default(),
        links: HashMap::new(),
        buffer: vec![0; BUFFER_BYTES],
        entries: 0,
        size: 0,
        upper,
        direct: false,
    };
    let target = match options.parents_from {
        Some(start) => copier.parents(path, start, root, target, making)?,
        None => target.to_vec(),
    };
    let is_into = target.ends_with(b"/") || target.ends_with(b"/.") || target.is_empty();
    // What contents go into is made like what is above it; a directory that is copied itself (--parents) is made as it is.
    let is_contents = kind == FileType::Directory && options.parents_from.is_none();
    if is_contents && locate(root, &target, true, Some(making))?.stat.is_none() || is_into && !is_contents {
        make_directory(root, &target, making.owner, making.mode)?;
    }
    let to = locate(root, &target, true, Some(making))?;
    if kind == FileType::Directory {
        copier.top_directory(&from, &to)?;
    } else {
        let base = path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()).unwrap_or(path);
        copier.top_file(kind, &from, &to, &c_name(base)?)?;
    }
    Ok(Copied { digest: copier.digest.finish(), entries: copier.entries, size: copier.size, direct: copier.direct })
}

/// Where something was put first: its further names are links to it.
type Links = HashMap<(u64, u64), (OwnedFd, CString)>;

struct Copier<'a> {
    source: Source<'a>,
    options: &'a CopyOptions,
    digest: TreeDigest,
    links: Links,
    buffer: Vec<u8>,
    entries: u64,
    size: u64,
    upper: Option<BorrowedFd<'a>>,
    direct: bool,
}

/// An entry of the source.
#[derive(Clone, Copy)]
struct From<'a> {
    parent: BorrowedFd<'a>,
    name: &'a CStr,
    kind: FileType,
    /// From the source's root.
    whole: &'a [u8],
    /// From where the copy began.
    path: &'a [u8],
}

impl Copier<'_> {
    /// Makes the directories of `path` from `start` on below the target, as the source has them; where the entry itself goes.
    fn parents(
        &mut self,
        path: &[u8],
        start: usize,
        root: BorrowedFd<'_>,
        target: &[u8],
        making: Making,
    ) -> Result<Vec<u8>> {
        let mut to = target.to_vec();
        let Some((above, kept)) = path.split_at_checked(start) else {
            return Err(Error::invalid("copy", shown(path), "its parents begin behind its end"));
        };
        let mut from = above.strip_suffix(b"/").unwrap_or(above).to_vec();
        let parts: Vec<&[u8]> = kept.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
        let Some((last, above)) = parts.split_last() else { return Ok(to) };
        make_directory(root, &to, making.owner, making.mode)?;
        for part in above {
            (from, to) = (join(&from, part), join(to.strip_suffix(b"/").unwrap_or(&to), part));
            let place = find(self.source, &from)?;
            let directory = make_directory(root, &to, making.owner, making.mode)?;
            let fail = failed("copy", &from);
            let source = rustix::fs::openat(&place.parent, &place.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
            let stat = rustix::fs::fstat(&source).map_err(&fail)?;
            self.finish(&directory, &Facts::new(self.source, &stat, &place.path), &stat, &from)?;
        }
        Ok(join(to.strip_suffix(b"/").unwrap_or(&to), last))
    }

    fn top_directory(&mut self, from: &Place, to: &Place) -> Result<()> {
        let entry = From {
            parent: from.parent.as_fd(),
            name: &from.name,
            kind: FileType::Directory,
            whole: &from.path,
            path: b"",
        };
        if self.options.parents_from.is_some() {
            return self.directory(entry, to.parent.as_fd(), &to.name);
        }
        let fail = failed("copy", &from.path);
        let source = rustix::fs::openat(&from.parent, &from.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        let stat = rustix::fs::fstat(&source).map_err(&fail)?;
        self.digest.add(b"", &Facts::new(self.source, &stat, &from.path), b"");
        let mut directory = open_target(to.parent.as_fd(), &to.name, &from.path)?;
        if let Some(behind) = self.behind(&directory, &to.path).map_err(&fail)? {
            (directory, self.direct) = (behind, true);
        }
        self.entries += 1;
        self.contents(entry, &source, &directory)
    }

    /// An empty directory of the overlay as it is in the upper directory; None where there is none, or it holds something.
    fn behind(&self, directory: &OwnedFd, path: &[u8]) -> rustix::io::Result<Option<OwnedFd>> {
        let Some(upper) = self.upper.filter(|_| !path.is_empty()) else { return Ok(None) };
        if !names(directory)?.is_empty() {
            return Ok(None);
        }
        // A change of its attributes, be it none, copies it up.
        let mode = rustix::fs::fstat(directory)?.st_mode & 0o7777;
        rustix::fs::fchmod(directory, Mode::from_raw_mode(mode))?;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(upper, OsStr::from_bytes(path), DIRECTORY, Mode::empty(), inside) {
            Err(Errno::NOENT) => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn top_file(&mut self, kind: FileType, from: &Place, to: &Place, base: &CStr) -> Result<()> {
        let entry = From { parent: from.parent.as_fd(), name: &from.name, kind, whole: &from.path, path: b"" };
        if to.kind() == Some(FileType::Directory) {
            let directory =
                rustix::fs::openat(&to.parent, &to.name, DIRECTORY, Mode::empty()).map_err(failed("open", &to.path))?;
            return self.entry(entry, directory.as_fd(), base);
        }
        self.entry(entry, to.parent.as_fd(), &to.name)
    }

    fn entry(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        match from.kind {
            FileType::Directory => self.directory(from, parent, name),
            FileType::RegularFile => self.file(from, parent, name),
            FileType::Symlink => self.link(from, parent, name),
            FileType::Socket => Ok(()),
            _ => self.node(from, parent, name),
        }
    }

    /// A directory that is there already gets the source's attributes too.
    fn directory(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let source = rustix::fs::openat(from.parent, from.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        let stat = rustix::fs::fstat(&source).map_err(&fail)?;
        let facts = Facts::new(self.source, &stat, from.whole);
        self.digest.add(from.path, &facts, b"");
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let directory = open_target(parent, name, from.whole)?;
        self.entries += 1;
        self.contents(from, &source, &directory)?;
        self.finish(&directory, &facts, &stat, from.whole)
    }

    fn contents(&mut self, from: From<'_>, source: &OwnedFd, directory: &OwnedFd) -> Result<()> {
        for (name, kind) in names(source).map_err(failed("read", from.whole))? {
            let whole = join(from.whole, name.to_bytes());
            if self.source.skips(&whole) {
                continue;
            }
            let path = join(from.path, name.to_bytes());
            let child = From { parent: source.as_fd(), name: &name, kind, whole: &whole, path: &path };
            self.entry(child, directory.as_fd(), &name)?;
        }
        Ok(())
    }

    fn file(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let (source, stat) = open_regular(from.parent, from.name).map_err(&fail)?;
        let is_linked = self.link_to_first(&stat, parent, name).map_err(&fail)?;
        let file = if is_linked {
            None
        } else {
            let open = || rustix::fs::openat(parent, name, CREATE, Mode::RUSR | Mode::WUSR);
            Some(replacing(parent, name, open).map_err(|errno| cannot_replace(errno, from.whole, name))?)
        };
        let mut hasher = Hasher::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = read_all(&source, &stat, from.whole, &mut buffer, |mut piece| {
            hasher.update(piece);
            while let Some(file) = file.as_ref().filter(|_| !piece.is_empty()) {
                let count = rustix::io::retry_on_intr(|| rustix::io::write(file, piece))
                    .map_err(|errno| Error::kernel("write", name.to_string_lossy().into_owned(), errno))?;
                piece = &piece[count..];
            }
            Ok(())
        });
        self.buffer = buffer;
        read?;
        let size = hasher.length;
        let facts = Facts::new(self.source, &stat, from.whole);
        let attributes = attributes(&source).map_err(failed("read the attributes of", from.whole))?;
        self.digest.add(from.path, &facts, &file_content(size, &hasher.finish(), &attributes));
        self.entries += 1;
        let Some(file) = file else { return Ok(()) };
        self.size += size;
        let owner = self.options.owner.unwrap_or(facts.owner);
        chown(&file, owner).map_err(&fail)?;
        for (attribute, value) in attributes {
            match rustix::fs::fsetxattr(&file, attribute.as_c_str(), &value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        rustix::fs::fchmod(&file, self.mode(&facts, false)).map_err(&fail)?;
        rustix::fs::futimens(&file, &self.times(&stat)).map_err(&fail)
    }

    fn link(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let stat = rustix::fs::statat(from.parent, from.name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
        let target = rustix::fs::readlinkat(from.parent, from.name, Vec::new()).map_err(&fail)?;
        let facts = Facts::new(self.source, &stat, from.whole);
        self.digest.add(from.path, &facts, target.as_bytes());
        self.entries += 1;
        replacing(parent, name, || rustix::fs::symlinkat(&target, parent, name))
            .map_err(|errno| cannot_replace(errno, from.whole, name))?;
        self.finish_at(parent, name, &facts, &stat).map_err(fail)
    }

    fn node(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let stat = rustix::fs::statat(from.parent, from.name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
        let facts = Facts::new(self.source, &stat, from.whole);
        self.digest.add(from.path, &facts, &stat.st_rdev.to_be_bytes());
        self.entries += 1;
        if self.link_to_first(&stat, parent, name).map_err(&fail)? {
            return Ok(());
        }
        let mode = self.mode(&facts, false);
        let make = || rustix::fs::mknodat(parent, name, from.kind, mode, stat.st_rdev);
        replacing(parent, name, make).map_err(|errno| cannot_replace(errno, from.whole, name))?;
        let place = rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(&fail)?;
        self.finish_at(parent, name, &facts, &stat).map_err(&fail)?;
        // What mknod(2) took away by the umask; the link in /proc leads to the node itself.
        rustix::fs::chmod(crate::layer::path_of(&place), mode).map_err(fail)
    }

    /// Makes a further name of what was copied already; whether it was.
    fn link_to_first(&mut self, stat: &Stat, parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<bool> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let key = (stat.st_dev, stat.st_ino);
        if let Some((directory, first)) = self.links.get(&key) {
            let make = || rustix::fs::linkat(directory, first.as_c_str(), parent, name, AtFlags::empty());
            replacing(parent, name, make)?;
            return Ok(true);
        }
        let directory = rustix::io::fcntl_dupfd_cloexec(parent, 3)?;
        self.links.insert(key, (directory, name.to_owned()));
        Ok(false)
    }

    fn mode(&self, facts: &Facts, is_directory: bool) -> Mode {
        let own = facts.mode & 0o7777;
        Mode::from_raw_mode(self.options.mode.as_ref().map_or(own, |change| change.apply(own, is_directory)))
    }

    fn times(&self, stat: &Stat) -> Timestamps {
        let time = match self.options.times {
            Times::Kept => Timespec { tv_sec: stat.st_mtime, tv_nsec: 0 },
            Times::Set(seconds) => Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        Timestamps { last_access: time, last_modification: time }
    }

    /// Attributes of a directory, last: what is made in it changes its times.
    fn finish(&self, directory: &OwnedFd, facts: &Facts, stat: &Stat, path: &[u8]) -> Result<()> {
        let fail = failed("copy", path);
        chown(directory, self.options.owner.unwrap_or(facts.owner)).map_err(&fail)?;
        rustix::fs::fchmod(directory, self.mode(facts, true)).map_err(&fail)?;
        rustix::fs::futimens(directory, &self.times(stat)).map_err(fail)
    }

    fn finish_at(&self, parent: BorrowedFd<'_>, name: &CStr, facts: &Facts, stat: &Stat) -> rustix::io::Result<()> {
        let (uid, gid) = self.options.owner.unwrap_or(facts.owner);
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::utimensat(parent, name, &self.times(stat), AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn open_target(parent: BorrowedFd<'_>, name: &CStr, path: &[u8]) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => {
            let reason = format!("cannot copy to non-directory {}", name.to_string_lossy());
            Error::invalid("copy", shown(path), reason)
        }
        errno => failed("copy", path)(errno),
    })
}

fn chown(file: &OwnedFd, owner: (u32, u32)) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    if (stat.st_uid, stat.st_gid) == owner {
        return Ok(());
    }
    rustix::fs::fchown(file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))
}

/// Makes something; what has its name goes first, unless it is a directory.
fn replacing<T>(
    parent: BorrowedFd<'_>,
    name: &CStr,
    make: impl Fn() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            make()
        }
        other => other,
    }
}

fn cannot_replace(errno: Errno, path: &[u8], name: &CStr) -> Error {
    if errno == Errno::ISDIR {
        let reason = format!("cannot replace to directory {} with file", name.to_string_lossy());
        return Error::invalid("copy", shown(path), reason);
    }
    failed("copy", path)(errno)
}
