//! Owner, extended attributes, mode, times of what was just made.
//!
//! In this order: a change of owner clears set-uid bits and file capabilities (chown(2)), so both come after it, and every
//! change moves the times, so they come last. Only what differs is set: a file of root in a directory of root is right already.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::tar::Entry;
use super::tree::{c_name, failed, path_of};
use super::whiteout::is_overlays;
use crate::Result;

/// How attributes are set.
pub struct Attributes {
    /// Owners cannot be given away, and are not: all is the user's.
    unprivileged: bool,
    /// Everything's owner, whatever the archive says.
    pub owner: Option<(u32, u32)>,
}

impl Attributes {
    /// As far as this process may.
    pub fn of_this_process() -> Self {
        Self { unprivileged: !rustix::process::geteuid().is_root(), owner: None }
    }

    /// Sets owner, attributes and mode, not the times, of a file or directory; what it was before.
    pub fn set(&self, entry: &Entry, file: &OwnedFd) -> Result<Stat> {
        let stat = rustix::fs::fstat(file).map_err(failed(&entry.path, "look at"))?;
        if self.has_other_owner(entry, &stat) {
            rustix::fs::fchown(file, self.uid(entry), self.gid(entry))
                .map_err(failed(&entry.path, "change the owner of"))?;
        }
        for (name, value) in wanted(entry) {
            let result = rustix::fs::fsetxattr(file, c_name(name)?, value, XattrFlags::empty());
            self.check_xattr(entry, name, result)?;
        }
        // A file was made with mode 0600, so one with a set-uid bit always differs.
        if stat.st_mode & 0o7777 != entry.mode {
            rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode))
                .map_err(failed(&entry.path, "change the mode of"))?;
        }
        Ok(stat)
    }

    /// Sets all of a symbolic link; it has no mode.
    pub fn set_link(&self, entry: &Entry, parent: &OwnedFd, name: &CStr) -> Result<()> {
        self.chown_at(entry, parent, name)?;
        if wanted(entry).next().is_some() {
            self.xattrs_at(entry, &open_path(entry, parent, name)?)?;
        }
        rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed(&entry.path, "set the times of"))
    }

    /// Sets all of a device or FIFO, without opening it: that would wake its driver, or wait for a writer.
    pub fn set_node(&self, entry: &Entry, parent: &OwnedFd, name: &CStr) -> Result<()> {
        self.chown_at(entry, parent, name)?;
        let node = open_path(entry, parent, name)?;
        self.xattrs_at(entry, &node)?;
        rustix::fs::chmod(path_of(&node), Mode::from_raw_mode(entry.mode))
            .map_err(failed(&entry.path, "change the mode of"))?;
        rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed(&entry.path, "set the times of"))
    }

    #[allow(clippy::unnecessary_wraps)] // as chown takes it
    fn uid(&self, entry: &Entry) -> Option<Uid> {
        Some(Uid::from_raw(self.owner.map_or(entry.uid, |(uid, _)| uid)))
    }

    #[allow(clippy::unnecessary_wraps)]
    fn gid(&self, entry: &Entry) -> Option<Gid> {
        Some(Gid::from_raw(self.owner.map_or(entry.gid, |(_, gid)| gid)))
    }

    fn has_other_owner(&self, entry: &Entry, stat: &Stat) -> bool {
        !self.unprivileged && (stat.st_uid, stat.st_gid) != self.owner.unwrap_or((entry.uid, entry.gid))
    }

    fn chown_at(&self, entry: &Entry, parent: &OwnedFd, name: &CStr) -> Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(parent, name, nofollow).map_err(failed(&entry.path, "look at"))?;
        if !self.has_other_owner(entry, &stat) {
            return Ok(());
        }
        rustix::fs::chownat(parent, name, self.uid(entry), self.gid(entry), nofollow)
            .map_err(failed(&entry.path, "change the owner of"))
    }

    fn xattrs_at(&self, entry: &Entry, node: &OwnedFd) -> Result<()> {
        for (name, value) in wanted(entry) {
            // The link in /proc leads to the node itself, were it a link too.
            let result = rustix::fs::setxattr(path_of(node), c_name(name)?, value, XattrFlags::empty());
            self.check_xattr(entry, name, result)?;
        }
        Ok(())
    }

    /// A file system without attributes, and ones only an initial namespace's root may set, cost the attribute, not the layer.
    fn check_xattr(&self, entry: &Entry, name: &[u8], result: rustix::io::Result<()>) -> Result<()> {
        match result {
            Err(Errno::PERM) if self.unprivileged || name.starts_with(b"user.") => Ok(()), // user.* on links and devices
            Err(Errno::NOTSUP) => Ok(()),
            other => other.map_err(failed(&entry.path, "set an extended attribute of")),
        }
    }
}

fn wanted(entry: &Entry) -> impl Iterator<Item = &(Vec<u8>, Vec<u8>)> {
    entry.xattrs.iter().filter(|(name, _)| !is_overlays(name))
}

fn open_path(entry: &Entry, parent: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed(&entry.path, "open"))
}

/// Access and modification time, both as the archive has the latter.
pub fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
    Timestamps { last_access: time, last_modification: time }
}
