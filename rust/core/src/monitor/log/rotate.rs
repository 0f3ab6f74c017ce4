//! A log file that is rotated by size: `log`, `log.1`, `log.2`… the older the higher, compressed if so wished.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{WaitId, WaitIdOptions};

use super::TOKEN;
use crate::monitor::poller::{EventFlags, Poller, Source};
use crate::sys::monitor::fork_worker;

const MODE: u32 = 0o640;

/// When and how a log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file this large is followed by the next; it may be larger by one entry, as in Docker. None: never.
    pub max_size: Option<u64>,
    /// How many files there are at most, the current one included.
    pub max_files: u32,
    /// Older files are compressed, by a process of their own.
    pub compress: bool,
}

/// The files of one log.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    /// Opened at the first byte: a silent container has no log to make.
    file: Option<File>,
    size: u64,
    poller: Poller,
    compressor: Option<Source>,
    /// Bytes that could not be written.
    pub lost: u64,
}

impl RotatingFile {
    /// Nothing is opened yet.
    pub fn new(path: &Path, rotation: Rotation, poller: &Poller) -> Self {
        let path = path.to_owned();
        Self { path, rotation, file: None, size: 0, poller: poller.clone(), compressor: None, lost: 0 }
    }

    /// Opens the file, if it is not open; what an earlier life of the container wrote counts.
    pub fn open(&mut self) {
        if self.file.is_some() {
            return;
        }
        if let Ok(file) = OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path) {
            self.size = file.metadata().map_or(0, |data| data.len());
            self.file = Some(file);
        }
    }

    /// Whether the next entry belongs into the next file, `pending` bytes being still to be appended to this one.
    pub fn is_due(&self, pending: usize) -> bool {
        self.rotation.max_size.is_some_and(|max| self.size + pending as u64 >= max)
    }

    /// The next entry must wait for a compression under way.
    pub fn is_busy(&self) -> bool {
        self.compressor.is_some() && self.is_due(0)
    }

    /// Appends whole entries. A full disk loses them, never the container, and leaves no half of one behind.
    pub fn append(&mut self, entries: &[u8]) {
        self.open();
        let written = self.file.as_mut().map(|file| file.write_all(entries));
        match (written, &self.file) {
            (Some(Ok(())), _) => self.size += entries.len() as u64,
            (_, file) => {
                self.lost += entries.len() as u64;
                let _ = file.as_ref().map(|file| file.set_len(self.size));
            }
        }
    }

    fn name(&self, index: u32, extension: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{index}{extension}"));
        name.into()
    }

    /// `log` becomes `log.1`, that `log.2`, and the last one goes. One that readers have open stays whole for them.
    pub fn rotate(&mut self) {
        self.wait_for_compressor();
        self.file = None;
        self.size = 0;
        if self.rotation.max_files < 2 {
            let _ = std::fs::remove_file(&self.path);
            return;
        }
        let extensions: &[&str] = if self.rotation.compress { &[".gz", ""] } else { &[""] };
        for extension in extensions {
            let _ = std::fs::remove_file(self.name(self.rotation.max_files - 1, extension));
            for index in (1..self.rotation.max_files - 1).rev() {
                let _ = std::fs::rename(self.name(index, extension), self.name(index + 1, extension));
            }
        }
        let newest = self.name(1, "");
        let _ = std::fs::rename(&self.path, &newest);
        if self.rotation.compress {
            self.start_compressor(&newest);
        }
    }

    fn start_compressor(&mut self, path: &Path) {
        let Ok((_, pidfd)) = fork_worker(|| compress(path).is_ok()) else { return };
        let mut source = self.poller.source(pidfd, TOKEN);
        let _ = source.watch(EventFlags::IN);
        self.compressor = Some(source);
    }

    /// The compressor has ended, or must have before we go on.
    pub fn wait_for_compressor(&mut self) {
        if let Some(source) = self.compressor.take() {
            reap(source.owned());
        }
    }
}

fn reap(pidfd: &OwnedFd) {
    let wait = || rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).err();
    while wait() == Some(rustix::io::Errno::INTR) {}
}

/// `path` becomes `path.gz`; at every moment one of the two is whole.
fn compress(path: &Path) -> std::io::Result<()> {
    let with = |extension: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let mut input = File::open(path)?;
    let output = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(with(".gz.tmp"))?;
    let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
    let copied = std::io::copy(&mut input, &mut encoder).and_then(|_| encoder.finish());
    if let Err(error) = copied {
        let _ = std::fs::remove_file(with(".gz.tmp"));
        return Err(error);
    }
    std::fs::rename(with(".gz.tmp"), with(".gz"))?;
    std::fs::remove_file(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;

    fn log(dir: &tempfile::TempDir, max_files: u32, compress: bool) -> RotatingFile {
        let rotation = Rotation { max_size: Some(10), max_files, compress };
        RotatingFile::new(&dir.path().join("log"), rotation, &Poller::new().unwrap())
    }

    fn write(log: &mut RotatingFile, entries: impl IntoIterator<Item = u32>) {
        for number in entries {
            log.open();
            if log.is_due(0) {
                log.rotate();
            }
            log.append(format!("entry{number}\n").as_bytes());
        }
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(dir: &tempfile::TempDir, name: &str) -> String {
        std::fs::read_to_string(dir.path().join(name)).unwrap()
    }

    #[test]
    fn test_rotate_size_reached_next_entry_begins_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, 3, false);
        write(&mut log, 0..2);
        assert_eq!(names(&dir), ["log"]);
        write(&mut log, 2..9);
        assert_eq!(names(&dir), ["log", "log.1", "log.2"]);
        assert_eq!(
            [read(&dir, "log.2"), read(&dir, "log.1"), read(&dir, "log")],
            ["entry4\nentry5\n", "entry6\nentry7\n", "entry8\n"]
        );
    }

    #[test]
    fn test_rotate_single_file_readers_keep_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, 1, false);
        write(&mut log, 0..2);
        let mut reader = File::open(dir.path().join("log")).unwrap();
        write(&mut log, 2..3);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), read(&dir, "log").as_str(), names(&dir).len()), ("entry0\nentry1\n", "entry2\n", 1));
    }

    #[test]
    fn test_rotate_compressed_files_hold_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, 3, true);
        write(&mut log, 0..9);
        log.wait_for_compressor();
        assert_eq!(names(&dir), ["log", "log.1.gz", "log.2.gz"]);
        let mut text = String::new();
        let file = File::open(dir.path().join("log.1.gz")).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "entry6\nentry7\n");
    }

    #[test]
    fn test_open_earlier_life_counts_against_the_size() {
        let dir = tempfile::tempdir().unwrap();
        write(&mut log(&dir, 2, false), 0..2);
        write(&mut log(&dir, 2, false), 2..3);
        assert_eq!((read(&dir, "log.1").as_str(), read(&dir, "log").as_str()), ("entry0\nentry1\n", "entry2\n"));
    }

    #[test]
    fn test_append_impossible_loses_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir, 2, false);
        log.path = dir.path().join("missing/log");
        log.append(b"1234");
        assert_eq!(log.lost, 4);
    }
}
