//! The command line: one table of options drives parsing, help and errors.
//!
//! Follows runc's (Go's `flag` as urfave/cli uses it): one dash or two, `--name value` or `--name=value`, options anywhere
//! among the arguments, except for `exec` and `ps`, whose own arguments may begin with a dash.

mod help;
mod parse;
mod table;

pub use help::{render_command, render_global, render_version};
pub use parse::{Parsed, parse_globals};
pub use table::{COMMANDS, GLOBAL_OPTIONS};

/// How many values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None: it is a switch (`--name`, `--name=false`).
    Nothing,
    /// One; the last one given counts.
    One,
    /// One each time, and it may be given again.
    Many,
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// Its name without dashes.
    pub long: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
    /// One line for `--help`.
    pub help: &'static str,
    /// Shown in `--help`; what the command assumes without the option.
    pub default: Option<&'static str>,
}

/// How many arguments a command wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// From so many to so many.
    Between(usize, usize),
}

/// Which command it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make a container that waits for `start`.
    Create,
    /// Remove a container.
    Delete,
    /// Report figures.
    Events,
    /// Run a further process.
    Exec,
    /// Say what this runtime can do.
    Features,
    /// Send a signal.
    Kill,
    /// List containers.
    List,
    /// Hold an ordinary user's namespaces.
    Keeper,
    /// Keep watch over one container of the engine.
    Monitor,
    Session,
    /// Freeze.
    Pause,
    /// List a container's processes.
    Ps,
    /// Thaw.
    Resume,
    /// Create and start in one.
    Run,
    /// Write a starter `config.json`.
    Spec,
    /// Let a created container's command run.
    Start,
    /// Print a container's state.
    State,
    /// Change limits.
    Update,
    /// Known by name, refused by name.
    Unsupported,
}

/// One command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Which it is.
    pub verb: Verb,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// Its arguments, for the usage line.
    pub arguments: &'static str,
    /// How many there must be.
    pub count: Count,
    /// Its options.
    pub options: &'static [Opt],
    /// Options end at the first argument.
    pub options_first: bool,
}

/// Finds a command by name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

#[cfg(test)]
mod tests;
