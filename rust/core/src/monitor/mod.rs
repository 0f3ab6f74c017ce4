//! The one process that watches a container: stdio, terminal, log, restarts, exit status, clean-up.
//!
//! One thread, one epoll, no wake-ups while nothing happens. It owns the container's control group, its run-time directory
//! and its `state.json`; it knows the store only by the paths in `monitor.json`. Every error ends in clean-up: a container
//! that cannot be watched is killed.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxMemory, Spec};
use rustix::fs::{Mode, OFlags};

use crate::cgroup::Cgroup;
use crate::sys::monitor::signal_descriptor;
use crate::{Error, Kind, Result};

mod client;
mod clock;
mod config;
mod container;
mod event_loop;
mod exit;
mod journal;
mod log;
mod output;
mod poller;
mod protocol;
mod restart;
mod state;
mod streams;

use clock::Time;
use config::Config;
use container::Running;
use event_loop::{EventLoop, Manners, Outcome};
use poller::Poller;
use protocol::Event;
use restart::Restarts;
use state::State;
use streams::Ends;

/// Exit codes of a failed start, as Docker's.
const ENGINE_ERROR: i32 = 125;
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
const LISTEN_BACKLOG: i32 = 16;
/// What ends a monitor in good order, its container with it.
const TERMINATING: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Watches over the container of a directory until it has ended for good.
///
/// `client` is the socket of who asked for the start: it hears of success and failure. `lock` says that the container has an
/// owner; it is let go when all is cleaned up. What this returns is for a log only.
pub fn run(container_dir: &Path, client: OwnedFd, lock: OwnedFd) -> Result<()> {
    // The caller's working directory is none of ours.
    let _ = rustix::process::chdir("/");
    let prepared = load(container_dir).and_then(|(config, spec)| {
        let prepared = prepare(&config)?;
        Ok((config, spec, prepared))
    });
    let (config, spec, (directory, events)) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            client::part(&client, &failure(&error));
            return Err(error);
        }
    };
    let state = State::new(&directory);
    let restarts = Restarts::new(config.restart.clone());
    let mut monitor = Monitor {
        config,
        limits_memory: false,
        ooms_told: 0,
        spec: Some(spec),
        directory,
        events,
        state,
        restarts,
        stopping: false,
        kill_at: None,
    };
    let result = monitor.events.add_client(client).and_then(|()| monitor.live());
    monitor.events.stop_listening();
    // From here on the container may be started again; who has not read all of its output yet still can.
    drop(lock);
    result.and(monitor.events.serve_slow_clients())
}

fn load(container_dir: &Path) -> Result<(Config, Spec)> {
    let config: Config = serde_json::from_slice(&read(container_dir, "monitor.json")?)
        .map_err(|error| Error::new(Kind::Corrupt, "read", "monitor.json", error.to_string()))?;
    if config.version != config::VERSION {
        return Err(Error::invalid("read", "monitor.json", format!("version {} is not known", config.version)));
    }
    Ok((config, load_spec(container_dir)?))
}

fn load_spec(container_dir: &Path) -> Result<Spec> {
    crate::spec::load(&read(container_dir, "spec.json")?)
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>> {
    let path = directory.join(name);
    std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))
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
    /// Memory can run out.
    limits_memory: bool,
    /// Out-of-memory events in the journal.
    ooms_told: u64,
    /// Read for a start and dropped after it: a restart reads it again.
    spec: Option<Spec>,
    directory: OwnedFd,
    events: EventLoop,
    state: State,
    restarts: Restarts,
    /// This process was told to end.
    stopping: bool,
    /// When SIGKILL follows the stop signal.
    kill_at: Option<Instant>,
}

/// How a container's life ended.
#[derive(Debug, Clone, Copy)]
struct End {
    exit_code: i32,
    oom_killed: bool,
    lasted: Duration,
}

impl Monitor {
    fn live(&mut self) -> Result<()> {
        let spec = self.spec.take().map_or_else(|| load_spec(&self.config.container_dir), Ok)?;
        let cgroup = match container::create_cgroup(&self.config, &spec) {
            Ok(cgroup) => cgroup,
            Err(error) => return self.never_started(error, None),
        };
        self.spec = Some(spec);
        loop {
            let (running, ends) = match self.start(&cgroup) {
                Ok(started) => started,
                Err(error) if self.restarts.count == 0 => return self.never_started(error, Some(&cgroup)),
                Err(error) => return self.not_restarted(&error, &cgroup),
            };
            let began = Instant::now();
            let kills_before = if self.restarts.count == 0 { 0 } else { cgroup.oom_kills().unwrap_or(0) };
            let watched = self.started(&running, ends, &cgroup).and_then(|()| self.watch(&running, &cgroup));
            if watched.is_err() {
                let _ = running.signal(libc::SIGKILL); // unwatched it must not live on
            }
            let exit_code = running.reap();
            self.events.detach();
            let kills = cgroup.oom_kills().unwrap_or(0);
            self.tell_ooms(kills);
            let oom_killed = kills > kills_before;
            let end = End { exit_code, oom_killed, lasted: began.elapsed() };
            let restart = watched.is_ok() && !self.stopping;
            let pause = self.restarts.next(exit_code, self.state.stopped_by_user, end.lasted).filter(|_| restart);
            let Some(pause) = pause else { return watched.and(self.ended(end, &cgroup)) };
            self.note_exit("restarting", end, &cgroup)?;
            if !self.pause(pause)? {
                return self.ended_in_pause(&cgroup);
            }
        }
    }

    fn start(&mut self, cgroup: &Cgroup) -> Result<(Running, Ends)> {
        let spec = self.spec.take().map_or_else(|| load_spec(&self.config.container_dir), Ok)?;
        self.limits_memory = limits_memory(&spec);
        container::start(&self.config, &spec, cgroup, self.events.size)
    }

    /// The file first: who hears that the container runs may ask where.
    fn started(&mut self, running: &Running, ends: Ends, cgroup: &Cgroup) -> Result<()> {
        self.state.status = "running";
        self.state.pid = running.pid;
        self.state.pid_start = state::start_ticks(running.pid);
        self.state.exit_code = 0;
        self.state.oom_killed = false;
        self.state.started_at = Time::now().rfc3339_nano();
        self.state.restart_count = self.restarts.count;
        self.state.cgroup_paths = cgroup.paths();
        self.state.write(&self.directory)?;
        self.events.tell_all(&Event::Started { pid: running.pid });
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&running.pidfd, 0)
            .map_err(|errno| Error::kernel("copy", "the container's pidfd", errno))?;
        self.events.attach(running.pid, pidfd, ends)?;
        let signals = signal_descriptor(&TERMINATING).map_err(|errno| Error::kernel("watch", "signals", errno))?;
        self.events.watch_signals(signals)?;
        if self.limits_memory
            && let Ok(watch) = cgroup.watch_oom()
        {
            self.events.watch_memory(Some(watch.descriptor))?;
        }
        self.journal("start", &[]);
        Ok(())
    }

    /// Until the first process ends.
    fn watch(&mut self, running: &Running, cgroup: &Cgroup) -> Result<()> {
        loop {
            match self.events.run(self.kill_at)? {
                Outcome::Exited => return Ok(()),
                Outcome::TimedOut => {
                    self.kill_at = None;
                    self.send(running, cgroup, libc::SIGKILL)?;
                }
                Outcome::Signal(signal) => {
                    let _ = running.signal(signal); // the client has its own way of finding out what became of it
                }
                Outcome::Kill { signal, client } => self.kill(running, cgroup, signal, client),
                Outcome::Terminate => {
                    self.stopping = true;
                    let grace = u64::try_from(self.config.stop_timeout_s).ok().map(Duration::from_secs);
                    self.kill_at = grace.map(|grace| Instant::now() + grace);
                    self.send(running, cgroup, self.config.stop_signal)?;
                }
                // The notice comes before the kill is counted.
                Outcome::OutOfMemory { certain: true } => self.tell_ooms(self.ooms_told + 1),
                Outcome::OutOfMemory { certain: false } => self.tell_ooms(cgroup.oom_kills().unwrap_or(0)),
            }
        }
    }

    /// The journal hears of kills for lack of memory it does not know of yet.
    fn tell_ooms(&mut self, kills: u64) {
        if kills > self.ooms_told {
            self.ooms_told = kills;
            self.journal("oom", &[]);
        }
    }

    /// Sends a signal that is meant to end the container; one that is frozen would not notice.
    fn send(&self, running: &Running, cgroup: &Cgroup, signal: i32) -> Result<()> {
        running
            .signal(signal)
            .map_err(|errno| Error::kernel(format!("send signal {signal} to"), &self.config.id, errno))?;
        if cgroup.is_frozen().unwrap_or(false) {
            cgroup.thaw()?;
        }
        Ok(())
    }

    fn kill(&mut self, running: &Running, cgroup: &Cgroup, signal: i32, client: u64) {
        let ends = self.is_meant_to_end(signal);
        let sent = if ends {
            self.send(running, cgroup, signal)
        } else {
            running
                .signal(signal)
                .map_err(|errno| Error::kernel(format!("send signal {signal} to"), &self.config.id, errno))
        };
        match sent {
            Ok(()) => {
                if ends && !self.state.stopped_by_user {
                    self.state.stopped_by_user = true;
                    let _ = self.state.write(&self.directory); // written again at the end
                }
                self.events.tell(client, &Event::Ok);
                self.journal("kill", &[("signal", signal.to_string())]);
            }
            Err(error) => self.events.tell(client, &failure(&error)),
        }
    }

    fn is_meant_to_end(&self, signal: i32) -> bool {
        signal == libc::SIGKILL || signal == self.config.stop_signal
    }

    /// Waits before a restart; false: there is to be none.
    fn pause(&mut self, pause: Duration) -> Result<bool> {
        let until = Instant::now() + pause;
        loop {
            match self.events.run(Some(until))? {
                Outcome::TimedOut => return Ok(true),
                Outcome::Terminate => {
                    self.stopping = true;
                    return Ok(false);
                }
                Outcome::Kill { signal, client } if self.is_meant_to_end(signal) => {
                    self.state.stopped_by_user = true;
                    self.events.tell(client, &Event::Ok);
                    return Ok(false);
                }
                Outcome::Kill { client, .. } => {
                    let message = format!("container {} is not running", self.config.id);
                    self.events.tell(client, &Event::Error { message, code: ENGINE_ERROR });
                }
                Outcome::Exited | Outcome::Signal(_) | Outcome::OutOfMemory { .. } => {}
            }
        }
    }

    fn never_started(&mut self, error: Error, cgroup: Option<&Cgroup>) -> Result<()> {
        let event = failure(&error);
        if let Event::Error { code, message } = &event {
            self.state.status = "created";
            self.state.exit_code = *code;
            self.state.error.clone_from(message);
        }
        let _ = self.write_state();
        exit::give_up_name(&self.config, &self.directory);
        self.clean_up(cgroup);
        // Last: who reads this finds nothing left behind.
        self.events.dismiss_all(&event);
        Err(error)
    }

    fn not_restarted(&mut self, error: &Error, cgroup: &Cgroup) -> Result<()> {
        self.state.error = error.to_string();
        let Event::Error { code, .. } = failure(error) else { return Ok(()) };
        self.ended(End { exit_code: code, oom_killed: false, lasted: Duration::ZERO }, cgroup)
    }

    /// The state of `--rm` containers is never read once they have ended.
    fn write_state(&self) -> Result<()> {
        if self.config.remove.is_none() { self.state.write(&self.directory) } else { Ok(()) }
    }

    /// One life is over: the caller hears the exit code first; what is slow comes after.
    fn note_exit(&mut self, status: &'static str, end: End, cgroup: &Cgroup) -> Result<()> {
        self.state.status = status;
        self.state.pid = 0;
        self.state.pid_start = 0;
        self.state.exit_code = end.exit_code;
        self.state.oom_killed = end.oom_killed;
        self.state.finished_at = Time::now().rfc3339_nano();
        let written = self.write_state();
        if status == "exited" {
            exit::give_up_name(&self.config, &self.directory);
        }
        self.events.announce_exit(&Event::Exited { code: end.exit_code, oom_killed: end.oom_killed });
        self.events.watch_memory(None)?;
        let lasted = end.lasted.as_secs().to_string();
        self.journal("die", &[("execDuration", lasted), ("exitCode", end.exit_code.to_string())]);
        // Processes that joined the group from outside its pid namespace, or were never in one (--pid host), end with it.
        if cgroup.pids().is_ok_and(|pids| !pids.is_empty()) {
            let _ = cgroup.kill_all(libc::SIGKILL);
        }
        written
    }

    fn ended(&mut self, end: End, cgroup: &Cgroup) -> Result<()> {
        let noted = self.note_exit("exited", end, cgroup);
        self.events.stop_listening();
        self.clean_up(Some(cgroup));
        if self.config.remove.is_some() {
            self.journal("destroy", &[]);
            return noted;
        }
        noted.and(state::sync(&self.directory))
    }

    /// Stopped between two lives: the last one's end stands.
    fn ended_in_pause(&mut self, cgroup: &Cgroup) -> Result<()> {
        self.state.status = "exited";
        let written = self.write_state();
        exit::give_up_name(&self.config, &self.directory);
        self.events.announce_exit(&Event::Exited { code: self.state.exit_code, oom_killed: self.state.oom_killed });
        self.clean_up(Some(cgroup));
        written.and(state::sync(&self.directory))
    }

    /// Control group and directories go; what fails does not keep the rest.
    fn clean_up(&mut self, cgroup: Option<&Cgroup>) {
        if let Some(cgroup) = cgroup {
            let _ = cgroup.remove();
        }
        self.events.close_log();
        exit::remove_directories(&self.config, &self.directory);
    }

    fn journal(&self, action: &str, more: &[(&str, String)]) {
        let mut attributes = self.config.event_attributes.clone();
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        journal::append(&self.config.events, action, &self.config.id, &attributes);
    }
}

/// Out of memory is watched for where there is a limit to run out of.
fn limits_memory(spec: &Spec) -> bool {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let limit = resources.and_then(|resources| resources.memory().as_ref()).and_then(LinuxMemory::limit);
    limit.is_some_and(|bytes| bytes > 0)
}

/// What must exist before the start: the container's directory held open, the run-time directory, the socket, the log.
fn prepare(config: &Config) -> Result<(OwnedFd, EventLoop)> {
    let open = |path: &Path| {
        rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| Error::kernel("open", path, errno))
    };
    let directory = open(&config.container_dir)?;
    match rustix::fs::mkdir(&config.run_dir, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(Error::kernel("make", &config.run_dir, errno)),
    }
    let poller = Poller::new()?;
    let log = log::Driver::new(config, &poller)?;
    let manners = Manners { terminal: config.terminal, open_stdin: config.open_stdin, stdin_once: config.stdin_once };
    let mut events = EventLoop::new(poller, log, manners);
    events.listen(socket(&open(&config.run_dir)?)?)?;
    Ok((directory, events))
}

/// The socket later clients connect to. Bound through the directory's descriptor: a socket's path is at most 108 bytes long.
fn socket(run_dir: &OwnedFd) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let fail = |errno| Error::kernel("listen on", "the monitor's socket", errno);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(fail)?;
    // The file gets the socket's own mode, at no moment another (unix(7); net/unix/af_unix.c, unix_bind_bsd).
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(fail)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/sock", run_dir.as_raw_fd()).as_str()).map_err(fail)?;
    match rustix::net::bind(&socket, &address) {
        Err(rustix::io::Errno::ADDRINUSE) => {
            // One that a monitor left which was killed: the lock says that nobody listens there.
            rustix::fs::unlinkat(run_dir, "sock", rustix::fs::AtFlags::empty()).map_err(fail)?;
            rustix::net::bind(&socket, &address).map_err(fail)?;
        }
        bound => bound.map_err(fail)?,
    }
    rustix::net::listen(&socket, LISTEN_BACKLOG).map_err(fail)?;
    Ok(socket)
}
