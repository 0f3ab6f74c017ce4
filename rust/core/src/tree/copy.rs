//! Copies as COPY and ADD make them (BuildKit, fsutil/copy): where things go, what is replaced, what they become.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::Source;
use super::contents::{Content, File};
use super::digest::{BUFFER_BYTES, Facts, TreeDigest};
use super::made::{Job, Made, Maker, cannot_replace, replacing};
use super::mode::ModeChange;
use super::node::names;
use super::path::{DIRECTORY, Making, Place, c_name, failed, find, join, locate, make_directory, shown};
use super::shares::{DIRECTORIES_OPEN, ENTRIES_WAITING};
use crate::layer::digest::Digest;
use crate::{Error, Result};

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
#[derive(Debug, Clone)]
pub struct Copied {
    /// As [`super::digest`] gives it of the source at the moment of the copy.
    pub digest: Digest,
    /// Entries made.
    pub entries: u64,
    /// Bytes of all files.
    pub size: u64,
    /// The directory of `upper` that all of it was put into behind the overlay's back: that must be mounted anew before it is used
    /// again, and what is in the directory needs no settling.
    pub direct: Option<Vec<u8>>,
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
        maker: Maker { source, options },
        digest: TreeDigest::default(),
        links: HashMap::new(),
        waiting: Vec::new(),
        jobs: Vec::new(),
        directories: Vec::new(),
        opened: 0,
        entries: 0,
        size: 0,
        upper,
        direct: None,
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
        copier.top_directory(from, to)?;
    } else {
        let base = path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()).unwrap_or(path);
        copier.top_file(kind, from, to, &c_name(base)?)?;
    }
    copier.do_waiting()?;
    Ok(Copied { digest: copier.digest.finish(), entries: copier.entries, size: copier.size, direct: copier.direct })
}

/// Where something was put first: its further names are links to it.
type Links = HashMap<(u64, u64), (OwnedFd, CString)>;

struct Copier<'a> {
    maker: Maker<'a>,
    digest: TreeDigest,
    links: Links,
    /// Entries the digest does not have yet, in the order of the walk: paths, and what counts; None for the next one of `jobs`.
    waiting: Vec<(Vec<u8>, Option<Content>)>,
    jobs: Vec<Job>,
    /// Directories that all is in but what `jobs` brings.
    directories: Vec<Filled>,
    /// Directories opened since waiting work was done last.
    opened: usize,
    entries: u64,
    size: u64,
    upper: Option<BorrowedFd<'a>>,
    direct: Option<Vec<u8>>,
}

/// A directory that is to get its attributes.
struct Filled {
    directory: Arc<OwnedFd>,
    facts: Facts,
    stat: Stat,
    whole: Vec<u8>,
}

/// An entry of the source.
#[derive(Clone, Copy)]
struct From<'a> {
    parent: &'a Arc<OwnedFd>,
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
            let place = find(self.maker.source, &from)?;
            let directory = make_directory(root, &to, making.owner, making.mode)?;
            let fail = failed("copy", &from);
            let source = rustix::fs::openat(&place.parent, &place.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
            let stat = rustix::fs::fstat(&source).map_err(&fail)?;
            self.maker.finish(&directory, &Facts::new(self.maker.source, &stat, &place.path), &stat, &from)?;
        }
        Ok(join(to.strip_suffix(b"/").unwrap_or(&to), last))
    }

    fn top_directory(&mut self, from: Place, to: Place) -> Result<()> {
        let parent = Arc::new(from.parent);
        let (whole, kind) = (from.path.as_slice(), FileType::Directory);
        let entry = From { parent: &parent, name: &from.name, kind, whole, path: b"" };
        if self.maker.options.parents_from.is_some() {
            return self.directory(entry, &to.parent, &to.name);
        }
        let fail = failed("copy", whole);
        let source = rustix::fs::openat(&parent, &from.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        let stat = rustix::fs::fstat(&source).map_err(&fail)?;
        self.wait(b"", Facts::new(self.maker.source, &stat, whole), Vec::new());
        let mut directory = open_target(to.parent.as_fd(), &to.name, whole)?;
        if let Some(behind) = self.behind(&directory, &to.path).map_err(&fail)? {
            (directory, self.direct) = (behind, Some(to.path));
        }
        self.entries += 1;
        self.contents(entry, source, &Arc::new(directory))
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

    fn top_file(&mut self, kind: FileType, from: Place, to: Place, base: &CStr) -> Result<()> {
        let into = to.kind() == Some(FileType::Directory);
        let parent = Arc::new(from.parent);
        let entry = From { parent: &parent, name: &from.name, kind, whole: &from.path, path: b"" };
        if into {
            let directory =
                rustix::fs::openat(&to.parent, &to.name, DIRECTORY, Mode::empty()).map_err(failed("open", &to.path))?;
            return self.entry(entry, &Arc::new(directory), base);
        }
        self.entry(entry, &Arc::new(to.parent), &to.name)
    }

    fn entry(&mut self, from: From<'_>, parent: &Arc<OwnedFd>, name: &CStr) -> Result<()> {
        if self.opened >= DIRECTORIES_OPEN || self.waiting.len() >= ENTRIES_WAITING {
            self.do_waiting()?;
        }
        match from.kind {
            FileType::Directory => self.directory(from, parent, name),
            FileType::RegularFile => {
                let (directory, whole) = (Arc::clone(from.parent), from.whole.to_vec());
                let from_file = File { directory, name: from.name.to_owned(), whole };
                self.waiting.push((from.path.to_vec(), None));
                self.jobs.push(Job { from: from_file, directory: Arc::clone(parent), name: name.to_owned() });
                Ok(())
            }
            FileType::Symlink => self.link(from, parent.as_fd(), name),
            FileType::Socket => Ok(()),
            _ => self.node(from, parent.as_fd(), name),
        }
    }

    /// A directory that is there already gets the source's attributes too.
    fn directory(&mut self, from: From<'_>, parent: &OwnedFd, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let source = rustix::fs::openat(from.parent, from.name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        let stat = rustix::fs::fstat(&source).map_err(&fail)?;
        let facts = Facts::new(self.maker.source, &stat, from.whole);
        self.wait(from.path, facts, Vec::new());
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(fail(errno)),
        }
        let directory = Arc::new(open_target(parent.as_fd(), name, from.whole)?);
        self.entries += 1;
        self.opened += 1;
        self.contents(from, source, &directory)?;
        self.directories.push(Filled { directory, facts, stat, whole: from.whole.to_vec() });
        Ok(())
    }

    fn contents(&mut self, from: From<'_>, source: OwnedFd, directory: &Arc<OwnedFd>) -> Result<()> {
        let source = Arc::new(source);
        for (name, kind) in names(&source).map_err(failed("read", from.whole))? {
            let whole = join(from.whole, name.to_bytes());
            if self.maker.source.skips(&whole) {
                continue;
            }
            let path = join(from.path, name.to_bytes());
            let child = From { parent: &source, name: &name, kind, whole: &whole, path: &path };
            self.entry(child, directory, &name)?;
        }
        Ok(())
    }

    fn wait(&mut self, path: &[u8], facts: Facts, content: Vec<u8>) {
        self.waiting.push((path.to_vec(), Some((facts, content))));
    }

    /// Makes the files that wait, adds to the digest what does, and gives directories their attributes.
    fn do_waiting(&mut self) -> Result<()> {
        let jobs = std::mem::take(&mut self.jobs);
        let mut made = self.maker.files(&jobs)?.into_iter().zip(&jobs);
        for (path, known) in std::mem::take(&mut self.waiting) {
            let (facts, content) = match known {
                Some(known) => known,
                None => match made.next() {
                    Some((Made::File(content, size), _)) => self.count(content, size),
                    Some((Made::Linked, job)) => self.linked_file(job)?,
                    None => break, // there are as many of them
                },
            };
            self.digest.add(&path, &facts, &content);
        }
        for filled in self.directories.drain(..) {
            self.maker.finish(&filled.directory, &filled.facts, &filled.stat, &filled.whole)?;
        }
        self.opened = 0;
        Ok(())
    }

    fn count(&mut self, content: Content, size: u64) -> Content {
        self.entries += 1;
        self.size += size;
        content
    }

    /// A file that has several names: the first in the walk becomes one, the others links to it.
    fn linked_file(&mut self, job: &Job) -> Result<Content> {
        let (source, stat) = job.open()?;
        let is_linked = self
            .link_to_first(&stat, job.directory.as_fd(), &job.name)
            .map_err(|errno| cannot_replace(errno, &job.from.whole, &job.name))?;
        let file = if is_linked { None } else { Some(job.create()?) };
        let (content, size) = self.maker.file(job, &source, &stat, file, &mut vec![0; BUFFER_BYTES])?;
        Ok(self.count(content, if is_linked { 0 } else { size }))
    }

    fn link(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let stat = rustix::fs::statat(from.parent, from.name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
        let target = rustix::fs::readlinkat(from.parent, from.name, Vec::new()).map_err(&fail)?;
        let facts = Facts::new(self.maker.source, &stat, from.whole);
        self.wait(from.path, facts, target.as_bytes().to_vec());
        self.entries += 1;
        replacing(parent, name, || rustix::fs::symlinkat(&target, parent, name))
            .map_err(|errno| cannot_replace(errno, from.whole, name))?;
        self.maker.finish_at(parent, name, &facts, &stat).map_err(fail)
    }

    fn node(&mut self, from: From<'_>, parent: BorrowedFd<'_>, name: &CStr) -> Result<()> {
        let fail = failed("copy", from.whole);
        let stat = rustix::fs::statat(from.parent, from.name, AtFlags::SYMLINK_NOFOLLOW).map_err(&fail)?;
        let facts = Facts::new(self.maker.source, &stat, from.whole);
        self.wait(from.path, facts, stat.st_rdev.to_be_bytes().to_vec());
        self.entries += 1;
        if self.link_to_first(&stat, parent, name).map_err(&fail)? {
            return Ok(());
        }
        let mode = self.maker.mode(&facts, false);
        let make = || rustix::fs::mknodat(parent, name, from.kind, mode, stat.st_rdev);
        replacing(parent, name, make).map_err(|errno| cannot_replace(errno, from.whole, name))?;
        let place = rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .map_err(&fail)?;
        self.maker.finish_at(parent, name, &facts, &stat).map_err(&fail)?;
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
