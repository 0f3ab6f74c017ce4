//! Containers on disk: one directory each below `--root`, made exclusively, holding `state.json` and, while the command
//! waits for `start`, the socket `start.sock`.
//!
//! Nothing in the file is believed about whether the container lives: that is asked of the kernel.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::Hook;
use pyctr_core::{Error, Kind, Result};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, mkdir, openat, rmdir, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::files;

/// The name of the socket on which a created container waits.
pub const GATE: &str = "start.sock";
const STATE: &str = "state.json";
const STATE_LIMIT: usize = 1 << 20;
/// How long a command waits for another one that works on the same container.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// What the container is doing (runtime-spec, "State"; `paused` as runc has it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Being made; it has no process yet.
    Creating,
    /// Waiting for `start`.
    Created,
    /// Its command runs.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl Status {
    /// The specification's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// What is stored of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// `ociVersion` of its configuration.
    pub oci_version: String,
    /// Its name.
    pub id: String,
    /// Its first process, in the host's pid namespace; 0 before there is one.
    pub pid: i32,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root file system.
    pub rootfs: PathBuf,
    /// When, RFC 3339.
    pub created: String,
    /// As configured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What only this runtime reads.
    pub pyctr: Private,
}

/// What only this runtime reads of [`State`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Private {
    /// Field 22 of /proc/PID/stat: with the pid it names one process for ever.
    pub pid_start: u64,
    /// The command's name, for messages.
    #[serde(default)]
    pub command: String,
    /// linux.cgroupsPath as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<PathBuf>,
    /// The cgroup in every hierarchy, for cleaning up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cgroup_paths: BTreeMap<String, PathBuf>,
    /// Made with `--systemd-cgroup`.
    #[serde(default)]
    pub systemd_cgroup: bool,
    /// Cgroup permission errors were ignored.
    #[serde(default)]
    pub rootless: bool,
    /// Its namespaces: type, and the path it was joined by if it is not its own.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Option<PathBuf>>,
    /// Hooks to run after `start`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// Hooks to run after `delete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// What `state` prints and hooks read, in runc's order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicState<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: &'static str,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: &'a str,
}

impl State {
    /// The public form; a stopped container has pid 0.
    pub fn public<'a>(&'a self, status: Status, owner: &'a str) -> PublicState<'a> {
        PublicState {
            oci_version: &self.oci_version,
            id: &self.id,
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status: status.as_str(),
            bundle: &self.bundle,
            rootfs: &self.rootfs,
            created: &self.created,
            annotations: &self.annotations,
            owner,
        }
    }
}

/// Refuses names that are no plain file names: a path made of one must not leave `--root`.
pub fn check_id(id: &str) -> Result<()> {
    let first = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let rest = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte));
    if first && rest && id.len() <= 255 {
        return Ok(());
    }
    Err(Error::invalid("invalid container ID format", "", ""))
}

/// A container's open directory.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Makes the directory of a new container and locks it; its name is taken from here on.
    pub fn create(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let path = root.join(id);
        // 0711 as runc's: a container in a user namespace must be able to pass through.
        let mode = Mode::from_raw_mode(0o711);
        let made = match mkdir(&path, mode) {
            Err(Errno::NOENT) => {
                make_root(root)?;
                mkdir(&path, mode)
            }
            made => made,
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(Error::new(Kind::Conflict, "container with given ID already exists", "", ""));
            }
            Err(errno) => return Err(Error::kernel("make directory", &path, errno)),
        }
        let directory = Self::open_path(path)?;
        directory.lock()?;
        Ok(directory)
    }

    /// Opens the directory of a container.
    pub fn open(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        Self::open_path(root.join(id))
    }

    fn open_path(path: PathBuf) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(does_not_exist()),
            Err(errno) => Err(Error::kernel("open", &path, errno)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Takes the container's lock, which the descriptor holds until it is closed. Waits for whoever has it.
    pub fn lock(&self) -> Result<()> {
        if self.try_lock()? {
            return Ok(());
        }
        let since = Instant::now();
        while since.elapsed() < LOCK_PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
            if self.try_lock()? {
                return Ok(());
            }
        }
        Err(Error::new(Kind::State, "lock container", &self.path, "another command is working on it"))
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Result<bool> {
        match flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(Error::kernel("lock", &self.path, errno)),
        }
    }

    /// Lets others have the lock.
    pub fn unlock(&self) -> Result<()> {
        flock(&self.fd, FlockOperation::Unlock).map_err(|errno| Error::kernel("unlock", &self.path, errno))
    }

    /// Reads `state.json`; without one there is no container (yet).
    pub fn load(&self) -> Result<State> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.fd, STATE, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(does_not_exist()),
            Err(errno) => return Err(Error::kernel("open", &self.path.join(STATE), errno)),
        };
        let bytes = files::read_all(&mut std::fs::File::from(file), STATE_LIMIT)
            .map_err(|error| Error::io("read", &self.path.join(STATE), &error))?;
        if bytes.is_empty() {
            return Err(does_not_exist());
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(Kind::Corrupt, "read", &self.path.join(STATE), error.to_string()))
    }

    /// Writes `state.json`; `fresh` says that nobody can be reading an older one.
    pub fn store(&self, state: &State, fresh: bool) -> Result<()> {
        let bytes = serde_json::to_vec(state)
            .map_err(|error| Error::new(Kind::Corrupt, "write", &self.path.join(STATE), error.to_string()))?;
        if fresh { files::create(self.fd(), STATE, &bytes) } else { files::replace(self.fd(), STATE, &bytes) }
    }

    /// Whether the command waits for `start`.
    pub fn has_gate(&self) -> bool {
        rustix::fs::accessat(&self.fd, GATE, rustix::fs::Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Takes the socket away: the command runs.
    pub fn remove_gate(&self) -> Result<()> {
        match unlinkat(&self.fd, GATE, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::kernel("remove", &self.path.join(GATE), errno)),
        }
    }

    /// Removes the directory and what this runtime put there.
    pub fn remove(self) -> Result<()> {
        // The usual case first: state.json alone.
        let _ = unlinkat(&self.fd, STATE, AtFlags::empty());
        match rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY) => {}
            Err(errno) => return Err(Error::kernel("remove", &self.path, errno)),
        }
        for name in [GATE, ".state.json.tmp"] {
            let _ = unlinkat(&self.fd, name, AtFlags::empty());
        }
        rmdir(&self.path).map_err(|errno| Error::kernel("remove", &self.path, errno))
    }
}

fn make_root(root: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(root)
        .map_err(|error| Error::io("make directory", root, &error))
}

/// runc's words, which podman and containerd look for.
pub fn does_not_exist() -> Error {
    Error::new(Kind::NotFound, "container does not exist", "", "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn state() -> State {
        State {
            oci_version: "1.0.2".into(),
            id: "c".into(),
            pid: 7,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-01-01T00:00:00Z".into(),
            annotations: BTreeMap::new(),
            pyctr: Private::default(),
        }
    }

    #[test]
    fn test_check_id_refuses_what_is_no_plain_name() {
        for id in ["", ".", "..", "../x", "a/b", "-a", ".a", "a b", "a\n", "ä", &"x".repeat(256)] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
        for id in ["a", "0", "_x", "a.b-c_d+e", &"x".repeat(255)] {
            assert!(check_id(id).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn test_create_takes_the_name_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/er");
        let first = Directory::create(&path, "c").unwrap();
        let error = Directory::create(&path, "c").unwrap_err();
        assert_eq!(error.to_string(), "container with given ID already exists");
        assert!(!Directory::open(&path, "c").unwrap().try_lock().unwrap());
        first.unlock().unwrap();
        assert!(Directory::open(&path, "c").unwrap().try_lock().unwrap());
        first.remove().unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn test_load_without_state_is_no_container() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::create(root.path(), "c").unwrap();
        assert_eq!(directory.load().unwrap_err().kind, Kind::NotFound);
        directory.store(&state(), true).unwrap();
        directory.store(&state(), false).unwrap();
        assert_eq!(directory.load().unwrap().pid, 7);
        std::fs::write(directory.path().join(GATE), b"").unwrap();
        assert!(directory.has_gate());
        directory.remove_gate().unwrap();
        assert!(!directory.has_gate());
    }

    #[test]
    fn test_open_link_is_no_container() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", root.path().join("c")).unwrap();
        assert_eq!(Directory::open(root.path(), "c").unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn test_public_state_has_runcs_fields_in_order() {
        let text = serde_json::to_string(&state().public(Status::Running, "")).unwrap();
        assert_eq!(
            text,
            r#"{"ociVersion":"1.0.2","id":"c","pid":7,"status":"running","bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-01T00:00:00Z","owner":""}"#
        );
        assert!(serde_json::to_string(&state().public(Status::Stopped, "")).unwrap().contains("\"pid\":0"));
    }
}
