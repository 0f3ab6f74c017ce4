//! `pause` and `resume`.

use pyctr_core::{Error, Kind, Result};

use super::Context;
use super::kill::not_running;
use crate::args::Parsed;
use crate::container::Status;
use crate::{cgroups, process};

/// Freezes every process.
pub fn pause(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.locked(parsed)?;
    match process::status(&directory, &state)? {
        Status::Running | Status::Created => cgroups::freeze(&state).map(|()| 0),
        _ => Err(not_running()),
    }
}

/// Thaws them.
pub fn resume(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.locked(parsed)?;
    match process::status(&directory, &state)? {
        Status::Paused => cgroups::thaw(&state).map(|()| 0),
        _ => Err(Error::new(Kind::State, "container not paused", "", "")),
    }
}
