//! The container: its cgroup, its start, its exit code.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rustix::pipe::PipeFlags;
use rustix::process::{WaitId, WaitIdOptions};

use super::config::{CgroupDriver, Config, Seccomp};
use super::streams::Ends;
use crate::cgroup::{Cgroup, Driver, Hierarchies};
use crate::process::{Beside, Child, Launch, Rootfs, SeccompChoice, Stdio, UserRequest, launch_beside};
use crate::sys::monitor::pidfd_send_signal;
use crate::{Error, Result, rootless};

/// SIGKILL: a container does not outlive its monitor.
const PARENT_DEATH_SIGNAL: u32 = 9;

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    /// Its first process.
    pub pid: i32,
    /// The same, race-free.
    pub pidfd: OwnedFd,
}

/// Makes the container's cgroup.
pub fn create_cgroup(config: &Config, spec: &Spec) -> Result<Cgroup> {
    let driver = match config.cgroup_driver {
        CgroupDriver::Cgroupfs => Driver::Cgroupfs,
        CgroupDriver::Systemd => Driver::Systemd,
    };
    let linux = spec.linux().as_ref();
    let default = PathBuf::from(format!("/pyctr/{}", config.id));
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).unwrap_or(&default);
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    if rootless::is_active() {
        return Cgroup::none(resources);
    }
    let rootless = !rustix::process::geteuid().is_root();
    Cgroup::create(&Hierarchies::detect()?, driver, &path.to_string_lossy(), resources, rootless)
}

/// Starts the container; returns when its command was execed, with our ends of its streams. `beside` is what is done while it
/// mounts.
pub fn start(
    config: &Config,
    spec: &Spec,
    cgroup: &Cgroup,
    size: Option<(u16, u16)>,
    beside: Option<Beside<'_>>,
) -> Result<(Running, Ends)> {
    with_stdio(config.terminal, config.open_stdin, size, |stdio| {
        launch_beside(&request(config, spec, cgroup, stdio), beside)
    })
}

/// Starts a process with a terminal, or with pipes (and nothing to read unless it is to); our ends of its streams.
pub fn with_stdio(
    terminal: bool,
    open_stdin: bool,
    size: Option<(u16, u16)>,
    start: impl FnOnce(Stdio<'_>) -> Result<Child>,
) -> Result<(Running, Ends)> {
    if terminal {
        let mut child = start(Stdio::Terminal { size })?;
        let console = child.console.take();
        return Ok((child.into(), Ends { console, ..Ends::default() }));
    }
    let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Error::kernel("make", "a pipe", errno));
    let ((stdout, child_stdout), (stderr, child_stderr)) = (pipe()?, pipe()?);
    let (child_stdin, stdin) = if open_stdin {
        let (child, ours) = pipe()?;
        (child, Some(ours))
    } else {
        let null = std::fs::File::open("/dev/null").map_err(|error| Error::io("open", "/dev/null", &error))?;
        (null.into(), None)
    };
    let child = start(Stdio::Descriptors([child_stdin.as_fd(), child_stdout.as_fd(), child_stderr.as_fd()]))?;
    Ok((child.into(), Ends { stdin, stdout: Some(stdout), stderr: Some(stderr), console: None }))
}

fn request<'a>(config: &'a Config, spec: &'a Spec, cgroup: &'a Cgroup, stdio: Stdio<'a>) -> Launch<'a> {
    let root = spec.root().as_ref().map_or_else(PathBuf::new, |root| root.path().clone());
    Launch {
        id: &config.id,
        bundle: &config.container_dir,
        spec,
        rootfs: match &config.overlay {
            None => Rootfs::Directory(config.container_dir.join(root)),
            Some(overlay) => Rootfs::Overlay {
                lower: overlay.lower.clone(),
                upper: overlay.upper.clone(),
                work: overlay.work.clone(),
                merged: config.container_dir.join(root),
                volatile: overlay.volatile,
            },
        },
        stdio,
        cgroup: Some(cgroup),
        seccomp: match config.seccomp {
            Seccomp::Default => SeccompChoice::DockerDefault,
            Seccomp::Unconfined => SeccompChoice::Unconfined,
            Seccomp::Spec => SeccompChoice::FromSpec,
        },
        user: Some(UserRequest { user: config.user.clone(), additional_groups: config.group_add.clone() }),
        gate: None,
        preserve_fds: 0,
        no_pivot: false,
        no_new_keyring: false,
        parent_death_signal: Some(PARENT_DEATH_SIGNAL),
        reaper: config.init,
    }
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self { pid: child.pid.as_raw_nonzero().get(), pidfd: child.pidfd }
    }
}

impl Running {
    /// The exit code a shell would show, once the process has ended; reaps it.
    pub fn reap(&self) -> i32 {
        match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => code,
                (None, Some(signal)) => 128 + signal,
                (None, None) => 255,
            },
            _ => 255,
        }
    }

    /// Sends a signal to the first process; one that is a zombie already takes it without a word.
    pub fn signal(&self, signal: i32) -> rustix::io::Result<()> {
        pidfd_send_signal(self.pidfd.as_fd(), signal)
    }
}
