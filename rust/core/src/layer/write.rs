//! Members of an archive, made in a tree.

use std::ffi::{CStr, CString};
use std::io::BufRead;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::attributes::{Attributes, times};
use super::digest::corrupt;
use super::tar::{Entry, Kind};
use super::tree::{DIRECTORY, Tree, c_name, components, failed, is_whiteout, lstat};
use super::whiteout::{Meaning, Whiteouts, meaning};
use crate::Result;

/// A directory whose times are set last: what is written into it changes them.
struct Directory {
    path: Vec<u8>,
    inode: u64,
    mtime: (i64, u32),
}

/// Makes one entry after another.
pub struct Writer<'fd> {
    tree: Tree<'fd>,
    whiteouts: Whiteouts,
    attributes: Attributes,
    directories: Vec<Directory>,
    skipped_devices: u64,
    /// Whether names can mean deletions.
    is_layer: bool,
}

impl<'fd> Writer<'fd> {
    /// Writes into a directory.
    pub fn new(root: BorrowedFd<'fd>, whiteouts: Whiteouts) -> Self {
        Self {
            tree: Tree::new(root, whiteouts),
            whiteouts,
            attributes: Attributes::of_this_process(),
            directories: Vec::new(),
            skipped_devices: 0,
            is_layer: true,
        }
    }

    /// Writes an archive that is no layer: `.wh.` means nothing, what is mounted below is entered, owners may be given.
    pub fn of_archive(root: BorrowedFd<'fd>, owner: Option<(u32, u32)>) -> Self {
        let mut writer = Self::new(root, Whiteouts::of_this_process());
        writer.is_layer = false;
        writer.tree.crosses_mounts = true;
        writer.attributes.owner = owner;
        writer
    }

    /// Directories no entry asked for.
    pub fn implied_directories(&self) -> u64 {
        self.tree.implied
    }

    /// Makes what an entry says; `content` is read to the end of a file's.
    pub fn entry(&mut self, entry: &Entry, content: &mut impl BufRead) -> Result<()> {
        let parts = components(&entry.path)?;
        let meaning = if self.is_layer { meaning(&parts)? } else { Meaning::Plain };
        match meaning {
            Meaning::Plain => {}
            Meaning::Skipped => return Ok(()),
            Meaning::Opaque => return self.opaque(entry, &parts[..parts.len() - 1]),
            Meaning::Gone(hidden) => return self.whiteout(entry, hidden, &parts[..parts.len() - 1]),
        }
        let Some((name, parents)) = parts.split_last() else {
            return match entry.kind {
                Kind::Directory => self.root(entry),
                _ => Err(corrupt("archive", "member without a name")),
            };
        };
        let name = c_name(name)?;
        match entry.kind {
            Kind::File => self.file(entry, parents, &name, content),
            Kind::Directory => self.directory(entry, &parts, &name),
            Kind::HardLink => self.hard_link(entry, parents, &name),
            Kind::Symlink => self.symlink(entry, parents, &name),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(entry, parents, &name),
        }
    }

    /// Makes something; what has its name already goes first.
    fn replace<T>(
        &mut self,
        entry: &Entry,
        operation: &str,
        parent: &OwnedFd,
        name: &CStr,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.tree.remove(parent, name).map_err(failed(&entry.path, "replace"))?;
                make()
            }
            other => other,
        }
        .map_err(failed(&entry.path, operation))
    }

    fn file(&mut self, entry: &Entry, parents: &[&[u8]], name: &CStr, content: &mut impl BufRead) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = self.replace(entry, "create", &parent, name, open)?;
        match &entry.sparse {
            None => copy(entry, &file, content, entry.size)?,
            Some(map) => {
                rustix::fs::ftruncate(&file, entry.size).map_err(failed(&entry.path, "extend"))?;
                for segment in map {
                    rustix::fs::seek(&file, SeekFrom::Start(segment.offset)).map_err(failed(&entry.path, "seek in"))?;
                    copy(entry, &file, content, segment.length)?;
                }
            }
        }
        self.attributes.set(entry, &file)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(failed(&entry.path, "set the times of"))
    }

    fn directory(&mut self, entry: &Entry, parts: &[&[u8]], name: &CStr) -> Result<()> {
        let parent = self.tree.directory(&parts[..parts.len() - 1])?;
        let fail = failed(&entry.path, "make directory");
        let mut hides_lower = false;
        match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let existing = lstat(&parent, name).map_err(&fail)?;
                // Entered only if it is a directory itself (CVE-2026-33056); a link to one is replaced.
                if !existing.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory) {
                    hides_lower = existing.is_some_and(|stat| is_whiteout(&stat));
                    self.tree.remove(&parent, name).map_err(failed(&entry.path, "replace"))?;
                    rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(&fail)?;
                }
            }
            Err(errno) => return Err(fail(errno)),
        }
        let directory = rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty()).map_err(&fail)?;
        if hides_lower {
            self.whiteouts.make_opaque(&directory).map_err(failed(&entry.path, "mark opaque"))?;
        }
        self.directory_attributes(entry, parts, &directory)
    }

    fn root(&mut self, entry: &Entry) -> Result<()> {
        let root = self.tree.resolve(b"", DIRECTORY).map_err(failed(&entry.path, "open"))?;
        self.directory_attributes(entry, &[], &root)
    }

    fn directory_attributes(&mut self, entry: &Entry, parts: &[&[u8]], directory: &OwnedFd) -> Result<()> {
        let stat = self.attributes.set(entry, directory)?;
        self.directories.push(Directory { path: parts.join(&b'/'), inode: stat.st_ino, mtime: entry.mtime });
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, parents: &[&[u8]], name: &CStr) -> Result<()> {
        let fail = failed(&entry.path, "make hard link");
        let target = components(&entry.link)?;
        let Some((target_name, target_parents)) = target.split_last() else {
            return Err(corrupt("archive", "hard link to nothing"));
        };
        let target_name = c_name(target_name)?;
        let from = self.tree.existing_directory(target_parents).map_err(&fail)?;
        let parent = self.tree.directory(parents)?;
        // Without AT_SYMLINK_FOLLOW: a link to a link is a second name of that link, wherever it points.
        let link = || rustix::fs::linkat(&from, &target_name, &parent, name, AtFlags::empty());
        let inode = |directory, name| lstat(directory, name).ok().flatten().map(|stat| (stat.st_dev, stat.st_ino));
        let existing = inode(&parent, name);
        if existing.is_some() && existing == inode(&from, &target_name) {
            return Ok(()); // replacing it might remove the only name
        }
        self.replace(entry, "make hard link", &parent, name, link)
    }

    fn symlink(&mut self, entry: &Entry, parents: &[&[u8]], name: &CStr) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let target = CString::new(&*entry.link).map_err(|_| corrupt("archive", "NUL in a name"))?;
        let make = || rustix::fs::symlinkat(&target, &parent, name);
        self.replace(entry, "make symbolic link", &parent, name, make)?;
        self.attributes.set_link(entry, &parent, name)
    }

    fn node(&mut self, entry: &Entry, parents: &[&[u8]], name: &CStr) -> Result<()> {
        let kind = match entry.kind {
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if kind != FileType::Fifo && self.whiteouts == Whiteouts::User {
            self.skipped_devices += 1; // mknod(2): CAP_MKNOD in the initial namespace; Docker leaves them out too
            return Ok(());
        }
        let parent = self.tree.directory(parents)?;
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let make = || rustix::fs::mknodat(&parent, name, kind, Mode::RUSR | Mode::WUSR, device);
        self.replace(entry, "make device", &parent, name, make)?;
        self.attributes.set_node(entry, &parent, name)
    }

    fn opaque(&mut self, entry: &Entry, parents: &[&[u8]]) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let fail = failed(&entry.path, "mark opaque");
        let directory = rustix::fs::openat(&parent, c".", DIRECTORY, Mode::empty()).map_err(&fail)?;
        self.whiteouts.make_opaque(&directory).map_err(fail)
    }

    fn whiteout(&mut self, entry: &Entry, hidden: &[u8], parents: &[&[u8]]) -> Result<()> {
        let fail = failed(&entry.path, "make whiteout");
        let hidden = c_name(hidden)?;
        let parent = self.tree.directory(parents)?;
        match lstat(&parent, &hidden).map_err(&fail)? {
            None => rustix::fs::mknodat(&parent, &hidden, FileType::CharacterDevice, Mode::empty(), 0).map_err(fail),
            // A whiteout speaks of lower layers only; what this layer brings itself stays, and hides them.
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let directory = rustix::fs::openat(&parent, &hidden, DIRECTORY, Mode::empty()).map_err(&fail)?;
                self.whiteouts.make_opaque(&directory).map_err(fail)
            }
            Some(_) => Ok(()),
        }
    }

    /// Sets the times of directories, now that nothing is written any more; the number of devices left out.
    pub fn finish(self) -> Result<u64> {
        for Directory { path, inode, mtime } in &self.directories {
            let directory = match self.tree.resolve(path, DIRECTORY) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue, // replaced by a later entry
                other => other.map_err(failed(path, "set the times of"))?,
            };
            let stat = rustix::fs::fstat(&directory).map_err(failed(path, "set the times of"))?;
            if stat.st_ino == *inode {
                rustix::fs::futimens(&directory, &times(*mtime)).map_err(failed(path, "set the times of"))?;
            }
        }
        Ok(self.skipped_devices)
    }
}

/// Writes content to where the file stands.
fn copy(entry: &Entry, file: &OwnedFd, content: &mut impl BufRead, mut length: u64) -> Result<()> {
    while length > 0 {
        let data = content.fill_buf().map_err(|_| corrupt("archive", "unexpected end"))?;
        let count = usize::try_from(length).unwrap_or(usize::MAX).min(data.len());
        if count == 0 {
            return Err(corrupt("archive", "unexpected end"));
        }
        let written = rustix::io::retry_on_intr(|| rustix::io::write(file, &data[..count]))
            .map_err(failed(&entry.path, "write"))?;
        content.consume(written);
        length -= written as u64;
    }
    Ok(())
}
