//! The user's network connected with the host's, by slirp4netns(1): packets of the one become sockets of the other.
//!
//! Published ports do not go through it: the keeper binds them on the host, and the monitors carry them.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::namespaces::Namespaces;
use crate::{Error, Kind, Result};

const PROGRAM: &str = "slirp4netns";
/// Its own addresses: the guest's .100, the gateway .2, the name server .3.
const SUBNET: &str = "10.0.2.0/24";
/// Packets never leave the machine in this form: the longer, the fewer.
const MTU: &str = "65520";
/// Whoever takes it over by the packets it reads has the user's rights, but few system calls.
const FILTER: &str = "--enable-seccomp";

/// The program, for as long as this lives.
#[derive(Debug)]
pub struct WayOut {
    child: Child,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// When packets could pass.
    pub since: Instant,
    /// Its `--exit-fd`: it ends when this does, also where we are killed.
    _alive: OwnedFd,
}

impl WayOut {
    /// Starts it and waits until packets can pass.
    pub fn open(namespaces: &Namespaces) -> Result<Self> {
        match Self::start(namespaces, Some(FILTER)) {
            // An older one has no such option, or one made without libseccomp.
            Err(error) if error.to_string().contains("seccomp") => Self::start(namespaces, None),
            opened => opened,
        }
    }

    fn start(namespaces: &Namespaces, filter: Option<&str>) -> Result<Self> {
        let (ready, ready_theirs) = pipe()?;
        let (alive_theirs, alive) = pipe()?;
        for ours in [&ready, &alive] {
            let _ = rustix::io::fcntl_setfd(ours, FdFlags::CLOEXEC);
        }
        let path = |fd: &OwnedFd| format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
        let spawned = Command::new(PROGRAM)
            .args(["--configure", "--mtu", MTU, "--cidr", SUBNET, "--disable-host-loopback"])
            .args(filter)
            .arg(format!("--ready-fd={}", ready_theirs.as_raw_fd()))
            .arg(format!("--exit-fd={}", alive_theirs.as_raw_fd()))
            .arg(format!("--userns-path={}", path(&namespaces.user)))
            .args(["--netns-type=path", &path(&namespaces.network), "tap0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        drop((ready_theirs, alive_theirs));
        let mut child = spawned.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(),
            _ => Error::io("run", PROGRAM, &error),
        })?;
        let mut word = [0u8; 1];
        if File::from(ready).read(&mut word).is_ok_and(|count| count == 1) {
            child.stderr = None;
            let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
            let pidfd = pidfd.map_err(|errno| Error::kernel("watch", PROGRAM, errno))?;
            return Ok(Self { child, pidfd, since: Instant::now(), _alive: alive });
        }
        drop(alive);
        let mut said = String::new();
        let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        let _ = child.wait();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it ended at once").to_owned();
        Err(Error::new(Kind::State, "connect the user's network with", PROGRAM, last)
            .with_hint("--network none and host need no such connection"))
    }

    /// Whether it still runs.
    pub fn is_open(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for WayOut {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn missing() -> Error {
    let reason = "the package is not installed (--network none and host work without it)";
    Error::new(Kind::NotFound, "networks of an ordinary user need", PROGRAM, reason)
}

/// Both ends survive an exec: one of them is the child's.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe().map_err(|errno| Error::kernel("make", "a pipe", errno))
}
