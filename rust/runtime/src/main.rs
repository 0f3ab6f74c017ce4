//! `pyctr-runtime`: the OCI command line and the container monitor.
//!
//! Option for option runc's; what this runtime cannot do is refused by name. Logic another front end needs is in
//! `pyctr-core`; here are arguments, the state directory, terminals and output.

mod args;
mod cgroups;
mod clock;
mod commands;
mod console;
mod container;
mod files;
mod log;
mod lookup;
mod monitor;
mod process;
mod signals;
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(commands::run(std::env::args_os().skip(1)))
}
