//! A further process in a running container (`pyctr exec`): watched like a container's first one, by a process of its own, so
//! that nothing it does can hold up the container's monitor. It keeps no log and is gone with its process.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::LinuxSeccomp;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;

use super::config::{Seccomp, VERSION};
use super::container::{self, Running};
use super::event_loop::{EventLoop, Manners};
use super::life::{ENGINE_ERROR, NOT_EXECUTABLE, failure};
use super::outcome::Outcome;
use super::poller::Poller;
use super::protocol::Event;
use super::streams::Ends;
use super::{client, exit, journal, log, make_directory, open_directory, socket, state};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::process::{Exec, SeccompChoice, Stdio, UserRequest, exec};
use crate::{Error, Kind, Result};

/// A request is larger by its environment at most (execve(2): a string has 128 KiB).
const REQUEST_MAX_BYTES: u64 = 8 << 20;

/// What is asked of a session (docs/design.md, "Exec").
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Format of this request.
    version: u32,
    /// The session's id.
    id: String,
    /// The container's id.
    container: String,
    /// Its first process.
    pid: i32,
    /// When that one began.
    pid_start: u64,
    /// Its cgroup directories.
    cgroup_paths: BTreeMap<String, PathBuf>,
    /// What to run, in the runtime-spec's form.
    process: serde_json::Value,
    /// The user, by name or number.
    user: String,
    /// Further groups, by name or number.
    #[serde(default)]
    group_add: Vec<String>,
    /// Standard input stays open.
    open_stdin: bool,
    /// `default`, `unconfined` or `spec`.
    seccomp: Seccomp,
    /// linux.seccomp, for `spec`.
    #[serde(default)]
    profile: Option<LinuxSeccomp>,
    /// The socket of the keeper of an ordinary user's namespaces.
    #[serde(default)]
    keeper: Option<PathBuf>,
    /// The session's run-time directory.
    run_dir: PathBuf,
    /// The journal.
    events: PathBuf,
    /// What its entries say of the container.
    #[serde(default)]
    event_attributes: BTreeMap<String, String>,
}

/// Runs one process in a container and watches it to its end. `request` is read to its end; `client` is the socket of who asked.
pub fn run(request: OwnedFd, client: OwnedFd) -> Result<()> {
    let _ = rustix::process::chdir("/");
    let prepared = read(request).and_then(|(request, process)| {
        if let Some(keeper) = &request.keeper {
            crate::rootless::attend(keeper);
        }
        let events = prepare(&request, &process)?;
        Ok((request, process, events))
    });
    let (request, process, events) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            client::part(&client, &failure(&error));
            return Err(error);
        }
    };
    let mut session = Session { request, process, events };
    let result = session.events.add_client(client).and_then(|()| session.live());
    session.events.stop_listening();
    result.and(session.events.serve_slow_clients())
}

fn read(request: OwnedFd) -> Result<(Request, oci_spec::runtime::Process)> {
    let mut bytes = Vec::new();
    std::fs::File::from(request)
        .take(REQUEST_MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", "the request", &error))?;
    let request: Request = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(Kind::Corrupt, "read", "the request", error.to_string()))?;
    if request.version != VERSION {
        return Err(Error::invalid("read", "the request", format!("version {} is not known", request.version)));
    }
    let process = serde_json::to_vec(&request.process).unwrap_or_default();
    let (process, _) = crate::spec::load_process(&process)?;
    crate::spec::validate_process(&process)?;
    Ok((request, process))
}

fn prepare(request: &Request, process: &oci_spec::runtime::Process) -> Result<EventLoop> {
    make_directory(&request.run_dir)?;
    let terminal = process.terminal() == Some(true);
    let manners = Manners { terminal, open_stdin: request.open_stdin, stdin_once: true };
    let mut events = EventLoop::new(Poller::new()?, log::Driver::none(), manners);
    events.listen(socket(&open_directory(&request.run_dir)?)?)?;
    Ok(events)
}

/// What keeps a command from starting in a container that runs makes it one that cannot be executed, as Docker counts.
fn refusal(error: &Error) -> Event {
    match failure(error) {
        Event::Error { message, code: ENGINE_ERROR } if error.kind != Kind::State => {
            Event::Error { message, code: NOT_EXECUTABLE }
        }
        other => other,
    }
}

struct Session {
    request: Request,
    process: oci_spec::runtime::Process,
    events: EventLoop,
}

impl Session {
    fn live(&mut self) -> Result<()> {
        let (running, ends) = match self.start() {
            Ok(started) => started,
            Err(error) => {
                exit::remove_tree(&self.request.run_dir);
                self.events.dismiss_all(&refusal(&error));
                return Err(error);
            }
        };
        let watched = self.note(&running).and_then(|()| self.watch(&running, ends));
        if watched.is_err() {
            let _ = running.signal(libc::SIGKILL); // unwatched it must not live on
        }
        let code = running.reap();
        self.events.detach();
        // Before anybody hears of it: who saw the command end finds its end in the journal.
        self.journal("exec_die", &[("exitCode", code.to_string())]);
        self.events.announce_exit(&Event::Exited { code, oom_killed: false });
        exit::remove_tree(&self.request.run_dir);
        watched
    }

    fn start(&self) -> Result<(Running, Ends)> {
        let request = &self.request;
        let gone = || Error::new(Kind::State, format!("container {} is not running", request.container), "", "");
        let pid = Pid::from_raw(request.pid).ok_or_else(gone)?;
        let container = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        // After the descriptor is open, a matching start time says that it is that process's.
        if state::start_ticks(request.pid) != request.pid_start {
            return Err(gone());
        }
        let cgroup = Cgroup::open(&Hierarchies::detect()?, &request.cgroup_paths)?;
        self.journal(&self.action("exec_create"), &[]);
        let started = container::with_stdio(
            self.process.terminal() == Some(true),
            request.open_stdin,
            self.events.size,
            |stdio| exec(&self.exec_request(&container, pid, &cgroup, stdio)),
        )?;
        self.journal(&self.action("exec_start"), &[]);
        Ok(started)
    }

    fn exec_request<'a>(&'a self, container: &'a OwnedFd, pid: Pid, cgroup: &'a Cgroup, stdio: Stdio<'a>) -> Exec<'a> {
        let request = &self.request;
        Exec {
            container: container.as_fd(),
            container_pid: pid,
            process: &self.process,
            stdio,
            cgroup: Some(cgroup),
            seccomp: match request.seccomp {
                Seccomp::Default => SeccompChoice::DockerDefault,
                Seccomp::Unconfined => SeccompChoice::Unconfined,
                Seccomp::Spec => SeccompChoice::FromSpec,
            },
            profile: request.profile.as_ref(),
            user: Some(UserRequest { user: request.user.clone(), additional_groups: request.group_add.clone() }),
            preserve_fds: 0,
        }
    }

    /// Writes down which process this session is: `pid` and its start, then this one's pid.
    fn note(&self, running: &Running) -> Result<()> {
        let directory = open_directory(&self.request.run_dir)?;
        let text = format!("{} {} {}\n", running.pid, state::start_ticks(running.pid), std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fail = |errno| Error::kernel("write down", "the session", errno);
        let file = rustix::fs::openat(&directory, "pid", flags, Mode::from_raw_mode(0o600)).map_err(fail)?;
        rustix::io::write(&file, text.as_bytes()).map(drop).map_err(fail)
    }

    fn watch(&mut self, running: &Running, ends: Ends) -> Result<()> {
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&running.pidfd, 0)
            .map_err(|errno| Error::kernel("copy", "the pidfd", errno))?;
        self.events.attach(running.pid, pidfd, ends)?;
        self.events.tell_all(&Event::Started { pid: running.pid });
        loop {
            match self.events.run(None)? {
                Outcome::Exited => return Ok(()),
                Outcome::Signal(signal) => drop(running.signal(signal)),
                Outcome::Kill { signal, client } => match running.signal(signal) {
                    Ok(()) => self.events.tell(client, &Event::Ok),
                    Err(errno) => {
                        self.events.tell(client, &failure(&Error::kernel("send signal to", &self.request.id, errno)));
                    }
                },
                _ => {}
            }
        }
    }

    /// Docker's events name the command: `exec_start: sh -c ls`.
    fn action(&self, kind: &str) -> String {
        format!("{kind}: {}", self.process.args().as_deref().unwrap_or_default().join(" "))
    }

    fn journal(&self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.request.event_attributes.clone();
        attributes.insert("execID".to_owned(), self.request.id.clone());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        journal::append(&self.request.events, action, &self.request.container, &attributes);
    }
}
