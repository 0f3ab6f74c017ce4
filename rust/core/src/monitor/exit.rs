//! What goes when a container has ended: by descriptor, never through a link, never across a mount.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::config::Config;

/// Deeper trees than this are left: the removal recurses.
const MAX_DEPTH: usize = 4096;

/// Frees the name of a `--rm` container and hides its directory from every command, in two steps that cannot be seen apart
/// for long; the slow part is [`remove_directories`].
pub fn give_up_name(config: &Config) {
    let Some(remove) = &config.remove else { return };
    let holds = std::fs::read_to_string(&remove.name).is_ok_and(|id| id.trim() == config.id);
    if holds {
        let _ = std::fs::remove_file(&remove.name);
    }
    let _ = std::fs::remove_file(config.container_dir.join("config.json"));
}

/// Removes the run-time directory, and for `--rm` the container's directory and its anonymous volumes.
pub fn remove_directories(config: &Config) {
    remove_tree(&config.run_dir);
    if let Some(remove) = &config.remove {
        remove_tree(&config.container_dir);
        remove.volumes.iter().for_each(|volume| remove_tree(volume));
    }
}

/// Removes a directory and what is in it. What cannot be removed is left.
pub fn remove_tree(path: &Path) {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(directory) = rustix::fs::open(path, flags, Mode::empty())
        && let Ok(stat) = rustix::fs::fstat(&directory)
    {
        empty(directory.as_fd(), stat.st_dev, 0);
    }
    let _ = rustix::fs::rmdir(path);
}

fn empty(directory: BorrowedFd<'_>, device: u64, depth: usize) {
    let Ok(entries) = Dir::read_from(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) if entry.file_type() != FileType::RegularFile => {
                remove_nested(directory, name, device, depth);
            }
            _ => {}
        }
    }
}

fn remove_nested(parent: BorrowedFd<'_>, name: &CStr, device: u64, depth: usize) {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if depth < MAX_DEPTH
        && let Ok(nested) = rustix::fs::openat(parent, name, flags, Mode::empty())
        && rustix::fs::fstat(&nested).is_ok_and(|stat| stat.st_dev == device)
    {
        empty(nested.as_fd(), device, depth + 1);
    }
    let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn links_are_removed_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("keep"), "x").unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("a/link")).unwrap();
        remove_tree(&tree);
        assert!(!tree.exists() && outside.join("keep").exists());
        std::os::unix::fs::symlink(&outside, &tree).unwrap();
        remove_tree(&tree);
        assert!(outside.join("keep").exists());
    }
}
