//! The one process that watches a container: stdio, terminal, log, restarts, exit status, clean-up.
//!
//! One thread, one epoll, no wake-ups while nothing happens. It owns the container's control group, its run-time directory
//! and its `state.json`; it knows the store only by the paths in `monitor.json`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};

use crate::cgroup::Cgroup;
use crate::{Error, Kind, Result};

mod client;
mod clock;
mod config;
mod container;
mod event_loop;
mod exit;
mod input;
mod journal;
mod log;
mod protocol;
mod restart;
mod state;

use config::Config;
use container::Running;
use event_loop::{EventLoop, Outcome};
use protocol::Event;
use restart::Restarts;
use state::State;

/// Exit codes of a failed start, as Docker's.
const ENGINE_ERROR: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
const LISTEN_BACKLOG: i32 = 16;

/// Watches over the container of a directory until it has ended for good.
///
/// `client` is the socket of who asked for the start; it hears of success and failure. What this returns is for a log only.
pub fn run(container_dir: &Path, client: OwnedFd) -> Result<()> {
    // The caller's session, its working directory and its terminal's signals are none of ours.
    let _ = rustix::process::chdir("/");
    let hello = client::Client::new(client);
    let loaded = load(container_dir);
    let (config, spec) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            hello.send(&failure(&error));
            return Err(error);
        }
    };
    Monitor::new(config, spec, hello).and_then(|mut monitor| monitor.live())
}

fn load(container_dir: &Path) -> Result<(Config, Spec)> {
    let read = |name: &str| {
        let path = container_dir.join(name);
        std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))
    };
    let config: Config = serde_json::from_slice(&read("monitor.json")?)
        .map_err(|error| Error::new(Kind::Corrupt, "read", "monitor.json", error.to_string()))?;
    if config.version != config::VERSION {
        return Err(Error::invalid("read", "monitor.json", format!("version {} is not known", config.version)));
    }
    let spec = crate::spec::load(&read("spec.json")?)?;
    Ok((config, spec))
}

/// What a client is told of an error, and what it exits with.
fn failure(error: &Error) -> Event {
    let code = match error.kind {
        Kind::CommandNotFound => NOT_FOUND,
        Kind::CommandNotExecutable => NOT_EXECUTABLE,
        _ => ENGINE_ERROR,
    };
    Event::Error { message: error.to_string(), code }
}

struct Monitor {
    config: Config,
    spec: Spec,
    directory: OwnedFd,
    events: EventLoop,
    state: State,
    restarts: Restarts,
}

impl Monitor {
    fn new(config: Config, spec: Spec, client: client::Client) -> Result<Self> {
        let prepared = prepare(&config);
        let (directory, events) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                client.send(&failure(&error));
                return Err(error);
            }
        };
        let state = State { version: config::VERSION, monitor_pid: std::process::id(), ..State::default() };
        let restarts = Restarts::new(config.restart.clone());
        let mut monitor = Self { config, spec, directory, events, state, restarts };
        monitor.events.add_client(client.socket, None)?;
        Ok(monitor)
    }

    fn durable(&self) -> bool {
        self.config.remove.is_none()
    }

    fn live(&mut self) -> Result<()> {
        let cgroup = match container::create_cgroup(&self.config, &self.spec) {
            Ok(cgroup) => cgroup,
            Err(error) => return self.never_started(error, None),
        };
        loop {
            let mut running = match container::start(&self.config, &self.spec, &cgroup, self.events.size) {
                Ok(running) => running,
                Err(error) => return self.never_started(error, Some(&cgroup)),
            };
            let began = Instant::now();
            let watched = self.started(&running, &cgroup).and_then(|()| self.events.run(Some(&mut running), None));
            if watched.is_err() {
                running.signal(libc::SIGKILL); // unwatched it must not live on
            }
            let exit_code = running.reap();
            self.events.drain(&mut running);
            self.events.forget(&running);
            let oom_killed = cgroup.oom_kills().is_some_and(|kills| kills > 0);
            let pause = match watched {
                Ok(_) => self.restarts.next(exit_code, self.events.stopped_by_user, began.elapsed()),
                Err(_) => None,
            };
            drop(running);
            let Some(pause) = pause else { return self.ended(exit_code, oom_killed, &cgroup) };
            self.note_exit("restarting", exit_code, oom_killed)?;
            if self.events.run(None, Some(pause))? == Outcome::Stopped {
                return self.ended(exit_code, oom_killed, &cgroup);
            }
        }
    }

    fn started(&mut self, running: &Running, cgroup: &Cgroup) -> Result<()> {
        self.state.status = "running";
        self.state.pid = running.pid;
        self.state.pid_start = state::start_ticks(running.pid);
        self.state.started_at = clock::now();
        self.state.restart_count = self.restarts.count;
        self.state.cgroup_paths = container::cgroup_paths(cgroup);
        self.state.write(&self.directory, false)?;
        self.events.tell_all(&Event::Started { pid: running.pid });
        self.events.attach(running)?;
        self.journal("start", None);
        Ok(())
    }

    fn never_started(&mut self, error: Error, cgroup: Option<&Cgroup>) -> Result<()> {
        let event = failure(&error);
        if let Event::Error { code, message } = &event {
            self.state.status = "created";
            self.state.exit_code = *code;
            self.state.error.clone_from(message);
        }
        if self.config.remove.is_none() {
            let _ = self.state.write(&self.directory, false);
        }
        if let Some(cgroup) = cgroup {
            let _ = cgroup.remove();
        }
        exit::give_up_name(&self.config);
        exit::remove_directories(&self.config);
        // Last: who reads this finds nothing left behind.
        self.events.tell_all(&event);
        Err(error)
    }

    fn note_exit(&mut self, status: &'static str, exit_code: i32, oom_killed: bool) -> Result<()> {
        self.state.status = status;
        self.state.pid = 0;
        self.state.pid_start = 0;
        self.state.exit_code = exit_code;
        self.state.oom_killed = oom_killed;
        self.state.finished_at = clock::now();
        self.state.stopped_by_user = self.events.stopped_by_user;
        if self.config.remove.is_none() { self.state.write(&self.directory, self.durable()) } else { Ok(()) }
    }

    /// The caller hears the exit code first; what is slow comes after.
    fn ended(&mut self, exit_code: i32, oom_killed: bool, cgroup: &Cgroup) -> Result<()> {
        let noted = self.note_exit("exited", exit_code, oom_killed);
        exit::give_up_name(&self.config);
        let told = self.events.announce_exit(&Event::Exited { code: exit_code, oom_killed });
        if oom_killed {
            self.journal("oom", None);
        }
        self.journal("die", Some(exit_code));
        let removed = cgroup.remove();
        exit::remove_directories(&self.config);
        if self.config.remove.is_some() {
            self.journal("destroy", None);
        }
        noted.and(told).and(removed)
    }

    fn journal(&self, action: &str, exit_code: Option<i32>) {
        let mut attributes = self.config.event_attributes.clone();
        if let Some(code) = exit_code {
            attributes.insert("exitCode".to_owned(), code.to_string());
        }
        journal::append(&self.config.events, action, &self.config.id, &attributes);
    }
}

/// What must exist before the start: the container's directory held open, the run-time directory, the socket, the log.
fn prepare(config: &Config) -> Result<(OwnedFd, EventLoop)> {
    let open = |path: &Path| {
        rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::kernel("open", path, errno))
    };
    let directory = open(&config.container_dir)?;
    match rustix::fs::mkdir(&config.run_dir, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(Error::kernel("make", &config.run_dir, errno)),
    }
    let log = log::Driver::open(&config.log)?;
    let mut events = EventLoop::new(log, config.stdin_once, config.stop_signal)?;
    events.listen(socket(&open(&config.run_dir)?)?)?;
    Ok((directory, events))
}

/// The socket later clients connect to. Bound through the directory's descriptor: a socket's path is at most 108 bytes long.
fn socket(run_dir: &OwnedFd) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let fail = |errno| Error::kernel("listen on", "the monitor's socket", errno);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(fail)?;
    let path = format!("/proc/self/fd/{}/sock", run_dir.as_raw_fd());
    // One that a monitor left which was killed.
    let _ = rustix::fs::unlinkat(run_dir, "sock", rustix::fs::AtFlags::empty());
    rustix::net::bind(&socket, &SocketAddrUnix::new(path.as_str()).map_err(fail)?).map_err(fail)?;
    rustix::net::listen(&socket, LISTEN_BACKLOG).map_err(fail)?;
    Ok(socket)
}
