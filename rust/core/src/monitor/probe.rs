//! One run of a health check's command in the container.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::clock::Time;
use super::config::{Config, Seccomp};
use super::container::Running;
use super::health::{Check, CheckResult};
use super::load_spec;
use super::poller::{EventFlags, Poller, Source};
use crate::cgroup::Cgroup;
use crate::process::{Exec, SeccompChoice, Stdio, UserRequest, exec};
use crate::{Error, Result};

/// The command ended.
pub const ENDED: u64 = 10;
/// It wrote something.
pub const OUTPUT: u64 = 11;
/// What is kept of its output (moby daemon/health.go, maxOutputLen).
const OUTPUT_MAX_BYTES: usize = 4096;

/// A command that runs.
#[derive(Debug)]
pub struct Probe {
    /// When it began.
    pub began: Instant,
    deadline: Instant,
    /// What it had left of its time when its container was paused.
    left: Option<Duration>,
    start: Time,
    running: Running,
    /// Watched as long as the probe lives.
    _ended: Source,
    output: Source,
    text: Vec<u8>,
}

impl Probe {
    /// Runs the check's command as the container's own would run: same user, variables, limits and filter.
    pub fn start(config: &Config, check: &Check, pid: i32, cgroup: &Cgroup, poller: &Poller) -> Result<Self> {
        let (began, start) = (Instant::now(), Time::now());
        let spec = load_spec(&config.container_dir)?;
        let mut process = spec.process().clone().unwrap_or_default();
        process.set_args(Some(check.command.clone()));
        process.set_terminal(Some(false));
        let gone = |errno| Error::kernel("open", "the container's first process", errno);
        let pid = Pid::from_raw(pid).ok_or_else(|| gone(Errno::SRCH))?;
        let container = pidfd_open(pid, PidfdFlags::empty()).map_err(gone)?;
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .map_err(|errno| Error::kernel("make", "a pipe", errno))?;
        let null: OwnedFd =
            std::fs::File::open("/dev/null").map_err(|error| Error::io("open", "/dev/null", &error))?.into();
        // The command's end blocks as its author expects.
        rustix::io::ioctl_fionbio(&writer, false).map_err(|errno| Error::kernel("prepare", "a pipe", errno))?;
        let child = exec(&Exec {
            container: container.as_fd(),
            container_pid: pid,
            process: &process,
            stdio: Stdio::Descriptors([null.as_fd(), writer.as_fd(), writer.as_fd()]),
            cgroup: Some(cgroup),
            seccomp: match config.seccomp {
                Seccomp::Default => SeccompChoice::DockerDefault,
                Seccomp::Unconfined => SeccompChoice::Unconfined,
                Seccomp::Spec => SeccompChoice::FromSpec,
            },
            profile: spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()),
            user: Some(UserRequest { user: config.user.clone(), additional_groups: config.group_add.clone() }),
            preserve_fds: 0,
        })?;
        let running = Running::from(child);
        let copy = rustix::io::fcntl_dupfd_cloexec(&running.pidfd, 0);
        let watched = copy.and_then(|copy| Ok((source(poller, copy, ENDED)?, source(poller, reader, OUTPUT)?)));
        match watched {
            Ok((ended, output)) => {
                let deadline = began + Duration::from_nanos(check.timeout_ns);
                Ok(Self { began, deadline, left: None, start, running, _ended: ended, output, text: Vec::new() })
            }
            Err(errno) => {
                let _ = running.signal(libc::SIGKILL);
                running.reap();
                Err(Error::kernel("watch", "a health check", errno))
            }
        }
    }

    /// When it has run for too long; None while its container is paused.
    pub fn deadline(&self) -> Option<Instant> {
        self.left.is_none().then_some(self.deadline)
    }

    /// Its time stands still with its container: on version 1 a frozen command does not die of SIGKILL, and whoever waited
    /// for its end would wait for as long as the container is paused.
    pub fn pause(&mut self) {
        self.left = Some(self.deadline.saturating_duration_since(Instant::now()));
    }

    /// Its time goes on.
    pub fn resume(&mut self) {
        if let Some(left) = self.left.take() {
            self.deadline = Instant::now() + left;
        }
    }

    /// Reads what there is; what is more than is kept is read all the same, so that the command is not held up.
    pub fn read(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(&self.output, &mut buffer) {
                Ok(0) => {
                    let _ = self.output.watch(EventFlags::empty()); // an end is reported for ever
                    return;
                }
                Ok(count) => {
                    let room = OUTPUT_MAX_BYTES - self.text.len();
                    self.text.extend_from_slice(&buffer[..count.min(room)]);
                }
                Err(_) => return,
            }
        }
    }

    /// The result of a command that has ended.
    pub fn finish(mut self) -> CheckResult {
        let code = self.running.reap();
        self.read();
        CheckResult::ended(self.start, code, String::from_utf8_lossy(&self.text).into_owned())
    }

    /// The result of a command that took too long, or whose container is about to go: it is killed.
    pub fn abort(self, timeout: Duration) -> CheckResult {
        let _ = self.running.signal(libc::SIGKILL);
        self.running.reap();
        let output = format!("Health check exceeded timeout ({})", words(timeout));
        CheckResult::ended(self.start, -1, output)
    }
}

/// The result of a command that did not even begin.
pub fn failed(error: &Error) -> CheckResult {
    CheckResult::ended(Time::now(), -1, error.to_string())
}

fn source(poller: &Poller, fd: OwnedFd, token: u64) -> rustix::io::Result<Source> {
    let mut source = poller.source(fd, token);
    source.watch(EventFlags::IN)?;
    Ok(source)
}

/// A duration as Go writes it, to the millisecond: `1m30s`, `2.5s`, `100ms`.
fn words(duration: Duration) -> String {
    let (whole, milliseconds) = (duration.as_secs(), duration.subsec_millis());
    if whole == 0 {
        return format!("{milliseconds}ms");
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let fraction = if milliseconds == 0 { String::new() } else { format!(".{milliseconds:03}") };
    let fraction = fraction.trim_end_matches('0');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_words_are_those_of_go() {
        for (milliseconds, text) in
            [(100, "100ms"), (2500, "2.5s"), (30_000, "30s"), (90_000, "1m30s"), (3_600_000, "1h0m0s")]
        {
            assert_eq!(words(Duration::from_millis(milliseconds)), text);
        }
    }
}
