//! Hooks that run outside a container's life between create and start: poststart and poststop.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::Hook;
use pyctr_core::{Error, Kind, Result};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::container::{State, Status};

/// Runs hooks in order with the container's state on their standard input; the first failure ends it.
pub fn run(kind: &str, hooks: &[Hook], state: &State, status: Status) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let input = serde_json::to_vec(&state.public(status, ""))
        .map_err(|error| Error::new(Kind::Corrupt, "render state", "", error.to_string()))?;
    hooks.iter().try_for_each(|hook| run_one(kind, hook, state, &input))
}

/// Runs every hook; failures are told to `report` and stop nothing (poststop: "the remaining hooks are still executed").
pub fn run_all(kind: &str, hooks: &[Hook], state: &State, status: Status, report: impl Fn(&Error)) {
    for hook in hooks {
        if let Err(error) = run(kind, std::slice::from_ref(hook), state, status) {
            report(&error);
        }
    }
}

fn run_one(kind: &str, hook: &Hook, state: &State, input: &[u8]) -> Result<()> {
    let operation = format!("run {kind} hook");
    let fail = |reason: String| Error::new(Kind::State, operation.as_str(), hook.path(), reason);
    let mut command = Command::new(hook.path());
    let arguments = hook.args().as_deref().unwrap_or_default();
    if let Some((name, rest)) = arguments.split_first() {
        command.arg0(name).args(rest);
    }
    // The environment is the hook's own, nothing of ours (runtime-spec, POSIX-platform Hooks).
    command.env_clear();
    for variable in hook.env().iter().flatten() {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    if state.bundle.is_dir() {
        command.current_dir(&state.bundle);
    }
    let mut child =
        command.stdin(Stdio::piped()).spawn().map_err(|error| Error::io(operation.as_str(), hook.path(), &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read its input; the state fits into a pipe's buffer, so this cannot block.
        let _ = stdin.write_all(input);
    }
    let timeout = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok());
    if let Some(seconds) = timeout
        && !exits_within(child.id().cast_signed(), Duration::from_secs(seconds))
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(fail(format!("not done after {seconds} s")));
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(fail(status.to_string())),
        Err(error) => Err(Error::io(operation.as_str(), hook.path(), &error)),
    }
}

fn exits_within(pid: i32, timeout: Duration) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else { return true };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timespec = rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timespec)) {
            Ok(0) => return false,
            Err(rustix::io::Errno::INTR) => {}
            _ => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use oci_spec::runtime::HookBuilder;

    use super::*;
    use crate::container::Private;

    fn state(bundle: &std::path::Path) -> State {
        State {
            oci_version: "1.0.2".into(),
            id: "c".into(),
            pid: 7,
            bundle: bundle.into(),
            rootfs: "/r".into(),
            created: String::new(),
            annotations: BTreeMap::new(),
            pyctr: Private::default(),
        }
    }

    fn shell(script: &str, timeout_s: i64) -> Hook {
        let args: Vec<String> = ["sh", "-c", script].map(str::to_owned).into();
        let env = vec!["PATH=/bin:/usr/bin".to_owned(), "X=1".to_owned()];
        HookBuilder::default().path("/bin/sh").args(args).env(env).timeout(timeout_s).build().unwrap()
    }

    #[test]
    fn test_run_gives_state_environment_and_bundle() {
        let bundle = tempfile::tempdir().unwrap();
        let hook = shell("{ cat; echo; env | sort; } > out", 60);
        run("poststop", &[hook], &state(bundle.path()), Status::Stopped).unwrap();
        let out = std::fs::read_to_string(bundle.path().join("out")).unwrap();
        assert!(out.starts_with("{\"ociVersion\":\"1.0.2\",\"id\":\"c\",\"pid\":0,\"status\":\"stopped\""), "{out}");
        assert!(out.contains("X=1") && !out.contains("HOME="), "{out}");
    }

    #[test]
    fn test_run_stops_at_the_first_failure_and_run_all_does_not() {
        let bundle = tempfile::tempdir().unwrap();
        let hooks = [shell("exit 3", 60), shell("touch second", 60)];
        let error = run("poststart", &hooks, &state(bundle.path()), Status::Running).unwrap_err();
        assert_eq!(error.to_string(), "run poststart hook /bin/sh: exit status: 3");
        assert!(!bundle.path().join("second").exists());
        let count = std::cell::Cell::new(0);
        run_all("poststop", &hooks, &state(bundle.path()), Status::Stopped, |_| count.set(count.get() + 1));
        assert!(bundle.path().join("second").exists());
        assert_eq!(count.get(), 1);
    }

    #[test]
    fn test_run_hook_beyond_its_timeout_is_killed() {
        let bundle = tempfile::tempdir().unwrap();
        let error = run("poststart", &[shell("sleep 300", 1)], &state(bundle.path()), Status::Running).unwrap_err();
        assert_eq!(error.to_string(), "run poststart hook /bin/sh: not done after 1 s");
    }
}
