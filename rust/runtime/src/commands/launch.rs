//! What `create` and `run` share: bundle to process.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxSeccomp, Spec};
use pyctr_core::cgroup::Cgroup;
use pyctr_core::process::{Child, Launch, Rootfs, SeccompChoice, Stdio};
use pyctr_core::{Error, Kind, Result};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Context, id, preserved_fds};
use crate::args::Parsed;
use crate::container::{Directory, GATE, Private, State};
use crate::{cgroups, clock, console, files, lookup, process};

/// How the container's command is started and who watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `create`: it waits for `start`.
    Created,
    /// `run --detach`.
    Detached,
    /// `run`.
    Foreground,
}

/// A container whose process was started.
pub struct Launched {
    /// Its directory; the lock is held.
    pub directory: Directory,
    /// What was stored.
    pub state: State,
    /// The process.
    pub child: Child,
    /// Its cgroup.
    pub cgroup: Option<Cgroup>,
}

/// A bundle, read and judged.
struct Bundle {
    path: PathBuf,
    rootfs: PathBuf,
    spec: Spec,
}

/// Enters the bundle (hooks and relative paths start there, as with runc) and reads its configuration.
fn load_bundle(context: &Context, parsed: &Parsed) -> Result<Bundle> {
    let named = parsed.path("bundle");
    if let Some(path) = named {
        rustix::process::chdir(path).map_err(|errno| Error::kernel("open bundle", path, errno))?;
    }
    let path = std::env::current_dir().map_err(|error| Error::io("find", "the bundle", &error))?;
    let config = Path::new("config.json");
    let bytes = files::read_bounded(config, pyctr_core::spec::MAX_BYTES).map_err(|error| {
        let hint = "a bundle is a directory with config.json; `pyctr-runtime spec` writes one";
        if error.errno == Some(rustix::io::Errno::NOENT) {
            Error::new(Kind::NotFound, "JSON specification file config.json not found", "", "").with_hint(hint)
        } else {
            error
        }
    })?;
    let (mut spec, warnings) = pyctr_core::spec::load_with_warnings(&bytes)?;
    for warning in &warnings {
        context.log.warn(warning);
    }
    pass_listen_fds(&mut spec, preserved_fds(parsed)?.0);
    let root = spec.root().as_ref().map(|root| root.path().clone()).unwrap_or_default();
    Ok(Bundle { rootfs: path.join(root), path, spec })
}

/// sd_listen_fds(3): the command learns how many descriptors it was given; it is process 1 inside.
fn pass_listen_fds(spec: &mut Spec, count: u32) {
    let Some(process) = spec.process_mut().as_mut().filter(|_| count > 0) else { return };
    let environment = process.env_mut().get_or_insert_default();
    environment.push(format!("LISTEN_FDS={count}"));
    environment.push("LISTEN_PID=1".to_owned());
}

/// Makes the container and starts its process. On error nothing is left.
pub fn launch(context: &Context, parsed: &Parsed, mode: Mode) -> Result<Launched> {
    let id = id(parsed)?;
    // Everything relative on the command line is relative to where we were called, not to the bundle.
    let outputs = Outputs::new(parsed)?;
    let bundle = load_bundle(context, parsed)?;
    let terminal = bundle.spec.process().as_ref().and_then(oci_spec::runtime::Process::terminal).unwrap_or(false);
    outputs.check(terminal, mode)?;
    let directory = Directory::create(&context.root, id)?;
    let state = new_state(context, id, &bundle);
    match start(context, parsed, mode, &bundle, &directory, state, &outputs) {
        Ok((state, child, cgroup)) => Ok(Launched { directory, state, child, cgroup }),
        Err(error) => {
            // The launch's own error is the one to tell; the directory is the last thing it could leave.
            if let Err(second) = directory.remove() {
                context.log.warn(&second.to_string());
            }
            Err(explain(error, &bundle.spec))
        }
    }
}

/// The files and sockets the caller wants something sent to.
pub struct Outputs {
    console: Option<OwnedFd>,
    pidfd: Option<OwnedFd>,
    pid_file: Option<PathBuf>,
}

impl Outputs {
    /// Connects the sockets: a wrong path costs nothing yet.
    pub fn new(parsed: &Parsed) -> Result<Self> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("resolve", path, &error));
        Ok(Self {
            console: parsed.path("console-socket").map(console::connect).transpose()?,
            pidfd: parsed.path("pidfd-socket").map(files::connect).transpose()?,
            pid_file: parsed.path("pid-file").map(absolute).transpose()?,
        })
    }

    /// Refuses the combinations runc refuses, in its words.
    pub fn check(&self, terminal: bool, mode: Mode) -> Result<()> {
        let detached = mode != Mode::Foreground;
        let fail = |message: &str| Err(Error::invalid(message, "", ""));
        if detached && terminal && self.console.is_none() {
            return fail("cannot allocate tty if runtime will detach without setting console socket");
        }
        if (!detached || !terminal) && self.console.is_some() {
            return fail("cannot use console socket if runtime will not detach or allocate tty");
        }
        Ok(())
    }

    /// Sends what was asked for; `name` is how the pidfd is called (runc's init types).
    pub fn deliver(&self, child: &mut Child, name: &str) -> Result<()> {
        if let (Some(socket), Some(master)) = (&self.console, child.console.take()) {
            console::send(socket, &master)?;
        }
        if let Some(socket) = &self.pidfd {
            files::send_descriptor(socket, name, child.pidfd.as_fd())
                .map_err(|errno| Error::kernel("send the pidfd to", "the pidfd socket", errno))?;
        }
        if let Some(path) = &self.pid_file {
            files::write_pid(path, child.pid.as_raw_pid())?;
        }
        Ok(())
    }
}

fn new_state(context: &Context, id: &str, bundle: &Bundle) -> State {
    let spec = &bundle.spec;
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let hooks = spec.hooks().as_ref();
    let annotations = spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    State {
        oci_version: spec.version().clone(),
        id: id.to_owned(),
        pid: 0,
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs.clone(),
        created: clock::now_nanos(),
        annotations,
        pyctr: Private {
            command: command(spec).to_owned(),
            cgroups_path: linux.and_then(|linux| linux.cgroups_path().clone()),
            systemd_cgroup: context.systemd_cgroup,
            namespaces: namespaces
                .iter()
                .map(|namespace| (process::namespace_word(namespace.typ()).to_owned(), namespace.path().clone()))
                .collect::<BTreeMap<_, _>>(),
            poststart: hooks.and_then(|hooks| hooks.poststart().clone()).unwrap_or_default(),
            poststop: hooks.and_then(|hooks| hooks.poststop().clone()).unwrap_or_default(),
            ..Private::default()
        },
    }
}

fn start(
    context: &Context,
    parsed: &Parsed,
    mode: Mode,
    bundle: &Bundle,
    directory: &Directory,
    mut state: State,
    outputs: &Outputs,
) -> Result<(State, Child, Option<Cgroup>)> {
    let cgroup = cgroups::create(context, &bundle.spec, &mut state)?;
    let started = (|| {
        // Before there is a process: whoever finds this after a crash knows what to clean up.
        directory.store(&state, true)?;
        let mut child = spawn(parsed, mode, bundle, directory, &state, cgroup.as_ref())?;
        state.pid = child.pid.as_raw_pid();
        state.pyctr.pid_start = process::start_time(state.pid).unwrap_or(0);
        let found = match bundle.spec.process() {
            Some(process) if mode == Mode::Created => lookup::check(state.pid, process),
            _ => Ok(()),
        };
        let stored = found.and_then(|()| directory.store(&state, false));
        stored.and_then(|()| outputs.deliver(&mut child, "standard")).inspect_err(|_| end(&child))?;
        Ok(child)
    })();
    match started {
        Ok(child) => Ok((state, child, cgroup)),
        Err(error) => {
            if let Some(Err(second)) = cgroup.map(cgroups::remove) {
                context.log.warn(&second.to_string());
            }
            Err(error)
        }
    }
}

/// Kills and reaps a child that must not stay.
fn end(child: &Child) {
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = rustix::process::waitpid(Some(child.pid), rustix::process::WaitOptions::empty());
}

fn spawn(
    parsed: &Parsed,
    mode: Mode,
    bundle: &Bundle,
    directory: &Directory,
    state: &State,
    cgroup: Option<&Cgroup>,
) -> Result<Child> {
    let gate = if mode == Mode::Created { Some(open_gate(directory)?) } else { None };
    let (listen, extra) = preserved_fds(parsed)?;
    let process = bundle.spec.process().as_ref();
    let stdio = match process {
        Some(process) if process.terminal() == Some(true) => Stdio::Terminal { size: terminal_size(process) },
        _ => Stdio::Inherit,
    };
    pyctr_core::process::launch(&Launch {
        id: &state.id,
        bundle: &bundle.path,
        spec: &bundle.spec,
        rootfs: Rootfs::Directory(bundle.rootfs.clone()),
        stdio,
        cgroup,
        seccomp: SeccompChoice::FromSpec,
        user: None,
        gate: gate.as_ref().map(AsFd::as_fd),
        preserve_fds: listen + extra,
        no_pivot: parsed.is_set("no-pivot"),
        no_new_keyring: parsed.is_set("no-new-keyring"),
        parent_death_signal: None,
        reaper: false,
    })
}

/// The size asked for, or that of the terminal we have.
pub fn terminal_size(process: &oci_spec::runtime::Process) -> Option<(u16, u16)> {
    let asked = process.console_size().and_then(|size| {
        Some((u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?)).filter(|size| *size != (0, 0))
    });
    asked.or_else(console::own_size)
}

/// The socket on which the command waits. Bound by way of the directory's descriptor: a path of 108 bytes is too short
/// for some roots. Only its owner may connect, for connecting starts the container.
fn open_gate(directory: &Directory) -> Result<OwnedFd> {
    let fail = |errno| Error::kernel("make socket", &directory.path().join(GATE), errno);
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(fail)?;
    let address = gate_address(directory).map_err(fail)?;
    rustix::net::bind(&socket, &address).map_err(fail)?;
    rustix::fs::chmodat(
        directory.fd(),
        GATE,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        rustix::fs::AtFlags::empty(),
    )
    .map_err(fail)?;
    rustix::net::listen(&socket, 1).map_err(fail)?;
    Ok(socket)
}

/// The address of a container's start socket.
pub fn gate_address(directory: &Directory) -> rustix::io::Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd;
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{GATE}", directory.fd().as_raw_fd()))
}

/// runc's words for a command that is not there or cannot be executed: dockerd and podman read them.
pub fn explain(error: Error, spec: &Spec) -> Error {
    explain_exec(error, command(spec))
}

fn command(spec: &Spec) -> &str {
    let args = spec.process().as_ref().and_then(|process| process.args().as_ref());
    args.and_then(|args| args.first()).map_or("", String::as_str)
}

/// As [`explain`], with the command's name.
pub fn explain_exec(error: Error, command: &str) -> Error {
    let reason = match error.kind {
        Kind::CommandNotFound if command.contains('/') => format!("stat {command}: no such file or directory"),
        Kind::CommandNotFound => "executable file not found in $PATH".to_owned(),
        Kind::CommandNotExecutable => match error.errno {
            Some(rustix::io::Errno::NOEXEC) => "exec format error".to_owned(),
            _ => "permission denied".to_owned(),
        },
        _ => return error,
    };
    Error::new(error.kind, format!("unable to start container process: exec: {command:?}: {reason}"), "", "")
}

/// The profile of a specification, if it has one.
pub fn profile(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref())
}
