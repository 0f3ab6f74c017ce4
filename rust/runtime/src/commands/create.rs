//! `create`.

use pyctr_core::Result;

use super::Context;
use super::launch;
use crate::args::Parsed;

/// Makes a container whose command waits for `start`.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let launched = launch::launch(context, parsed, launch::Mode::Created)?;
    let state = &launched.state;
    context.log.debug(|| format!("container {} waits as process {}", state.id, state.pid));
    Ok(0)
}
