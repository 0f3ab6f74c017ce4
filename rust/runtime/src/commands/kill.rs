//! `kill`.

use pyctr_core::{Error, Kind, Result};

use super::Context;
use crate::args::Parsed;
use crate::container::State;
use crate::{cgroups, process, signals};

/// Signals the first process, or every process.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.container(parsed)?;
    let signal = signals::parse(parsed.argument(1)?.unwrap_or("SIGTERM"))?;
    if parsed.is_set("all") {
        cgroups::signal_all(&state, signal)?;
        return Ok(0);
    }
    let sent = process::signal(&state, signal)
        .map_err(|errno| Error::kernel(format!("send signal {signal} to"), format!("process {}", state.pid), errno))?;
    if !sent {
        return Err(not_running());
    }
    if signal == libc::SIGKILL {
        reach_the_rest(&state);
    }
    // A frozen process takes SIGKILL on v2 at once; on v1 only when thawed.
    if signal == libc::SIGKILL && cgroups::is_frozen(&state) {
        cgroups::thaw(&state)?;
    }
    drop(directory);
    Ok(0)
}

/// Without a pid namespace of its own, a container's other processes outlive the first; runc ends them too.
fn reach_the_rest(state: &State) {
    let own = state.pyctr.namespaces.get("pid").is_some_and(Option::is_none);
    if !own {
        let _ = cgroups::signal_all(state, libc::SIGKILL);
    }
}

/// runc's words.
pub fn not_running() -> Error {
    Error::new(Kind::State, "container not running", "", "")
}
