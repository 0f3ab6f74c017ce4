//! Extraction of a layer: one pass over the stream, both digests, overlay's whiteouts.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::codec;
use super::digest::{Digest, Expected, Hasher, corrupt};
use super::tar::{Entry, Kind, TarReader};
use super::tree::{Tree, c_name, components, kind_of, path_of, remove};
use crate::{Error, Result};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks between the two threads: 2 MiB, so that neither waits for the other's every breath.
const CHUNKS: usize = 8;

/// Bounds on what a layer may unpack to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the uncompressed stream.
    pub max_bytes: u64,
    /// Entries.
    pub max_entries: u64,
}

impl Default for Limits {
    /// 64 GiB and 4 million entries: far above any image, far below what fills a host by a bomb of kilobytes.
    fn default() -> Self {
        Self { max_bytes: 64 << 30, max_entries: 4_000_000 }
    }
}

/// How overlay is told of deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// trusted.overlay.* attributes (root).
    Trusted,
    /// user.overlay.* attributes (a mount with `userxattr`, for user namespaces).
    User,
}

impl Whiteouts {
    fn opaque_attribute(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extracted {
    /// Digest of the stream as it came.
    pub digest: Digest,
    /// Its length.
    pub compressed_size: u64,
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Bytes of all files.
    pub size: u64,
    /// Entries.
    pub entries: u64,
}

/// Extracts a layer into an empty directory and verifies it.
///
/// On error the directory holds part of the layer; the caller throws it away.
pub fn extract(
    source: impl Read + Send,
    root: BorrowedFd<'_>,
    expected: Expected,
    expected_diff_id: Option<Digest>,
    limits: Limits,
    whiteouts: Whiteouts,
) -> Result<Extracted> {
    let (sender, receiver) = sync_channel::<Vec<u8>>(CHUNKS);
    let (recycle, recycled) = sync_channel::<Vec<u8>>(CHUNKS + 2);
    let (decoded, written) = std::thread::scope(|scope| {
        let decoding = scope.spawn(move || decode(source, &sender, &recycled, limits.max_bytes));
        let chunks = Chunks { receiver, recycle, current: Vec::new(), position: 0, hasher: Hasher::default() };
        let written = write(chunks, root, limits, whiteouts);
        let decoded = decoding.join().unwrap_or_else(|_| Err(corrupt("layer", "the decoder failed")));
        (decoded, written)
    });
    // A stream that cannot be decoded also looks cut short to who writes: the cause is told, not the effect.
    let (digest, compressed_size) = decoded?;
    let (diff_id, size, entries) = written?;
    expected.check("layer", &digest, compressed_size)?;
    Expected { digest: expected_diff_id, size: None }.check("uncompressed layer", &diff_id, 0)?;
    Ok(Extracted { digest, compressed_size, diff_id, size, entries })
}

/// Reads, hashes and inflates; the other thread hashes what comes out and writes it.
fn decode(
    source: impl Read + Send,
    sender: &SyncSender<Vec<u8>>,
    recycled: &Receiver<Vec<u8>>,
    max_bytes: u64,
) -> Result<(Digest, u64)> {
    let mut source = HashingReader { inner: source, hasher: Hasher::default() };
    let fail = |error: std::io::Error| match error.raw_os_error() {
        Some(_) => Error::io("read", "layer", &error),
        None => corrupt("layer", error.to_string()),
    };
    {
        let mut decoder = codec::decoder(&mut source)?;
        let mut total = 0u64;
        loop {
            let mut chunk = recycled.try_recv().unwrap_or_default();
            chunk.resize(CHUNK_BYTES, 0);
            let count = fill(&mut decoder, &mut chunk).map_err(fail)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > max_bytes {
                return Err(corrupt("layer", format!("unpacks to more than {max_bytes} bytes")));
            }
            chunk.truncate(count);
            if sender.send(chunk).is_err() {
                break; // the writer failed, and says why
            }
        }
    }
    // Bytes behind the compressed data belong to the digest too.
    let mut rest = std::io::BufReader::new(&mut source);
    codec::drain(&mut rest).map_err(fail)?;
    let length = source.hasher.length;
    Ok((source.hasher.finish(), length))
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// The uncompressed stream, hashed as it is read.
struct Chunks {
    receiver: Receiver<Vec<u8>>,
    recycle: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    hasher: Hasher,
}

impl Chunks {
    fn next(&mut self) -> bool {
        let used = std::mem::take(&mut self.current);
        let _ = self.recycle.try_send(used);
        match self.receiver.recv() {
            Ok(chunk) => {
                self.hasher.update(&chunk);
                (self.current, self.position) = (chunk, 0);
                true
            }
            Err(_) => false,
        }
    }

    fn finish(mut self) -> Digest {
        while self.next() {}
        self.hasher.finish()
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.position == self.current.len() && !self.next() {
            return Ok(0);
        }
        let count = buffer.len().min(self.current.len() - self.position);
        buffer[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

fn write(chunks: Chunks, root: BorrowedFd<'_>, limits: Limits, whiteouts: Whiteouts) -> Result<(Digest, u64, u64)> {
    let mut reader = TarReader::new(chunks);
    let mut writer = Writer {
        tree: Tree::new(root),
        whiteouts,
        unprivileged: !rustix::process::geteuid().is_root(),
        directories: Vec::new(),
        buffer: vec![0; CHUNK_BYTES],
    };
    let (mut size, mut entries) = (0u64, 0u64);
    while let Some(entry) = reader.next_entry()? {
        entries += 1;
        if entries > limits.max_entries {
            return Err(corrupt("layer", format!("has more than {} entries", limits.max_entries)));
        }
        size = size.saturating_add(entry.size);
        if entry.size > limits.max_bytes {
            return Err(corrupt("layer", "a file is larger than the layer may be"));
        }
        writer.entry(&entry, &mut reader)?;
    }
    writer.finish()?;
    Ok((reader.into_inner().finish(), size, entries))
}

struct Writer<'fd> {
    tree: Tree<'fd>,
    whiteouts: Whiteouts,
    /// Owners cannot be given away, and are not.
    unprivileged: bool,
    /// Times of directories, set last: what is written into one changes them.
    directories: Vec<(Vec<u8>, (i64, u32))>,
    buffer: Vec<u8>,
}

fn failed<'a>(entry: &'a Entry, operation: &'a str) -> impl Fn(Errno) -> Error + 'a {
    move |errno| Error::kernel(operation, String::from_utf8_lossy(&entry.path).into_owned(), errno)
}

impl Writer<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut impl Read) -> Result<()> {
        let parts = components(&entry.path)?;
        let Some((name, parents)) = parts.split_last() else {
            return if entry.kind == Kind::Directory {
                self.root_attributes(entry)
            } else {
                Err(corrupt("archive", "member without a name"))
            };
        };
        if name.starts_with(WHITEOUT) {
            return self.whiteout(entry, name, parents);
        }
        let name = c_name(name)?;
        match entry.kind {
            Kind::File => self.file(entry, parents, &name, content),
            Kind::Directory => self.directory(entry, &parts, parents, &name),
            Kind::HardLink => self.hard_link(entry, parents, &name),
            Kind::Symlink => self.symlink(entry, parents, &name),
            Kind::Character | Kind::Block | Kind::Fifo => self.node(entry, parents, &name),
        }
    }

    fn file(&mut self, entry: &Entry, parents: &[&[u8]], name: &CString, content: &mut impl Read) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                remove(parent, name).map_err(failed(entry, "replace"))?;
                open()
            }
            other => other,
        }
        .map_err(failed(entry, "create"))?;
        match &entry.sparse {
            None => self.copy(entry, &file, content, entry.size)?,
            Some(map) => {
                rustix::fs::ftruncate(&file, entry.size).map_err(failed(entry, "extend"))?;
                for segment in map {
                    let position = rustix::fs::SeekFrom::Start(segment.offset);
                    rustix::fs::seek(&file, position).map_err(failed(entry, "seek in"))?;
                    self.copy(entry, &file, content, segment.length)?;
                }
            }
        }
        self.attributes(entry, &file, 0o600)
    }

    fn copy(&mut self, entry: &Entry, file: &OwnedFd, content: &mut impl Read, mut length: u64) -> Result<()> {
        while length > 0 {
            let wanted = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            let count = content.read(&mut self.buffer[..wanted]).map_err(|_| corrupt("archive", "unexpected end"))?;
            if count == 0 {
                return Err(corrupt("archive", "unexpected end"));
            }
            let mut rest = &self.buffer[..count];
            while !rest.is_empty() {
                let written = rustix::io::write(file, rest).map_err(failed(entry, "write"))?;
                rest = &rest[written..];
            }
            length -= count as u64;
        }
        Ok(())
    }

    /// Owner, attributes, mode, times, in this order: a change of owner clears set-uid bits and capabilities (chown(2)).
    fn attributes(&self, entry: &Entry, file: &OwnedFd, mode_now: u32) -> Result<()> {
        if !self.unprivileged && (entry.uid != 0 || entry.gid != 0) {
            rustix::fs::fchown(file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .map_err(failed(entry, "change the owner of"))?;
        }
        self.xattrs(entry, &path_of(file))?;
        if entry.mode != mode_now {
            rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(failed(entry, "change the mode of"))?;
        }
        rustix::fs::futimens(file, &times(entry.mtime)).map_err(failed(entry, "set the times of"))
    }

    fn xattrs(&self, entry: &Entry, path: &str) -> Result<()> {
        for (name, value) in &entry.xattrs {
            // These would speak to overlay in the layer's name.
            if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
                continue;
            }
            match rustix::fs::setxattr(path, c_name(name)?, value, XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP) => {}
                Err(Errno::PERM) if self.unprivileged || name.starts_with(b"user.") => {}
                Err(errno) => return Err(failed(entry, "set an extended attribute of")(errno)),
            }
        }
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, parts: &[&[u8]], parents: &[&[u8]], name: &CString) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let mut hides_lower = false;
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let existing = kind_of(parent, name).map_err(failed(entry, "look at"))?;
                // Entered only if it is a directory itself (CVE-2026-33056); a link to one is replaced.
                if !matches!(existing, Some((FileType::Directory, _))) {
                    hides_lower = matches!(existing, Some((FileType::CharacterDevice, 0)));
                    remove(parent, name).map_err(failed(entry, "replace"))?;
                    rustix::fs::mkdirat(parent, name, Mode::RWXU).map_err(failed(entry, "make directory"))?;
                }
            }
            Err(errno) => return Err(failed(entry, "make directory")(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed(entry, "open directory"))?;
        self.attributes(entry, &directory, 0)?;
        if hides_lower {
            self.make_opaque(entry, &directory)?;
        }
        self.directories.push((parts.join(&b'/'), entry.mtime));
        Ok(())
    }

    fn root_attributes(&mut self, entry: &Entry) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(self.tree.root(), c".", flags, Mode::empty()).map_err(failed(entry, "open"))?;
        self.attributes(entry, &root, 0)?;
        self.directories.push((Vec::new(), entry.mtime));
        Ok(())
    }

    fn hard_link(&mut self, entry: &Entry, parents: &[&[u8]], name: &CString) -> Result<()> {
        let target = components(&entry.link)?;
        let Some((target_name, target_parents)) = target.split_last() else {
            return Err(corrupt("archive", "hard link to nothing"));
        };
        let target_name = c_name(target_name)?;
        let from = self
            .tree
            .resolve(&target_parents.join(&b'/'), pyctr_init::sys::open::PATH | pyctr_init::sys::open::DIRECTORY);
        let from = from.map_err(failed(entry, "find the target of hard link"))?;
        let parent = self.tree.directory(parents)?;
        // No AT_SYMLINK_FOLLOW: a link to a link is a second name of that link, wherever it points.
        let link = || rustix::fs::linkat(&from, &target_name, parent, name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                let same = kind_and_inode(from.as_fd(), &target_name) == kind_and_inode(parent, name);
                if same {
                    return Ok(());
                }
                remove(parent, name).map_err(failed(entry, "replace"))?;
                link()
            }
            other => other,
        }
        .map_err(failed(entry, "make hard link"))
    }

    fn symlink(&mut self, entry: &Entry, parents: &[&[u8]], name: &CString) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let target = c_name(&entry.link)?;
        let make = || rustix::fs::symlinkat(&target, parent, name);
        match make() {
            Err(Errno::EXIST) => {
                remove(parent, name).map_err(failed(entry, "replace"))?;
                make()
            }
            other => other,
        }
        .map_err(failed(entry, "make symbolic link"))?;
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        if !self.unprivileged && (entry.uid != 0 || entry.gid != 0) {
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed(entry, "change the owner of"))?;
        }
        rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed(entry, "set the times of"))
    }

    fn node(&mut self, entry: &Entry, parents: &[&[u8]], name: &CString) -> Result<()> {
        let parent = self.tree.directory(parents)?;
        let kind = match entry.kind {
            Kind::Character => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let make = || rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device);
        match make() {
            Err(Errno::EXIST) => {
                remove(parent, name).map_err(failed(entry, "replace"))?;
                make()
            }
            other => other,
        }
        .map_err(failed(entry, "make device"))?;
        // A device cannot be opened for its attributes without waking its driver; O_PATH does not.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let node = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed(entry, "open"))?;
        let path = path_of(&node);
        if !self.unprivileged {
            rustix::fs::chown(path.as_str(), Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .map_err(failed(entry, "change the owner of"))?;
        }
        self.xattrs(entry, &path)?;
        rustix::fs::chmod(path.as_str(), Mode::from_raw_mode(entry.mode))
            .map_err(failed(entry, "change the mode of"))?;
        rustix::fs::utimensat(rustix::fs::CWD, path.as_str(), &times(entry.mtime), AtFlags::empty())
            .map_err(failed(entry, "set the times of"))
    }

    /// Deletions (image-spec, "Whiteouts"), as overlay knows them: a character device 0:0, or a directory marked opaque.
    fn whiteout(&mut self, entry: &Entry, name: &[u8], parents: &[&[u8]]) -> Result<()> {
        if name == OPAQUE {
            let parent = self.tree.directory(parents)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(parent, c".", flags, Mode::empty()).map_err(failed(entry, "open"))?;
            return self.make_opaque(entry, &directory);
        }
        if name.starts_with(AUFS) && name.len() > AUFS.len() {
            return Ok(()); // aufs's own bookkeeping, which Docker skips too
        }
        let hidden = &name[WHITEOUT.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            let shown = String::from_utf8_lossy(&entry.path).into_owned();
            return Err(corrupt("archive", format!("whiteout {shown:?} names nothing")));
        }
        let hidden = c_name(hidden)?;
        let parent = self.tree.directory(parents)?;
        match kind_of(parent, &hidden).map_err(failed(entry, "look at"))? {
            None => rustix::fs::mknodat(parent, &hidden, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(failed(entry, "make whiteout")),
            // A whiteout speaks of lower layers only; what this layer brings itself stays, and hides them.
            Some((FileType::Directory, _)) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let directory =
                    rustix::fs::openat(parent, &hidden, flags, Mode::empty()).map_err(failed(entry, "open"))?;
                self.make_opaque(entry, &directory)
            }
            Some(_) => Ok(()),
        }
    }

    fn make_opaque(&self, entry: &Entry, directory: &OwnedFd) -> Result<()> {
        rustix::fs::fsetxattr(directory, self.whiteouts.opaque_attribute(), b"y", XattrFlags::empty())
            .map_err(failed(entry, "mark opaque"))
    }

    /// Times of directories, the deepest first come last in no order that matters: nothing is written any more.
    fn finish(&mut self) -> Result<()> {
        self.tree.forget();
        for (path, mtime) in std::mem::take(&mut self.directories) {
            let flags = pyctr_init::sys::open::RDONLY | pyctr_init::sys::open::DIRECTORY;
            match self.tree.resolve(&path, flags) {
                Ok(directory) => rustix::fs::futimens(&directory, &times(mtime)).map_err(|errno| {
                    Error::kernel("set the times of", String::from_utf8_lossy(&path).into_owned(), errno)
                })?,
                Err(Errno::NOENT | Errno::NOTDIR) => {} // replaced by a later entry
                Err(errno) => return Err(Error::kernel("open", String::from_utf8_lossy(&path).into_owned(), errno)),
            }
        }
        Ok(())
    }
}

fn kind_and_inode(parent: BorrowedFd<'_>, name: &CString) -> Option<(u64, u64)> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
    Timestamps { last_access: time, last_modification: time }
}
