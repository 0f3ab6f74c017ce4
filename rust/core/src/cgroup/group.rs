//! One directory of a container, in one hierarchy: made, filled, joined.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::controller::Controller;
use super::hierarchy::{Hierarchy, Version};
use super::{cpuset, file};
use crate::{Error, Kind, Result};

/// A container's directory in one hierarchy.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) version: Version,
    /// v1: the controllers there, or the hierarchy's `name=…`; v2: empty.
    pub(super) controllers: Vec<String>,
    pub(super) mount_point: String,
    /// Absolute.
    pub(super) path: String,
    /// Left out when the container was made, since nothing needed its controllers; another process may have made it since.
    absent: AtomicBool,
}

/// How often parents are made anew.
const MAKE_ATTEMPTS: u32 = 10;

/// Directories that were made, to be removed again if a later step fails.
pub(super) type Undo = Vec<String>;

impl Group {
    /// The directory at a path, not yet made.
    pub(super) fn new(hierarchy: &Hierarchy, path: String) -> Self {
        Self {
            version: hierarchy.version,
            controllers: hierarchy.controllers.clone(),
            mount_point: hierarchy.mount_point.clone(),
            path,
            absent: AtomicBool::new(false),
        }
    }

    /// Whether it carries a controller (v1).
    pub(super) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    pub(super) fn is_absent(&self) -> bool {
        self.absent.load(Ordering::Relaxed)
    }

    pub(super) fn set_absent(&self, absent: bool) {
        self.absent.store(absent, Ordering::Relaxed);
    }

    /// Makes the directory and those above it; says whether it is new. One mkdir(2) where its parent is there.
    pub(super) fn make(&self, undo: &mut Undo) -> rustix::io::Result<bool> {
        let mut made = file::make_directory(&self.path);
        // More than once only where another container, failing, removes the parents it made at that very moment.
        for _ in 0..MAKE_ATTEMPTS {
            if made != Err(Errno::NOENT) {
                break;
            }
            made = self.make_parents(undo).and_then(|()| file::make_directory(&self.path));
        }
        let new = made?;
        if new {
            undo.push(self.path.clone());
        }
        self.set_absent(false);
        Ok(new)
    }

    fn make_parents(&self, undo: &mut Undo) -> rustix::io::Result<()> {
        for parent in self.ancestors() {
            if file::make_directory(&parent)? {
                undo.push(parent);
            }
        }
        Ok(())
    }

    /// The directories between mount point and this one, both excluded, topmost first.
    pub(super) fn ancestors(&self) -> Vec<String> {
        let relative = self.path.strip_prefix(&self.mount_point).unwrap_or_default();
        let slashes = relative.match_indices('/').map(|(index, _)| index).filter(|index| *index > 0);
        slashes.map(|index| format!("{}{}", self.mount_point, &relative[..index])).collect()
    }

    /// Makes it usable: a v1 cpuset must be given processors before a process can join.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.has("cpuset") { cpuset::inherit(&self.mount_point, &self.path) } else { Ok(()) }
    }

    /// A directory somebody left behind is used again; one with processes in it is somebody's.
    pub(super) fn check_unused(&self) -> Result<()> {
        let path = format!("{}/cgroup.procs", self.path);
        match file::read(&path) {
            Ok(text) if text.trim().is_empty() => Ok(()),
            Ok(_) => Err(Error::new(Kind::Conflict, "make control group", &self.path, "it exists and has processes")),
            Err(Errno::OPNOTSUPP) => Ok(()), // threaded
            Err(errno) => Err(Error::kernel("read", &path, errno)),
        }
    }

    /// Opens one of its files for writing.
    pub(super) fn open(&self, name: &str) -> rustix::io::Result<OwnedFd> {
        let path = format!("{}/{name}", self.path);
        rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    }
}

/// Of v2: gives a new group the controllers it wants, down the path from the mount point.
///
/// One read where its parent hands them down already. A controller no limit is asked of (`required` says of which one is) may stay
/// out: without root, or where a group above has processes, it counts nothing.
pub(super) fn enable_controllers(group: &Group, wanted: &[&dyn Controller], required: &[&str]) -> Result<()> {
    let read = |directory: &str| {
        let path = format!("{directory}/cgroup.controllers");
        file::read(&path).map_err(|errno| Error::kernel("read", &path, errno))
    };
    let lacks = |text: &str, name: &str| !text.split_ascii_whitespace().any(|held| held == name);
    let held = read(&group.path)?;
    let available = read(&group.mount_point)?;
    let missing: Vec<&str> = wanted
        .iter()
        .map(|controller| controller.name(Version::V2))
        .chain(required.iter().copied())
        .filter(|name| lacks(&held, name) && !lacks(&available, name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut failure = None;
    for directory in std::iter::once(group.mount_point.clone()).chain(group.ancestors()) {
        let path = format!("{directory}/cgroup.subtree_control");
        let all = missing.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        if file::write(&path, &all).is_ok() {
            continue;
        }
        // One the directory has not got spoils the others.
        for name in &missing {
            if let Err(errno) = file::write(&path, &format!("+{name}")) {
                failure.get_or_insert((*name, path.clone(), errno));
            }
        }
    }
    let held = read(&group.path)?;
    let Some(name) = required.iter().find(|name| lacks(&held, name)) else {
        return Ok(());
    };
    Err(explain_missing(group, name, failure))
}

fn explain_missing(group: &Group, name: &str, failure: Option<(&str, String, Errno)>) -> Error {
    let kind = file::read(&format!("{}/cgroup.type", group.path)).unwrap_or_default();
    if kind.contains("threaded") || kind.contains("invalid") {
        let reason = format!("the group is {}", kind.trim());
        return Error::new(Kind::State, format!("enable controller {name} in"), &group.path, reason)
            .with_hint("a group above it is threaded, and domain controllers stop there; choose another parent");
    }
    match failure {
        Some((name, path, Errno::BUSY)) => Error::kernel(format!("enable controller {name} in"), path, Errno::BUSY)
            .with_hint("a v2 group that has processes hands no controllers down; choose another parent, or move them into a child"),
        Some((name, path, errno)) => Error::kernel(format!("enable controller {name} in"), path, errno)
            .with_hint("without root the controller must be delegated, as systemd does for a user's slice with Delegate="),
        None => super::controller::missing(name, "a limit"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(mount_point: &str, path: &str) -> Group {
        let hierarchy = Hierarchy {
            version: Version::V1,
            controllers: vec!["memory".into()],
            mount_point: mount_point.into(),
            root: "/".into(),
        };
        Group::new(&hierarchy, path.into())
    }

    #[test]
    fn test_ancestors_lie_between_mount_point_and_group() {
        assert_eq!(group("/cg", "/cg/a/b/c").ancestors(), ["/cg/a", "/cg/a/b"]);
        assert!(group("/cg", "/cg/a").ancestors().is_empty());
    }

    #[test]
    fn test_make_notes_every_new_directory_for_undo() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().to_str().unwrap();
        let one = group(top, &format!("{top}/a/b"));
        let mut undo = Undo::new();
        assert!(one.make(&mut undo).unwrap());
        assert_eq!(undo, [format!("{top}/a"), format!("{top}/a/b")]);
        assert!(!one.make(&mut undo).unwrap());
        assert_eq!(undo.len(), 2);
    }

    #[test]
    fn test_check_unused_with_processes_is_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("cgroup.procs"), "").unwrap();
        group("/", top).check_unused().unwrap();
        std::fs::write(dir.path().join("cgroup.procs"), "12\n").unwrap();
        assert_eq!(group("/", top).check_unused().unwrap_err().kind, Kind::Conflict);
    }
}
