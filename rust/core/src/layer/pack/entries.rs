//! Files of a tree as entries of an archive.
//!
//! A container may change what is read here at any moment. So each name is opened O_PATH|O_NOFOLLOW, looked at through that
//! descriptor, and opened for reading only if it is a regular file: no link is followed, no device or FIFO opened. Of a tree
//! that nobody else has (`still`) a regular file is opened at once, which is half the work.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::stream::write_failure;
use crate::layer::chunks::ChunkWriter;
use crate::layer::tar::{Entry, Kind as EntryKind, write};
use crate::layer::tree::{failed, path_of};
use crate::layer::whiteout::is_overlays;
use crate::{Error, Kind, Result};

const NODE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// XATTR_LIST_MAX and XATTR_SIZE_MAX (xattr(7)).
const XATTRS_MAX: usize = 65536;

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Entries written.
    pub entries: u64,
    /// Bytes of all files.
    pub content_size: u64,
    /// Sockets, which tar cannot hold.
    pub skipped: Vec<Vec<u8>>,
}

/// Writes entries.
pub struct Packer<'w> {
    out: &'w mut ChunkWriter,
    clamp_mtime: Option<i64>,
    still: bool,
    /// First names of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
    block: Vec<u8>,
    names: Vec<u8>,
    packed: Packed,
}

impl<'w> Packer<'w> {
    /// Writes into a stream; later times become `clamp_mtime`.
    pub fn new(out: &'w mut ChunkWriter, clamp_mtime: Option<i64>) -> Self {
        let (names, links) = (vec![0; XATTRS_MAX], HashMap::new());
        Self { out, clamp_mtime, still: false, links, block: Vec::new(), names, packed: Packed::default() }
    }

    /// Nobody changes what is packed.
    pub fn still(self, still: bool) -> Self {
        Self { still, ..self }
    }

    /// Packs what `parent` has under `name` as `path`; a directory without what is in it. `seen` is the type it had when it was
    /// looked at. Its type; None if it is gone.
    pub fn add(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
        seen: FileType,
    ) -> Result<Option<FileType>> {
        if self.still && seen == FileType::RegularFile {
            let file = rustix::fs::openat(parent, name, READ.union(OFlags::NOFOLLOW), Mode::empty());
            return self.still_file(&file.map_err(failed(path, "open"))?, path);
        }
        match rustix::fs::openat(parent, name, NODE, Mode::empty()) {
            Ok(node) => self.add_node(&node, path),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(path, "open")(errno).with_kind(Kind::Kernel)),
        }
    }

    fn still_file(&mut self, file: &OwnedFd, path: &[u8]) -> Result<Option<FileType>> {
        let stat = rustix::fs::fstat(file).map_err(failed(path, "look at"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(failed(path, "read")(Errno::INVAL));
        }
        let mut entry = self.entry(&stat, path);
        if self.is_further_name(&mut entry, &stat) {
            return self.write_header(&entry).map(|()| Some(FileType::RegularFile));
        }
        self.opened_file(entry, file, &stat)
    }

    /// Whether it is one more name of what was packed: a hard link then.
    fn is_further_name(&mut self, entry: &mut Entry, stat: &Stat) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        let key = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&key) {
            (entry.kind, entry.link) = (EntryKind::HardLink, first.clone());
            return true;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            self.links.insert(key, entry.path.clone());
        }
        false
    }

    /// Packs what an O_PATH descriptor stands for.
    pub fn add_node(&mut self, node: &OwnedFd, path: &[u8]) -> Result<Option<FileType>> {
        let stat = rustix::fs::fstat(node).map_err(failed(path, "look at"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut entry = self.entry(&stat, path);
        if kind != FileType::Directory && self.is_further_name(&mut entry, &stat) {
            return self.write_header(&entry).map(|()| Some(kind));
        }
        if kind == FileType::RegularFile {
            return self.file(entry, node);
        }
        // An O_PATH descriptor has no attributes; the link in /proc leads to the node itself, were it a link too.
        entry.xattrs = self.xattrs(&Holder::Path(path_of(node)), path)?;
        match kind {
            FileType::Directory => {
                entry.kind = EntryKind::Directory;
                entry.path.push(b'/');
            }
            FileType::Symlink => {
                entry.kind = EntryKind::Symlink;
                let target = rustix::fs::readlinkat(node, c"", Vec::new()).map_err(failed(path, "read the link"))?;
                entry.link = target.into_bytes();
            }
            FileType::CharacterDevice | FileType::BlockDevice => {
                let block = kind == FileType::BlockDevice;
                entry.kind = if block { EntryKind::Block } else { EntryKind::Character };
                entry.device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            }
            FileType::Fifo => entry.kind = EntryKind::Fifo,
            _ => {
                self.packed.skipped.push(path.to_vec());
                return Ok(Some(kind));
            }
        }
        self.write_header(&entry)?;
        Ok(Some(kind))
    }

    /// Packs an empty file of mode 0 with this name: a whiteout.
    pub fn add_mark(&mut self, path: &[u8]) -> Result<()> {
        // The time of a deletion is not recorded anywhere: the epoch is the same for everybody.
        let entry = Entry { path: path.to_vec(), ..empty_entry() };
        self.write_header(&entry)
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<Packed> {
        self.out.write_all(&write::END_OF_ARCHIVE).map_err(|error| write_failure(&error))?;
        Ok(self.packed)
    }

    fn entry(&self, stat: &Stat, path: &[u8]) -> Entry {
        // Whole seconds, as Docker and everybody after it write.
        let seconds = stat.st_mtime;
        let seconds = self.clamp_mtime.map_or(seconds, |latest| seconds.min(latest));
        Entry {
            path: path.to_vec(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (seconds, 0),
            ..empty_entry()
        }
    }

    fn write_header(&mut self, entry: &Entry) -> Result<()> {
        self.block.clear();
        write::header(entry, &mut self.block);
        self.packed.entries += 1;
        self.out.write_all(&self.block).map_err(|error| write_failure(&error))
    }

    fn file(&mut self, entry: Entry, node: &OwnedFd) -> Result<Option<FileType>> {
        let fail = |errno| failed(&entry.path, "read")(errno).with_kind(Kind::Kernel);
        let file = rustix::fs::open(path_of(node), READ, Mode::empty()).map_err(fail)?;
        let now = rustix::fs::fstat(&file).map_err(fail)?;
        self.opened_file(entry, &file, &now)
    }

    fn opened_file(&mut self, mut entry: Entry, file: &OwnedFd, stat: &Stat) -> Result<Option<FileType>> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        entry.size = size;
        entry.xattrs = self.xattrs(&Holder::File(file), &entry.path)?;
        self.write_header(&entry)?;
        // Blocks of 512 bytes; a file that has all of its own has no holes to look for.
        if u64::try_from(stat.st_blocks).unwrap_or(0) * 512 < size {
            self.sparse_content(file, size, &entry.path)?;
        } else {
            self.content(file, 0, size, &entry.path)?;
        }
        self.packed.content_size += size;
        self.zeros(write::padding(size) as u64)?;
        Ok(Some(FileType::RegularFile))
    }

    /// Holes are written, not read.
    fn sparse_content(&mut self, file: &OwnedFd, size: u64, path: &[u8]) -> Result<()> {
        let mut at = 0;
        while at < size {
            let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(data) => data.clamp(at, size),
                Err(Errno::NXIO) => size, // nothing but a hole to the end
                Err(_) => at,             // a file system that does not know
            };
            self.zeros(data - at)?;
            let hole = rustix::fs::seek(file, SeekFrom::Hole(data)).unwrap_or(size).clamp(data, size);
            // Changed under our hands: go on as if there were no holes, so that every turn gets further.
            let hole = if hole == data && data < size { size } else { hole };
            self.content(file, data, hole - data, path)?;
            at = hole;
        }
        Ok(())
    }

    /// `length` bytes of a file; zeros where it has become shorter meanwhile.
    fn content(&mut self, file: &OwnedFd, mut at: u64, mut length: u64, path: &[u8]) -> Result<()> {
        while length > 0 {
            let count =
                self.out.fill(length, |buffer| rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, at)));
            let count = count.map_err(|error| match error.raw_os_error() {
                Some(_) => Error::io("read", String::from_utf8_lossy(path).into_owned(), &error),
                None => write_failure(&error),
            })? as u64;
            if count == 0 {
                return self.zeros(length);
            }
            (at, length) = (at + count, length - count);
        }
        Ok(())
    }

    fn zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let filled = self.out.fill(length, |buffer| {
                buffer.fill(0);
                Ok(buffer.len())
            });
            length -= filled.map_err(|error| write_failure(&error))? as u64;
        }
        Ok(())
    }

    /// The attributes that belong into a layer, sorted.
    fn xattrs(&mut self, holder: &Holder<'_>, path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let length = match holder.list(&mut self.names) {
            Ok(length) => length,
            Err(Errno::NOTSUP) => 0,
            Err(errno) => return Err(failed(path, "list the extended attributes of")(errno)),
        };
        let mut found = Vec::new();
        for name in self.names[..length].split(|&byte| byte == 0).filter(|name| is_kept(name)) {
            if is_mark(name) {
                let shown = String::from_utf8_lossy(name);
                let reason = format!("it has {shown}, which a layer cannot hold");
                return Err(Error::new(Kind::State, "pack", String::from_utf8_lossy(path).into_owned(), reason));
            }
            match holder.value(name) {
                Ok(value) => found.push((name.to_vec(), value)),
                Err(Errno::NODATA) => {} // gone meanwhile
                Err(errno) => return Err(failed(path, "read an extended attribute of")(errno)),
            }
        }
        found.sort();
        Ok(found)
    }
}

/// What has extended attributes: an open file, or what a path leads to.
enum Holder<'a> {
    File(&'a OwnedFd),
    Path(CString),
}

impl Holder<'_> {
    fn list(&self, names: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Self::File(file) => rustix::fs::flistxattr(file, names),
            Self::Path(path) => rustix::fs::listxattr(path, names),
        }
    }

    fn size(&self, name: &[u8]) -> rustix::io::Result<usize> {
        match self {
            Self::File(file) => rustix::fs::fgetxattr_query(file, name),
            Self::Path(path) => rustix::fs::getxattr_query(path, name),
        }
    }

    fn read(&self, name: &[u8], value: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Self::File(file) => rustix::fs::fgetxattr(file, name, value),
            Self::Path(path) => rustix::fs::getxattr(path, name, value),
        }
    }

    fn value(&self, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
        loop {
            let mut value = vec![0; self.size(name)?];
            if value.is_empty() {
                return Ok(value);
            }
            match self.read(name, &mut value) {
                Ok(length) => {
                    value.truncate(length);
                    return Ok(value);
                }
                Err(Errno::RANGE) => {} // it has grown
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Overlay's word for content or a name that is elsewhere; pyctr's mounts switch both off.
fn is_mark(name: &[u8]) -> bool {
    matches!(name, b"trusted.overlay.metacopy" | b"trusted.overlay.redirect")
}

/// Whether an attribute belongs into a layer: not overlay's own bookkeeping, nor what speaks of this host's security.
fn is_kept(name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    is_mark(name) || !is_overlays(name) && (!name.starts_with(b"security.") || name == b"security.capability")
}

fn empty_entry() -> Entry {
    Entry {
        kind: EntryKind::File,
        path: Vec::new(),
        link: Vec::new(),
        mode: 0,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: (0, 0),
        device: (0, 0),
        xattrs: Vec::new(),
        sparse: None,
    }
}
