//! What goes when a container has ended: by descriptor, never through a link, never across a mount.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::config::{Config, Remove};

/// So many directories are open at a time; what is deeper is first moved up. A container can nest without limit.
const OPEN_MAX: u32 = 32;

/// Frees the name of a `--rm` container and hides its directory from every command; the slow part is
/// [`remove_directories`].
pub fn give_up_name(config: &Config, directory: &OwnedFd) {
    let Some(remove) = &config.remove else { return };
    if !unlink_name(remove, &config.id)
        && let Some(renamed) = read_again(directory)
    {
        unlink_name(&renamed, &config.id);
    }
    let _ = rustix::fs::unlinkat(directory, "config.json", AtFlags::empty());
}

/// The name's file goes if it is this container's still.
fn unlink_name(remove: &Remove, id: &str) -> bool {
    std::fs::read_to_string(&remove.name).is_ok_and(|owner| owner.trim() == id)
        && std::fs::remove_file(&remove.name).is_ok()
}

/// `pyctr rename` writes the new name into the request.
fn read_again(directory: &OwnedFd) -> Option<Remove> {
    let file = rustix::fs::openat(directory, "monitor.json", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    serde_json::from_reader::<_, Config>(std::io::BufReader::new(std::fs::File::from(file))).ok()?.remove
}

/// Removes the run-time directory, and for `--rm` the container's directory, held open as `directory`, and its anonymous
/// volumes.
pub fn remove_directories(config: &Config, directory: &OwnedFd) {
    remove_tree(&config.run_dir);
    if let Some(remove) = &config.remove {
        empty(directory.as_fd());
        let _ = rustix::fs::rmdir(&config.container_dir);
        remove.volumes.iter().for_each(|volume| remove_tree(volume));
    }
}

/// Removes a directory and what is in it. What cannot be removed is left.
pub fn remove_tree(path: &Path) {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(directory) = rustix::fs::open(path, flags, Mode::empty()) {
        empty(directory.as_fd());
    }
    let _ = rustix::fs::rmdir(path);
}

/// Empties a directory, in rounds: each brings up what lay too deep for the one before.
fn empty(root: BorrowedFd<'_>) {
    let mut sweep = Sweep { root, moved: 0 };
    loop {
        let before = sweep.moved;
        sweep.empty(root, OPEN_MAX);
        if sweep.moved == before {
            return;
        }
    }
}

struct Sweep<'fd> {
    root: BorrowedFd<'fd>,
    moved: u64,
}

impl Sweep<'_> {
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: u32) {
        let Ok(entries) = Dir::read_from(directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            // EISDIR is Linux's word for a directory, EPERM that of POSIX.
            if let Err(Errno::ISDIR | Errno::PERM) = rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                self.remove_nested(directory, name, depth);
            }
        }
    }

    fn remove_nested(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: u32) {
        if rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).is_ok() {
            return;
        }
        if depth == 0 {
            self.move_up(parent, name);
            return;
        }
        // NO_XDEV refuses a bind mount of the same file system too, which the device number would not tell.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(nested) = rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
            self.empty(nested.as_fd(), depth - 1);
        }
        let _ = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
    }

    fn move_up(&mut self, parent: BorrowedFd<'_>, name: &CStr) {
        let target = format!(".removing-{}", self.moved);
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        if rustix::fs::renameat_with(parent, name, self.root, target.as_str(), flags).is_ok() {
            self.moved += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_remove_tree_links_are_removed_not_followed() {
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

    #[test]
    fn test_remove_tree_deeper_than_paths_and_descriptors_reach() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(&tree, flags, Mode::empty()).unwrap();
        let name = "d".repeat(100);
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, &name, Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, &name, flags, Mode::empty()).unwrap();
        }
        drop(here);
        remove_tree(&tree);
        assert!(!tree.exists());
    }

    #[test]
    fn test_remove_tree_mount_is_not_entered() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        std::fs::create_dir_all(tree.join("mount")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("keep"), "x").unwrap();
        rustix::mount::mount_bind(&outside, tree.join("mount")).unwrap();
        remove_tree(&tree);
        let kept = outside.join("keep").exists();
        rustix::mount::unmount(tree.join("mount"), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert!(kept);
    }

    #[test]
    fn test_give_up_name_renamed_container_frees_its_new_name() {
        let dir = tempfile::tempdir().unwrap();
        let directory = rustix::fs::open(dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::write(&old, "another").unwrap();
        std::fs::write(&new, "me").unwrap();
        let mut config = Config::for_log("none", "", std::collections::BTreeMap::new());
        config.id = "me".to_owned();
        config.remove = Some(Remove { name: old.clone(), volumes: Vec::new() });
        let request = serde_json::json!({"version": 1, "id": "me", "container_dir": "/c", "run_dir": "/r", "overlay": null,
            "user": "0", "terminal": false, "open_stdin": false, "stdin_once": false,
            "log": {"driver": "none", "path": ""}, "remove": {"name": new}, "restart": {"policy": "no"},
            "stop_signal": 15, "stop_timeout_s": 10, "init": false, "seccomp": "default", "cgroup_driver": "cgroupfs",
            "events": "/e"});
        std::fs::write(dir.path().join("monitor.json"), request.to_string()).unwrap();
        give_up_name(&config, &directory);
        assert!(old.exists() && !new.exists());
    }
}
