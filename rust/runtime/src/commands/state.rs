//! `state`.

use pyctr_core::{Error, Kind, Result};

use super::{Context, print};
use crate::args::Parsed;
use crate::process;

/// Prints a container's state as runc does: two spaces of indentation, no newline at the end.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.container(parsed)?;
    let status = process::status(&directory, &state)?;
    let text = serde_json::to_string_pretty(&state.public(status, ""))
        .map_err(|error| Error::new(Kind::Corrupt, "render state", "", error.to_string()))?;
    print(&text)
}
