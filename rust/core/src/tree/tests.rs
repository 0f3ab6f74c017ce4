#![allow(clippy::unwrap_used)]
//! Copies, digests and wildcards on real directories.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::Kind;

const SECOND: Duration = Duration::from_secs(1);

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap()
}

fn options() -> CopyOptions {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    CopyOptions { owner: Some(own), mode: None, times: Times::Kept, parents_from: None }
}

struct Pair {
    from: tempfile::TempDir,
    to: tempfile::TempDir,
    skip: HashSet<Vec<u8>>,
}

impl Pair {
    fn new() -> Self {
        let from = tempfile::tempdir().unwrap();
        fs::create_dir_all(from.path().join("d/sub")).unwrap();
        fs::write(from.path().join("a.txt"), "a").unwrap();
        fs::write(from.path().join("b.txt"), "b").unwrap();
        fs::write(from.path().join("d/x.txt"), "x").unwrap();
        fs::write(from.path().join("d/sub/y"), "y").unwrap();
        symlink("x.txt", from.path().join("d/link")).unwrap();
        symlink("/../../../../etc/passwd", from.path().join("out")).unwrap();
        Self { from, to: tempfile::tempdir().unwrap(), skip: HashSet::new() }
    }

    fn copy(&self, path: &str, target: &str, options: &CopyOptions) -> crate::Result<Copied> {
        let (from, to) = (open(self.from.path()), open(self.to.path()));
        let source = Source { root: from.as_fd(), skip: &self.skip, anonymous: false, known: None };
        copy(source, path.as_bytes(), to.as_fd(), target.as_bytes(), options, None)
    }

    fn digest(&self, path: &str) -> String {
        let from = open(self.from.path());
        let source = Source { root: from.as_fd(), skip: &self.skip, anonymous: false, known: None };
        digest(source, path.as_bytes()).unwrap().to_string()
    }

    fn expand(&self, pattern: &str) -> Vec<String> {
        let from = open(self.from.path());
        let source = Source { root: from.as_fd(), skip: &self.skip, anonymous: false, known: None };
        let found = expand(source, pattern.as_bytes()).unwrap();
        found.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.to.path().join(path)).unwrap()
    }
}

#[test]
fn file_becomes_the_target_or_goes_into_it() {
    let pair = Pair::new();
    pair.copy("a.txt", "/new/name", &options()).unwrap();
    assert_eq!(pair.read("new/name"), "a");
    pair.copy("a.txt", "new", &options()).unwrap();
    pair.copy("b.txt", "/other/", &options()).unwrap();
    assert_eq!((pair.read("new/a.txt"), pair.read("other/b.txt")), ("a".into(), "b".into()));
}

#[test]
fn directory_gives_its_contents_and_keeps_links() {
    let pair = Pair::new();
    let copied = pair.copy("d", "/t", &options()).unwrap();
    assert_eq!((pair.read("t/x.txt"), pair.read("t/sub/y")), ("x".into(), "y".into()));
    assert_eq!(fs::read_link(pair.to.path().join("t/link")).unwrap(), Path::new("x.txt"));
    assert_eq!((copied.entries, copied.size), (5, 2));
    assert_eq!(copied.digest.to_string(), pair.digest("d"));
}

#[test]
fn skipped_names_are_neither_copied_nor_counted() {
    let mut pair = Pair::new();
    let all = pair.digest("d");
    pair.skip.insert(b"d/sub".to_vec());
    assert_ne!(all, pair.digest("d"));
    pair.copy("d", "/t", &options()).unwrap();
    assert!(!pair.to.path().join("t/sub").exists());
    assert_eq!(pair.copy("d/sub/y", "/t/", &options()).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn links_out_of_either_tree_stay_inside() {
    let pair = Pair::new();
    assert_eq!(pair.copy("out", "/x", &options()).unwrap_err().kind, Kind::NotFound);
    symlink("/../../../../../tmp", pair.to.path().join("escape")).unwrap();
    pair.copy("a.txt", "/escape/here", &options()).unwrap();
    assert_eq!(pair.read("tmp/here"), "a");
}

/// A copy goes through a tree file by file, a digest has many read at once, and never keeps all directories open.
#[test]
fn digest_of_many_files_is_that_of_the_copy_made_of_them() {
    let pair = Pair::new();
    for directory in 0..300 {
        let path = pair.from.path().join(format!("many/d{directory}"));
        fs::create_dir_all(&path).unwrap();
        symlink("elsewhere", path.join("m")).unwrap();
        for name in ["a", "x", "z"] {
            fs::write(path.join(name), format!("{directory}{name}")).unwrap();
        }
    }
    for number in 0..5000 {
        fs::write(pair.from.path().join(format!("many/f{number}")), number.to_string()).unwrap();
    }
    let before = pair.digest("many");
    assert_eq!(pair.copy("many", "/t", &options()).unwrap().digest.to_string(), before);
    fs::write(pair.from.path().join("many/d299/z"), "other").unwrap();
    assert_ne!(pair.digest("many"), before);
}

#[test]
fn digest_sees_content_and_mode_not_time() {
    let pair = Pair::new();
    let before = pair.digest("");
    let file = pair.from.path().join("a.txt");
    let opened = fs::File::options().write(true).open(&file).unwrap();
    opened.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(before, pair.digest(""));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(before, pair.digest(""));
}

#[test]
fn hard_links_stay_links_and_modes_are_changed() {
    let pair = Pair::new();
    fs::hard_link(pair.from.path().join("d/x.txt"), pair.from.path().join("d/again")).unwrap();
    let changed =
        CopyOptions { mode: Some(ModeChange::parse("u=rwX,go=").unwrap()), times: Times::Set(1000), ..options() };
    pair.copy("d", "/t", &changed).unwrap();
    let meta = |name: &str| fs::metadata(pair.to.path().join(name)).unwrap();
    assert_eq!(meta("t/again").ino(), meta("t/x.txt").ino());
    assert_eq!((meta("t/x.txt").mode() & 0o777, meta("t/sub").mode() & 0o777), (0o600, 0o700));
    assert_eq!((meta("t/x.txt").mtime(), meta("t/sub").mtime()), (1000, 1000));
}

/// Files are made on several processors, but of one with several names the first in the walk is made, whatever is between.
#[test]
fn names_of_one_file_among_many_are_one_file_again() {
    let pair = Pair::new();
    fs::create_dir(pair.from.path().join("many")).unwrap();
    for number in 0..500 {
        fs::write(pair.from.path().join(format!("many/f{number}")), number.to_string()).unwrap();
    }
    for name in ["many/a", "many/f25a", "many/z"] {
        fs::hard_link(pair.from.path().join("many/f7"), pair.from.path().join(name)).unwrap();
    }
    let copied = pair.copy("many", "/t", &options()).unwrap();
    assert_eq!(copied.digest.to_string(), pair.digest("many"));
    assert_eq!((copied.entries, copied.size), (504, 10 + 2 * 90 + 3 * 400));
    let inode = |name: &str| fs::metadata(pair.to.path().join(name)).unwrap().ino();
    assert!(["t/f7", "t/f25a", "t/z"].iter().all(|name| inode(name) == inode("t/a")));
    assert!((0..500).all(|number| pair.read(&format!("t/f{number}")) == number.to_string()));
}

#[test]
fn settling_leaves_what_is_settled_alone() {
    let pair = Pair::new();
    let upper = pair.from.path();
    fs::create_dir(upper.join("d2")).unwrap();
    for name in ["d/sub/y", "d/x.txt", "d2/x"] {
        fs::File::create(upper.join(name)).unwrap().set_modified(std::time::UNIX_EPOCH + SECOND * 5 / 2).unwrap();
    }
    settle(&rustix::fs::open(upper, path::DIRECTORY, rustix::fs::Mode::empty()).unwrap(), Some(1), Some(b"d/sub"))
        .unwrap();
    let time = |name: &str| {
        let meta = fs::metadata(upper.join(name)).unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!(
        (time("d/sub/y"), time("d/x.txt"), time("d2/x"), time("d/sub")),
        ((2, 500_000_000), (1, 0), (1, 0), (1, 0))
    );
}

#[test]
fn file_never_replaces_a_directory_nor_a_directory_a_file() {
    let pair = Pair::new();
    fs::create_dir_all(pair.to.path().join("t/x.txt")).unwrap();
    assert!(pair.copy("d", "/t", &options()).unwrap_err().to_string().contains("cannot replace to directory"));
    fs::write(pair.to.path().join("file"), "").unwrap();
    assert!(pair.copy("d", "/file", &options()).unwrap_err().to_string().contains("cannot copy to non-directory"));
}

#[test]
fn parents_are_kept_from_where_they_begin() {
    let pair = Pair::new();
    pair.copy("d/sub/y", "/t/", &CopyOptions { parents_from: Some(0), ..options() }).unwrap();
    pair.copy("d/sub", "/u", &CopyOptions { parents_from: Some(2), ..options() }).unwrap();
    assert_eq!((pair.read("t/d/sub/y"), pair.read("u/sub/y")), ("y".into(), "y".into()));
}

#[test]
fn wildcards_are_gos() {
    let pair = Pair::new();
    assert_eq!(pair.expand("*.txt"), ["a.txt", "b.txt"]);
    assert_eq!(pair.expand("[^a].txt"), ["b.txt"]);
    assert_eq!(pair.expand("d/*"), ["d/link", "d/sub", "d/x.txt"]);
    assert_eq!(pair.expand("*/*/y"), ["d/sub/y"]);
    assert_eq!(pair.expand("**/y"), ["d/sub/y"]);
    assert_eq!(pair.expand("nothing*"), Vec::<String>::new());
    assert_eq!(pair.expand("/plain/../name/"), ["plain/../name"]);
}

#[test]
fn fifo_in_the_way_does_not_hang() {
    let pair = Pair::new();
    let fifo = pair.from.path().join("d/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    pair.copy("d", "/t", &options()).unwrap();
    assert!(!fs::metadata(pair.to.path().join("t/fifo")).unwrap().is_file());
}
