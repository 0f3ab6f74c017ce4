//! The commands.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod hooks;
mod kill;
mod launch;
mod list;
mod pause;
mod ps;
mod spec;
mod start;
mod state;
mod update;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use pyctr_core::{Error, Kind, Result};

use crate::args::{self, Command, Parsed, Verb};
use crate::container::{Directory, State};
use crate::log::{Format, Log};
use crate::sys;

/// What every command needs.
pub struct Context {
    /// Where containers are kept, absolute.
    pub root: PathBuf,
    /// Where messages go.
    pub log: Log,
    /// Cgroups are made by systemd.
    pub systemd_cgroup: bool,
    /// Whether cgroup permission errors are ignored; None means "if this is no real root".
    pub rootless: Option<bool>,
}

impl Context {
    /// Opens a container by the command's first argument.
    fn container(&self, parsed: &Parsed) -> Result<(Directory, State)> {
        let directory = Directory::open(&self.root, id(parsed)?)?;
        let state = directory.load()?;
        Ok((directory, state))
    }

    /// As [`Self::container`], with its lock held.
    fn locked(&self, parsed: &Parsed) -> Result<(Directory, State)> {
        let directory = Directory::open(&self.root, id(parsed)?)?;
        directory.lock()?;
        let state = directory.load()?;
        Ok((directory, state))
    }
}

fn id(parsed: &Parsed) -> Result<&str> {
    parsed.argument(0)?.ok_or_else(|| Error::invalid("a container id is needed", "", ""))
}

/// Runs the command line; the exit code.
pub fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let mut log = Log::standard_error();
    match try_run(arguments, &mut log) {
        Ok(code) => code,
        Err((error, code)) => {
            log.error(&error.to_string());
            if let Some(hint) = &error.hint {
                log.warn(hint);
            }
            code
        }
    }
}

fn try_run(arguments: impl Iterator<Item = OsString>, log: &mut Log) -> std::result::Result<u8, (Error, u8)> {
    let usage = |error| (error, 1);
    let globals = args::parse_globals(arguments).map_err(usage)?;
    if globals.is_set("version") {
        return print(&args::render_version()).map_err(usage);
    }
    let name = globals.argument(0).map_err(usage)?.unwrap_or("help").to_owned();
    if globals.is_set("help") || name == "help" || name == "h" {
        let topic = globals.argument(1).map_err(usage)?.and_then(args::find);
        return print(&topic.map_or_else(args::render_global, args::render_command)).map_err(usage);
    }
    let Some(command) = args::find(&name) else {
        return Err((Error::invalid(format!("no such command {name:?}"), "", ""), 3));
    };
    // runc's code for a failed exec, which tells it from the command's own 1.
    let code = if command.verb == Verb::Exec { 255 } else { 1 };
    let context = prepare(&globals, log).map_err(usage)?;
    // Whatever follows may open descriptors; what --preserve-fds counts must be there before.
    let parsed = Parsed::of(command, globals.into_arguments().skip(1)).map_err(usage)?;
    if parsed.is_set("help") {
        return print(&args::render_command(command)).map_err(usage);
    }
    let context = context.open(log, &parsed).map_err(usage)?;
    let result = dispatch(command, &context, &parsed);
    *log = context.log;
    result.map_err(|error| (error, code))
}

/// The global options, checked, with nothing opened yet.
struct Prepared {
    root: PathBuf,
    log_path: Option<PathBuf>,
    format: Format,
    debug: bool,
    systemd_cgroup: bool,
    rootless: Option<bool>,
}

fn prepare(globals: &Parsed, _log: &Log) -> Result<Prepared> {
    if globals.has("criu") {
        return Err(Error::invalid("option --criu is not supported: containers are not checkpointed", "", ""));
    }
    let rootless = match globals.text("rootless")?.unwrap_or("auto") {
        "auto" => None,
        "true" => Some(true),
        "false" => Some(false),
        other => return Err(Error::invalid("parse", "--rootless", format!("invalid value {other:?}"))),
    };
    let root = globals.path("root").map_or_else(default_root, Path::to_owned);
    Ok(Prepared {
        root: std::path::absolute(&root).map_err(|error| Error::io("resolve", &root, &error))?,
        log_path: globals.path("log").map(Path::to_owned),
        format: Format::parse(globals.text("log-format")?.unwrap_or("text"))?,
        debug: globals.is_set("debug"),
        systemd_cgroup: globals.is_set("systemd-cgroup"),
        rootless,
    })
}

impl Prepared {
    fn open(self, log: &mut Log, parsed: &Parsed) -> Result<Context> {
        check_preserved(parsed)?;
        let opened = Log::open(self.log_path.as_deref(), self.format, self.debug)?;
        *log = Log::standard_error();
        Ok(Context { root: self.root, log: opened, systemd_cgroup: self.systemd_cgroup, rootless: self.rootless })
    }
}

/// Where containers are kept without `--root`.
fn default_root() -> PathBuf {
    if !rustix::process::geteuid().is_root()
        && let Some(directory) = std::env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty())
    {
        return Path::new(&directory).join("pyctr-runtime");
    }
    PathBuf::from("/run/pyctr-runtime")
}

/// How many descriptors from 3 on the command gets: sd_listen_fds(3)'s and `--preserve-fds`'.
pub fn preserved_fds(parsed: &Parsed) -> Result<(u32, u32)> {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u32>().ok());
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let listen = if ours { number("LISTEN_FDS").unwrap_or(0) } else { 0 };
    Ok((listen, parsed.number::<u32>("preserve-fds")?.unwrap_or(0)))
}

/// Refuses `--preserve-fds` of descriptors that are not there: one of ours would take the number and leak inside.
fn check_preserved(parsed: &Parsed) -> Result<()> {
    let (listen, extra) = preserved_fds(parsed)?;
    let end = listen.checked_add(extra).and_then(|count| count.checked_add(3)).filter(|end| *end <= 1 << 20);
    let Some(end) = end else { return Err(Error::invalid("parse", "--preserve-fds", "is too large")) };
    for fd in 3..end {
        if !i32::try_from(fd).is_ok_and(sys::is_open) {
            return Err(Error::invalid("preserve descriptor", fd.to_string(), "it is not open"));
        }
    }
    Ok(())
}

fn dispatch(command: &Command, context: &Context, parsed: &Parsed) -> Result<u8> {
    match command.verb {
        Verb::Create => create::run(context, parsed),
        Verb::Delete => delete::run(context, parsed),
        Verb::Events => events::run(context, parsed),
        Verb::Exec => exec::run(context, parsed),
        Verb::Features => features::run(),
        Verb::Kill => kill::run(context, parsed),
        Verb::List => list::run(context, parsed),
        Verb::Keeper => keeper(parsed),
        Verb::Monitor => monitor(parsed),
        Verb::Session => crate::monitor::watch_session(),
        Verb::Pause => pause::pause(context, parsed),
        Verb::Ps => ps::run(context, parsed),
        Verb::Resume => pause::resume(context, parsed),
        Verb::Run => foreground::run(context, parsed),
        Verb::Spec => spec::run(parsed),
        Verb::Start => start::run(context, parsed),
        Verb::State => state::run(context, parsed),
        Verb::Update => update::run(context, parsed),
        Verb::Unsupported => {
            Err(Error::new(Kind::InvalidArgument, format!("command {:?} is not supported", command.name), "", ""))
        }
    }
}

fn print(text: &str) -> Result<u8> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Error::io("write to", "standard output", &error))?;
    Ok(0)
}

fn keeper(parsed: &Parsed) -> Result<u8> {
    match (parsed.arguments.first(), parsed.argument(1)?, parsed.argument(2)?) {
        (Some(run_root), Some(uids), Some(gids)) => crate::monitor::keep(Path::new(run_root), uids, gids),
        _ => Err(Error::invalid("a run root and two id maps are needed", "", "")),
    }
}

fn monitor(parsed: &Parsed) -> Result<u8> {
    match parsed.arguments.first() {
        Some(directory) => crate::monitor::watch(std::path::Path::new(directory)),
        None => Err(Error::invalid("a container directory is needed", "", "")),
    }
}
