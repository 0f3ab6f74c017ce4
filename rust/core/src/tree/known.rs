//! What files came to when they were read before, by what stat(2) says of them: one that is unchanged is not read again.
//!
//! As git's index does it; BuildKit, which sends a context, goes by size and modification time. Here inode, size, modification
//! and change time have to be the same, the latter of which nobody sets, and it must have been past when the file was read: what
//! changes within one tick of the clock has the same times ("racy git"). Files of other file systems than the root's are not
//! known, nor any where inodes and times are those of another machine, or where writes through a mapping change none (tmpfs).

use std::cmp::Ordering;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

use crate::Result;
use crate::files::write_atomic;
use crate::layer::digest::{Digest, Hasher};

/// ext2 to ext4, xfs, btrfs, f2fs (linux/magic.h).
const FILE_SYSTEMS: [i64; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];
const MAGIC: &[u8; 16] = b"pyctr contents 1";
const DIGEST_BYTES: usize = 32;
/// Digest of what follows, magic, device.
const HEADER_BYTES: usize = DIGEST_BYTES + MAGIC.len() + 8;
/// Inode, size, and two times.
const KEY_BYTES: usize = 6 * 8;
const ENTRY_BYTES: usize = KEY_BYTES + DIGEST_BYTES;
/// 20 MiB; what was not looked at this time goes first.
const ENTRIES_MAX: usize = 1 << 18;
/// File systems with times of whole seconds have ticks that long.
const TICK_S: i64 = 2;

type Entry = [u8; ENTRY_BYTES];

/// What is known of the files of one tree.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    /// The file system it is about; None: of this one nothing is.
    device: Option<u64>,
    /// Sorted.
    entries: Vec<Entry>,
    learned: Mutex<Vec<Entry>>,
}

impl Known {
    /// Reads what was kept for a tree; nothing is known where that cannot be read or is not whole.
    pub fn open(path: &Path, root: BorrowedFd<'_>) -> Self {
        let device = device_of(root);
        let entries = device.and_then(|device| parse(&std::fs::read(path).ok()?, device)).unwrap_or_default();
        Self { path: path.to_owned(), device, entries, learned: Mutex::default() }
    }

    /// Whether a look is worth its system call.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Size and digest of the content of a regular file that has no attributes.
    pub fn find(&self, stat: &Stat) -> Option<(u64, Digest)> {
        if self.device != Some(stat.st_dev) {
            return None;
        }
        let key = key_of(stat);
        let found = self.entries.binary_search_by(|entry| entry[..KEY_BYTES].cmp(&key)).ok()?;
        let digest = self.entries[found].last_chunk::<DIGEST_BYTES>()?;
        Some((u64::try_from(stat.st_size).ok()?, Digest::from_bytes(*digest)))
    }

    /// Keeps what a file without attributes came to. `since`: when reading it began.
    pub fn learn(&self, stat: &Stat, digest: &Digest, since: SystemTime) {
        let past = since.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()).cast_signed() - TICK_S;
        if self.device != Some(stat.st_dev) || stat.st_ctime >= past {
            return;
        }
        let mut entry = [0; ENTRY_BYTES];
        entry[..KEY_BYTES].copy_from_slice(&key_of(stat));
        entry[KEY_BYTES..].copy_from_slice(digest.as_bytes());
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Writes down what is new; nothing where nothing is.
    pub fn save(&self) -> Result<()> {
        let learned = std::mem::take(&mut *self.learned.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(device) = self.device.filter(|_| !learned.is_empty()) else { return Ok(()) };
        let mut entries = learned;
        entries.extend_from_slice(&self.entries[..self.entries.len().min(ENTRIES_MAX.saturating_sub(entries.len()))]);
        // Of one inode the newest is the first: a stable sort leaves it there.
        entries.sort_by(by_inode);
        entries.dedup_by(|later, first| by_inode(later, first) == Ordering::Equal);
        entries.truncate(ENTRIES_MAX);
        let body = [MAGIC.as_slice(), &device.to_be_bytes(), entries.as_flattened()].concat();
        let data = [checksum(&body).as_bytes().as_slice(), &body].concat();
        write_atomic(&self.path, &data, 0o600, false)
    }
}

fn by_inode(one: &Entry, other: &Entry) -> Ordering {
    one[..8].cmp(&other[..8])
}

fn device_of(root: BorrowedFd<'_>) -> Option<u64> {
    let kind = rustix::fs::fstatfs(root).ok()?.f_type;
    FILE_SYSTEMS.contains(&kind).then(|| rustix::fs::fstat(root).map(|stat| stat.st_dev).ok())?
}

fn key_of(stat: &Stat) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let times = [stat.st_mtime, stat.st_mtime_nsec.cast_signed(), stat.st_ctime, stat.st_ctime_nsec.cast_signed()];
    let numbers = [stat.st_ino, stat.st_size.cast_unsigned()].into_iter().chain(times.map(i64::cast_unsigned));
    for (place, number) in key.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    key
}

fn checksum(data: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(data);
    hasher.finish()
}

/// The entries of a file that is whole and about this device. It is not synced: a power cut may leave anything.
fn parse(data: &[u8], device: u64) -> Option<Vec<Entry>> {
    let (header, entries) = data.split_at_checked(HEADER_BYTES)?;
    let (digest, rest) = header.split_at(DIGEST_BYTES);
    let is_whole = checksum(&data[DIGEST_BYTES..]).as_bytes() == digest;
    let is_ours = rest.strip_prefix(MAGIC)? == device.to_be_bytes();
    let (entries, left) = entries.as_chunks::<ENTRY_BYTES>();
    (is_whole && is_ours && left.is_empty()).then(|| entries.to_vec())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    struct Kept {
        directory: tempfile::TempDir,
        file: PathBuf,
    }

    impl Kept {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("file");
            fs::write(&file, "content").unwrap();
            Self { directory, file }
        }

        /// As on a disk, wherever tests have their files.
        fn known(&self) -> Known {
            let root = File::open(self.directory.path()).unwrap();
            let device = rustix::fs::fstat(&root).unwrap().st_dev;
            let path = self.directory.path().join("known");
            let entries = fs::read(&path).ok().and_then(|data| parse(&data, device)).unwrap_or_default();
            Known { entries, device: Some(device), ..Known::open(&path, root.as_fd()) }
        }

        fn stat(&self) -> Stat {
            rustix::fs::stat(&self.file).unwrap()
        }

        fn learn(&self, since: SystemTime) {
            let known = self.known();
            known.learn(&self.stat(), &checksum(b"content"), since);
            known.save().unwrap();
        }
    }

    #[test]
    fn unchanged_file_is_known_and_any_change_makes_it_unknown() {
        let kept = Kept::new();
        kept.learn(SystemTime::now() + Duration::from_secs(60));
        assert_eq!(kept.known().find(&kept.stat()), Some((7, checksum(b"content"))));
        let before = kept.stat();
        let file = File::options().write(true).open(&kept.file).unwrap();
        // Clocks of file systems have ticks.
        while (kept.stat().st_ctime, kept.stat().st_ctime_nsec) == (before.st_ctime, before.st_ctime_nsec) {
            fs::write(&kept.file, "tnetnoc").unwrap();
        }
        let times = fs::FileTimes::new().set_modified(
            UNIX_EPOCH + Duration::new(before.st_mtime.cast_unsigned(), u32::try_from(before.st_mtime_nsec).unwrap()),
        );
        file.set_times(times).unwrap();
        assert_eq!((kept.stat().st_mtime, kept.stat().st_mtime_nsec), (before.st_mtime, before.st_mtime_nsec));
        assert_eq!(kept.known().find(&kept.stat()), None);
    }

    #[test]
    fn what_changed_just_now_is_not_kept() {
        let kept = Kept::new();
        kept.learn(SystemTime::now());
        assert!(kept.known().is_empty());
    }

    #[test]
    fn a_file_that_is_not_whole_says_nothing() {
        let kept = Kept::new();
        kept.learn(SystemTime::now() + Duration::from_secs(60));
        let path = kept.directory.path().join("known");
        let mut data = fs::read(&path).unwrap();
        assert_eq!(data.len(), HEADER_BYTES + ENTRY_BYTES);
        *data.last_mut().unwrap() ^= 1;
        fs::write(&path, &data).unwrap();
        assert!(kept.known().is_empty());
        fs::write(&path, &data[..20]).unwrap();
        assert!(kept.known().is_empty());
    }

    #[test]
    fn of_one_inode_only_the_newest_is_kept() {
        let kept = Kept::new();
        let later = SystemTime::now() + Duration::from_secs(60);
        kept.learn(later);
        fs::write(&kept.file, "longer content").unwrap();
        kept.learn(later);
        assert_eq!(kept.known().entries.len(), 1);
        assert_eq!(kept.known().find(&kept.stat()).unwrap().0, 14);
    }
}
