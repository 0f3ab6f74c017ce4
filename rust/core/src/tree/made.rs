//! What a copy makes: files, on several processors, and the attributes of all that is made.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Source;
use super::contents::{Content, File};
use super::copy::{CopyOptions, Times};
use super::digest::{BUFFER_BYTES, Facts, file_content};
use super::node::{attributes, open_regular, read_all};
use super::path::failed;
use super::shares::in_shares;
use crate::layer::digest::Hasher;
use crate::{Error, Result};

const CREATE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A regular file that is to be copied.
pub struct Job {
    /// Where from.
    pub from: File,
    /// The directory it goes to, kept open.
    pub directory: Arc<OwnedFd>,
    /// What it is called there.
    pub name: CString,
}

/// What came of a job.
pub enum Made {
    /// A file: what counts of it, and its size.
    File(Content, u64),
    /// Nothing yet: it has several names, and which comes first matters.
    Linked,
}

/// How things are made of what.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// Where they are from.
    pub source: Source<'a>,
    /// What they become.
    pub options: &'a CopyOptions,
}

impl Maker<'_> {
    /// Copies files, but those that have several names; in their order, and of several errors that of the first.
    pub fn files(self, jobs: &[Job]) -> Result<Vec<Made>> {
        in_shares(jobs, |share| {
            let mut buffer = vec![0; BUFFER_BYTES];
            share.iter().map(|job| self.unlinked_file(job, &mut buffer)).collect()
        })
    }

    fn unlinked_file(self, job: &Job, buffer: &mut [u8]) -> Result<Made> {
        let (source, stat) = job.open()?;
        if stat.st_nlink > 1 {
            return Ok(Made::Linked);
        }
        let (content, size) = self.file(job, &source, &stat, Some(job.create()?), buffer)?;
        Ok(Made::File(content, size))
    }

    /// Reads a source, into a file if there is one; what counts of it, and its size.
    pub fn file(
        self,
        job: &Job,
        source: &OwnedFd,
        stat: &Stat,
        file: Option<OwnedFd>,
        buffer: &mut [u8],
    ) -> Result<(Content, u64)> {
        let path = &job.from.whole;
        let mut hasher = Hasher::default();
        read_all(source, stat, path, buffer, |mut piece| {
            hasher.update(piece);
            while let Some(file) = file.as_ref().filter(|_| !piece.is_empty()) {
                let count = rustix::io::retry_on_intr(|| rustix::io::write(file, piece))
                    .map_err(|errno| Error::kernel("write", job.name.to_string_lossy().into_owned(), errno))?;
                piece = &piece[count..];
            }
            Ok(())
        })?;
        let size = hasher.length;
        let facts = Facts::new(self.source, stat, path);
        let attributes = attributes(source).map_err(failed("read the attributes of", path))?;
        let content = file_content(size, &hasher.finish(), &attributes);
        if let Some(file) = file {
            let fail = failed("copy", path);
            chown(&file, self.options.owner.unwrap_or(facts.owner)).map_err(&fail)?;
            for (attribute, value) in attributes {
                match rustix::fs::fsetxattr(&file, attribute.as_c_str(), &value, XattrFlags::empty()) {
                    Ok(()) | Err(Errno::NOTSUP) => {}
                    Err(errno) => return Err(fail(errno)),
                }
            }
            rustix::fs::fchmod(&file, self.mode(&facts, false)).map_err(&fail)?;
            rustix::fs::futimens(&file, &self.times(stat)).map_err(&fail)?;
        }
        Ok(((facts, content), size))
    }

    /// What the permissions become.
    pub fn mode(self, facts: &Facts, is_directory: bool) -> Mode {
        let own = facts.mode & 0o7777;
        Mode::from_raw_mode(self.options.mode.as_ref().map_or(own, |change| change.apply(own, is_directory)))
    }

    fn times(self, stat: &Stat) -> Timestamps {
        // Whole seconds, as layers have them.
        let time = match self.options.times {
            Times::Kept => Timespec { tv_sec: stat.st_mtime, tv_nsec: 0 },
            Times::Set(seconds) => Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        Timestamps { last_access: time, last_modification: time }
    }

    /// Attributes of a directory, last: what is made in it changes its times.
    pub fn finish(self, directory: &OwnedFd, facts: &Facts, stat: &Stat, path: &[u8]) -> Result<()> {
        let fail = failed("copy", path);
        chown(directory, self.options.owner.unwrap_or(facts.owner)).map_err(&fail)?;
        rustix::fs::fchmod(directory, self.mode(facts, true)).map_err(&fail)?;
        rustix::fs::futimens(directory, &self.times(stat)).map_err(fail)
    }

    /// Attributes of what is no file and no directory.
    pub fn finish_at(self, parent: BorrowedFd<'_>, name: &CStr, facts: &Facts, stat: &Stat) -> rustix::io::Result<()> {
        let (uid, gid) = self.options.owner.unwrap_or(facts.owner);
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::utimensat(parent, name, &self.times(stat), AtFlags::SYMLINK_NOFOLLOW)
    }
}

impl Job {
    /// Opens its source.
    pub fn open(&self) -> Result<(OwnedFd, Stat)> {
        open_regular(self.from.directory.as_fd(), &self.from.name).map_err(failed("copy", &self.from.whole))
    }

    /// Makes its target, empty.
    pub fn create(&self) -> Result<OwnedFd> {
        let parent = self.directory.as_fd();
        let open = || rustix::fs::openat(parent, &self.name, CREATE, Mode::RUSR | Mode::WUSR);
        replacing(parent, &self.name, open).map_err(|errno| cannot_replace(errno, &self.from.whole, &self.name))
    }
}

fn chown(file: &OwnedFd, owner: (u32, u32)) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    if (stat.st_uid, stat.st_gid) == owner {
        return Ok(());
    }
    rustix::fs::fchown(file, Some(Uid::from_raw(owner.0)), Some(Gid::from_raw(owner.1)))
}

/// Makes something; what has its name goes first, unless it is a directory.
pub fn replacing<T>(
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

/// Why something could not be made.
pub fn cannot_replace(errno: Errno, path: &[u8], name: &CStr) -> Error {
    if errno == Errno::ISDIR {
        let reason = format!("cannot replace to directory {} with file", name.to_string_lossy());
        return Error::invalid("copy", super::path::shown(path), reason);
    }
    failed("copy", path)(errno)
}
