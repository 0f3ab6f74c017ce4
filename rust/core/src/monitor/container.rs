//! The container: its cgroup, its start, its end.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rustix::pipe::PipeFlags;
use rustix::process::{WaitId, WaitIdOptions};

use super::config::{CgroupDriver, Config, Seccomp};
use crate::cgroup::{Cgroup, Driver, Hierarchies};
use crate::process::{Launch, Rootfs, SeccompChoice, Stdio, UserRequest, launch};
use crate::{Error, Result};

/// SIGKILL: a container does not outlive its monitor.
const PARENT_DEATH_SIGNAL: u32 = 9;

/// A container that runs, and the monitor's ends of its streams.
#[derive(Debug)]
pub struct Running {
    /// Its first process.
    pub pid: i32,
    /// The same, race-free.
    pub pidfd: OwnedFd,
    /// Command's descriptor 0, if it is fed; the terminal is [`Running::console`].
    pub stdin: Option<OwnedFd>,
    /// Command's descriptor 1.
    pub stdout: Option<OwnedFd>,
    /// Command's descriptor 2.
    pub stderr: Option<OwnedFd>,
    /// Master of the terminal.
    pub console: Option<OwnedFd>,
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
    let rootless = !rustix::process::geteuid().is_root();
    Cgroup::create(&Hierarchies::detect()?, driver, &path.to_string_lossy(), resources, rootless)
}

/// Starts the container; returns when its command was execed.
pub fn start(config: &Config, spec: &Spec, cgroup: &Cgroup, size: Option<(u16, u16)>) -> Result<Running> {
    let fail = |errno| Error::kernel("make", "a pipe", errno);
    if config.terminal {
        let child = launch(&request(config, spec, cgroup, Stdio::Terminal { size }))?;
        return Ok(Running {
            pid: child.pid.as_raw_nonzero().get(),
            pidfd: child.pidfd,
            stdin: None,
            stdout: None,
            stderr: None,
            console: child.console,
        });
    }
    let (stdout, child_stdout) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fail)?;
    let (stderr, child_stderr) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fail)?;
    let (child_stdin, stdin) = if config.open_stdin {
        let (child, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(fail)?;
        (child, Some(ours))
    } else {
        let null = std::fs::File::open("/dev/null").map_err(|error| Error::io("open", "/dev/null", &error))?;
        (null.into(), None)
    };
    let stdio = Stdio::Descriptors([child_stdin.as_fd(), child_stdout.as_fd(), child_stderr.as_fd()]);
    let child = launch(&request(config, spec, cgroup, stdio))?;
    for fd in [Some(&stdout), Some(&stderr), stdin.as_ref()].into_iter().flatten() {
        rustix::io::ioctl_fionbio(fd, true).map_err(fail)?;
    }
    Ok(Running {
        pid: child.pid.as_raw_nonzero().get(),
        pidfd: child.pidfd,
        stdin,
        stdout: Some(stdout),
        stderr: Some(stderr),
        console: None,
    })
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

    /// Sends a signal to the first process.
    pub fn signal(&self, signal: i32) {
        if let Some(signal) = rustix::process::Signal::from_named_raw(signal) {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        }
    }

    /// Tells the terminal its size.
    pub fn resize(&self, rows: u16, cols: u16) {
        if let Some(console) = &self.console {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(console, size);
        }
    }
}

/// The paths of a container's cgroup, for `state.json`.
pub fn cgroup_paths(cgroup: &Cgroup) -> BTreeMap<String, PathBuf> {
    cgroup.paths()
}
