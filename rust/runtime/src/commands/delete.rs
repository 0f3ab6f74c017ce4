//! `delete`, and the end of every container.

use std::time::{Duration, Instant};

use pyctr_core::cgroup::Cgroup;
use pyctr_core::{Error, Kind, Result};

use super::{Context, hooks, id};
use crate::args::Parsed;
use crate::container::{Directory, State, Status};
use crate::{cgroups, process};

/// How long a killed container may take to go; runc's 100 × 100 ms.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Removes what a container holds.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let force = parsed.is_set("force");
    let directory = match Directory::open(&context.root, id(parsed)?) {
        Err(error) if force && error.kind == Kind::NotFound => return Ok(0),
        directory => directory?,
    };
    directory.lock()?;
    let state = match directory.load() {
        Ok(state) => state,
        Err(error) if error.kind == Kind::NotFound || (force && error.kind == Kind::Corrupt) => {
            // Left by a command that was killed before there was anything to clean up but this directory.
            directory.remove()?;
            return if force { Ok(0) } else { Err(error) };
        }
        Err(error) => return Err(error),
    };
    match process::status(&directory, &state)? {
        Status::Stopped => {}
        Status::Created => kill(&state)?,
        _ if force => kill(&state)?,
        status => {
            let message = format!("cannot delete container {} that is not stopped: {}", state.id, status.as_str());
            return Err(Error::new(Kind::State, message, "", ""));
        }
    }
    destroy(context, directory, state, None).map(|()| 0)
}

fn kill(state: &State) -> Result<()> {
    let pidfd = process::open(state);
    cgroups::signal_all(state, libc::SIGKILL)?;
    process::signal(state, libc::SIGKILL)
        .map_err(|errno| Error::kernel("kill", format!("process {}", state.pid), errno))?;
    // On v1 what is frozen dies only when thawed.
    if cgroups::is_frozen(state) {
        cgroups::thaw(state)?;
    }
    let Some(pidfd) = pidfd else { return Ok(()) };
    let deadline = Instant::now() + KILL_PATIENCE;
    loop {
        // A pidfd becomes readable when its process ends, zombie or not.
        let wait = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&wait)) {
            Ok(ready) if ready > 0 => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) if Instant::now() < deadline => {}
            Err(errno) if errno != rustix::io::Errno::INTR => return Err(Error::kernel("poll", "pidfd", errno)),
            _ => return Err(Error::new(Kind::State, "container init still running", "", "")),
        }
    }
}

/// Ends what is left of a container whose first process is gone: processes, cgroup, directory; then runs its poststop
/// hooks. Goes on after an error and tells the first.
#[allow(clippy::needless_pass_by_value)] // the container is gone afterwards, and its state with it
pub fn destroy(context: &Context, directory: Directory, state: State, cgroup: Option<Cgroup>) -> Result<()> {
    // Another command may have been faster.
    let cgroup = match cgroup {
        Some(cgroup) => Ok(Some(cgroup)),
        None => cgroups::open(&state),
    };
    let own_pids = state.pyctr.namespaces.get("pid").is_some_and(Option::is_none);
    let mut first: Result<()> = Ok(());
    let mut note = |result: Result<()>| {
        if let Err(error) = result {
            if first.is_ok() {
                first = Err(error);
            } else {
                context.log.warn(&error.to_string());
            }
        }
    };
    match cgroup {
        Ok(Some(cgroup)) => {
            if !own_pids {
                note(cgroups::kill(&cgroup));
            }
            note(cgroups::remove(cgroup));
        }
        Ok(None) => {}
        Err(error) => note(Err(error)),
    }
    note(directory.remove());
    hooks::run_all("poststop", &state.pyctr.poststop, &state, Status::Stopped, |error| {
        context.log.warn(&error.to_string());
    });
    first
}
