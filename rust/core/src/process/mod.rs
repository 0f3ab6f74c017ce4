//! Launching a container and running further processes in it.
//!
//! The parent plans and encodes; the child, `pyctr-init` from a sealed memfd, interprets.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use rustix::process::Pid;

use crate::cgroup::Cgroup;
use crate::seccomp::Filter;

mod channel;
mod exec;
mod hooks;
pub mod id_map;
mod launch;
mod prepare;

pub use exec::exec;
pub use hooks::{State, run_all as run_hooks};
pub use id_map::namespaces_with;
pub use launch::{Beside, launch, launch_beside};

/// Where the root file system comes from.
#[derive(Debug, Clone)]
pub enum Rootfs {
    /// A directory on the host, used as it is.
    Directory(PathBuf),
    /// An overlay, mounted only inside the container's mount namespace.
    Overlay {
        /// Read-only layers, topmost first.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// Overlay's work directory, same file system as `upper`.
        work: PathBuf,
        /// Where it is mounted (an empty directory).
        merged: PathBuf,
        /// Skip syncing: contents need not survive a power cut.
        volatile: bool,
    },
}

/// What the command's descriptors 0, 1 and 2 are.
#[derive(Debug)]
pub enum Stdio<'fd> {
    /// The caller's own.
    Inherit,
    /// These.
    Descriptors([BorrowedFd<'fd>; 3]),
    /// A new pseudo-terminal of the container's devpts; its master is returned in [`Child::console`].
    Terminal {
        /// Rows and columns, if known.
        size: Option<(u16, u16)>,
    },
}

/// Which seccomp filter the command gets.
#[derive(Debug, Clone)]
pub enum SeccompChoice {
    /// spec.linux.seccomp, or none if absent.
    FromSpec,
    /// Docker's default profile for the process's capabilities, ready-made.
    DockerDefault,
    /// None.
    Unconfined,
    /// This one.
    Filter(Filter),
}

/// A user as `docker run --user` and `--group-add` take it, resolved inside the container's root file system.
#[derive(Debug, Clone, Default)]
pub struct UserRequest {
    /// `name|uid[:group|gid]`; empty means uid 0.
    pub user: String,
    /// Further groups, by name or gid.
    pub additional_groups: Vec<String>,
}

/// A container to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The container's id, for hooks and messages.
    pub id: &'a str,
    /// The bundle directory, for hooks.
    pub bundle: &'a Path,
    /// The validated specification.
    pub spec: &'a Spec,
    /// The root file system.
    pub rootfs: Rootfs,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio<'a>,
    /// The container's control group, created and configured; None leaves the child in the caller's.
    pub cgroup: Option<&'a Cgroup>,
    /// The seccomp filter.
    pub seccomp: SeccompChoice,
    /// The user to resolve inside; None takes spec.process.user's numbers.
    pub user: Option<UserRequest>,
    /// A listening SOCK_STREAM unix socket: the child does all but exec, then waits for a connection on it (OCI create/start).
    pub gate: Option<BorrowedFd<'a>>,
    /// How many descriptors from 3 on the command inherits.
    pub preserve_fds: u32,
    /// Use MS_MOVE and chroot in place of pivot_root.
    pub no_pivot: bool,
    /// Do not join a new session keyring.
    pub no_new_keyring: bool,
    /// The signal the container's first process gets when the caller dies; None: it lives on.
    pub parent_death_signal: Option<u32>,
    /// PID 1 stays pyctr-init: it forwards signals to the command, its child, and reaps.
    pub reaper: bool,
}

/// A further process in a running container.
#[derive(Debug)]
pub struct Exec<'a> {
    /// The container's init (a pidfd).
    pub container: BorrowedFd<'a>,
    /// The same by number, as seen from here.
    pub container_pid: Pid,
    /// What to run.
    pub process: &'a Process,
    /// Descriptors 0, 1 and 2.
    pub stdio: Stdio<'a>,
    /// The control group to join.
    pub cgroup: Option<&'a Cgroup>,
    /// The seccomp filter; `FromSpec` means [`Exec::profile`].
    pub seccomp: SeccompChoice,
    /// The container's linux.seccomp.
    pub profile: Option<&'a LinuxSeccomp>,
    /// The user to resolve inside; None takes process.user's numbers.
    pub user: Option<UserRequest>,
    /// How many descriptors from 3 on the command inherits.
    pub preserve_fds: u32,
}

/// A process that was started.
#[derive(Debug)]
pub struct Child {
    /// Its pid in the caller's namespace; a child of the caller.
    pub pid: Pid,
    /// The same, race-free.
    pub pidfd: OwnedFd,
    /// Master of its terminal, if it has one.
    pub console: Option<OwnedFd>,
    /// The seccomp user-notification descriptor, if the filter asks for one.
    pub seccomp_notify: Option<OwnedFd>,
}
