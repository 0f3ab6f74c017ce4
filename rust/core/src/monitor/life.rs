//! A container's life, or its lives: what follows from each event, in which order.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxMemory, Spec};
use rustix::fs::{Mode, OFlags};

use super::clock::Time;
use super::config::Config;
use super::container::{self, Running};
use super::event_loop::EventLoop;
use super::health::{CheckResult, Checks, Status};
use super::network::Network;
use super::outcome::Outcome;
use super::probe::{self, Probe};
use super::protocol::Event;
use super::restart::Restarts;
use super::state::{self, State};
use super::streams::Ends;
use super::{exit, journal, load_spec};
use crate::cgroup::Cgroup;
use crate::process::{self, run_hooks};
use crate::sys::monitor::signal_descriptor;
use crate::{Error, Kind, Result};

/// Exit codes of a failed start, as Docker's.
pub const ENGINE_ERROR: i32 = 125;
pub const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// What ends a monitor in good order, its container with it.
const TERMINATING: [i32; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// What a client is told of an error, and what it exits with.
pub fn failure(error: &Error) -> Event {
    let code = match error.kind {
        Kind::CommandNotFound => NOT_FOUND,
        Kind::CommandNotExecutable => NOT_EXECUTABLE,
        _ => ENGINE_ERROR,
    };
    Event::Error { message: error.to_string(), code }
}

/// The monitor of one container.
pub struct Monitor {
    pub(super) config: Config,
    /// Memory can run out.
    limits_memory: bool,
    /// Out-of-memory events in the journal.
    ooms_told: u64,
    /// Read for a start and dropped after it, unless its hooks are still to run: a restart reads it again.
    spec: Option<Spec>,
    pub(super) directory: OwnedFd,
    /// The container's mount namespace, held so that its first process does not take it down in its exit: unmounting an
    /// overlay that is not volatile syncs the whole file system below, and the exit code is not to wait for that.
    mounts: Option<OwnedFd>,
    pub(super) network: Network,
    /// The loop.
    pub events: EventLoop,
    pub(super) state: State,
    pub(super) restarts: Restarts,
    /// Health checks of this life.
    checks: Option<Checks>,
    pub(super) probe: Option<Probe>,
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
    /// For a container about to start.
    pub fn new(config: Config, spec: Spec, directory: OwnedFd, events: EventLoop) -> Self {
        let state = State::new(&directory);
        let restarts = Restarts::new(config.restart.clone());
        Self {
            config,
            limits_memory: false,
            ooms_told: 0,
            spec: Some(spec),
            directory,
            mounts: None,
            network: Network::default(),
            events,
            state,
            restarts,
            checks: None,
            probe: None,
            stopping: false,
            kill_at: None,
        }
    }

    /// From the start to the last clean-up.
    pub fn live(&mut self) -> Result<()> {
        let spec = self.spec.take().map_or_else(|| load_spec(&self.config.container_dir), Ok)?;
        let cgroup = match container::create_cgroup(&self.config, &spec) {
            Ok(cgroup) => cgroup,
            Err(error) => return self.never_started(error, None),
        };
        self.spec = Some(spec);
        let first = self.restarts.count;
        loop {
            let running = match self.start(&cgroup) {
                Ok(running) => running,
                Err(error) if self.restarts.count == first => return self.never_started(error, Some(&cgroup)),
                Err(error) => return self.not_restarted(&error, &cgroup),
            };
            let (end, watched) = self.live_once(&running, &cgroup);
            let restart = watched.is_ok() && !self.stopping;
            let pause =
                if restart { self.restarts.next(end.exit_code, self.state.stopped_by_user, end.lasted) } else { None };
            let Some(pause) = pause else { return watched.and(self.ended(end, &cgroup)) };
            let _ = self.note_exit("restarting", end, &cgroup); // a full disk is no reason to stay down
            self.mounts = None;
            if !self.pause(pause).unwrap_or(false) {
                return self.ended_in_pause(&cgroup);
            }
        }
    }

    /// Starts the container and says so. On failure nothing of this life is left.
    fn start(&mut self, cgroup: &Cgroup) -> Result<Running> {
        let spec = self.spec.take().map_or_else(|| load_spec(&self.config.container_dir), Ok)?;
        self.limits_memory = limits_memory(&spec);
        if let Some(descriptor) = self.network.prepare(&self.config)? {
            self.events.watch_network(Some(descriptor))?;
        }
        let attach = self.network.attach();
        let beside = attach.as_ref().map(|attach| attach as process::Beside<'_>);
        let (running, ends) = container::start(&self.config, &spec, cgroup, self.events.size, beside)?;
        drop(attach);
        let poststart = spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_ref());
        let state = self.hook_state(&spec, "running", Some(running.pid));
        let started = run_hooks("poststart", poststart, &state).and_then(|()| self.started(&running, ends, cgroup));
        if let Err(error) = started {
            let _ = running.signal(libc::SIGKILL);
            running.reap();
            self.events.detach();
            return Err(error);
        }
        self.spec = spec.hooks().is_some().then_some(spec);
        Ok(running)
    }

    fn hook_state<'a>(&'a self, spec: &'a Spec, status: &'a str, pid: Option<i32>) -> process::State<'a> {
        process::State::new(spec, &self.config.id, &self.config.container_dir, status, pid)
    }

    /// Until the end of a life that has begun; how it ended, and whether it was watched to its end.
    fn live_once(&mut self, running: &Running, cgroup: &Cgroup) -> (End, Result<()>) {
        let began = Instant::now();
        let kills_before = if self.restarts.count == 0 { 0 } else { cgroup.oom_kills().unwrap_or(0) };
        let watched = self.settle(cgroup).and_then(|()| self.watch(running, cgroup));
        if watched.is_err() {
            let _ = running.signal(libc::SIGKILL); // unwatched it must not live on
        }
        let exit_code = running.reap();
        // Its process died with the container's pid namespace, or is killed now (--pid host).
        if let Some(probe) = self.probe.take() {
            drop(probe.abort(Duration::ZERO));
        }
        self.checks = None;
        self.events.detach();
        let kills = cgroup.oom_kills().unwrap_or(0);
        self.tell_ooms(kills);
        (End { exit_code, oom_killed: kills > kills_before, lasted: began.elapsed() }, watched)
    }

    /// The file first: who hears that the container runs may ask where.
    fn started(&mut self, running: &Running, ends: Ends, cgroup: &Cgroup) -> Result<()> {
        // At once, since it may be about to exit; its pid is its own until we reap it. Where this fails the exit is slower.
        let namespace = format!("/proc/{}/ns/mnt", running.pid);
        self.mounts = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        self.state.status = "running";
        self.state.pid = running.pid;
        self.state.pid_start = state::start_ticks(running.pid);
        self.state.exit_code = 0;
        self.state.oom_killed = false;
        self.state.started_at = Time::now().rfc3339_nano();
        self.state.restart_count = self.restarts.count;
        self.state.cgroup_paths = cgroup.paths();
        self.checks = self.config.health.clone().map(|check| Checks::new(check, Instant::now()));
        self.state.health = self.checks.as_ref().map(|checks| checks.health.clone());
        self.state.write(&self.directory)?;
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&running.pidfd, 0)
            .map_err(|errno| Error::kernel("copy", "the container's pidfd", errno))?;
        self.events.attach(running.pid, pidfd, ends)?;
        // Before anybody hears of it: who does writes the events that follow this one.
        self.journal("start", &[]);
        self.events.tell_all(&Event::Started { pid: running.pid });
        Ok(())
    }

    /// What nobody who waits for the start has to wait for.
    fn settle(&mut self, cgroup: &Cgroup) -> Result<()> {
        let signals = signal_descriptor(&TERMINATING).map_err(|errno| Error::kernel("watch", "signals", errno))?;
        self.events.watch_signals(signals)?;
        if self.limits_memory
            && let Ok(watch) = cgroup.watch_oom()
        {
            self.events.watch_memory(Some(watch.descriptor))?;
        }
        Ok(())
    }

    /// Until the first process ends.
    fn watch(&mut self, running: &Running, cgroup: &Cgroup) -> Result<()> {
        loop {
            match self.events.run(self.deadline())? {
                Outcome::Exited => return Ok(()),
                Outcome::TimedOut if self.kill_at.is_some_and(|moment| moment <= Instant::now()) => {
                    self.kill_at = None;
                    self.end(running, cgroup, libc::SIGKILL)?;
                }
                Outcome::TimedOut => self.check_health(running, cgroup),
                Outcome::ProbeOutput => self.probe.iter_mut().for_each(Probe::read),
                Outcome::ProbeEnded => {
                    let ended = self.probe.take().map(|probe| (probe.began, probe.finish()));
                    self.note_health(ended);
                }
                Outcome::Network => self.network.turn(),
                Outcome::LogLost => {
                    self.state.log_lost = self.events.log_lost();
                    let _ = self.state.write(&self.directory); // a full disk is no reason to end a container
                }
                Outcome::Signal(signal) => {
                    let _ = running.signal(signal); // the client has its own way of finding out what became of it
                }
                Outcome::Kill { signal, client } => self.kill(running, cgroup, signal, client),
                Outcome::Freeze { frozen, client } => self.freeze(cgroup, frozen, client),
                Outcome::Update { update, client } => self.update(cgroup, *update, client),
                Outcome::Reconnect { client } => self.reconnect(Some(running.pid), client),
                Outcome::Terminate => {
                    self.stopping = true;
                    let grace = u64::try_from(self.config.stop_timeout_s).ok().map(Duration::from_secs);
                    self.kill_at = grace.map(|grace| Instant::now() + grace);
                    self.end(running, cgroup, self.config.stop_signal)?;
                }
                // The notice comes before the kill is counted.
                Outcome::OutOfMemory { certain: true } => self.tell_ooms(self.ooms_told + 1),
                Outcome::OutOfMemory { certain: false } => self.tell_ooms(cgroup.oom_kills().unwrap_or(0)),
            }
        }
    }

    /// When something is to be done unasked.
    fn deadline(&self) -> Option<Instant> {
        let health = match (&self.checks, &self.probe) {
            (_, Some(probe)) => probe.deadline(),
            (Some(checks), None) => Some(checks.due()),
            (None, None) => None,
        };
        self.kill_at.into_iter().chain(health).min()
    }

    /// A check is due, or has run for too long.
    fn check_health(&mut self, running: &Running, cgroup: &Cgroup) {
        let Some(checks) = &mut self.checks else { return };
        if let Some(probe) = self.probe.take_if(|probe| probe.deadline().is_some_and(|moment| moment <= Instant::now()))
        {
            let ended = (probe.began, probe.abort(Duration::from_nanos(checks.check.timeout_ns)));
            return self.note_health(Some(ended));
        }
        if self.probe.is_some() || checks.due() > Instant::now() {
            return;
        }
        if self.state.status != "running" {
            return checks.schedule(Instant::now()); // what is paused cannot answer
        }
        match Probe::start(&self.config, &checks.check, running.pid, cgroup, self.events.poller()) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => self.note_health(Some((Instant::now(), probe::failed(&error)))),
        }
    }

    fn note_health(&mut self, ended: Option<(Instant, CheckResult)>) {
        let (Some(checks), Some((began, result))) = (&mut self.checks, ended) else { return };
        let changed = checks.take(began, result);
        checks.schedule(Instant::now());
        self.state.health = Some(checks.health.clone());
        let _ = self.state.write(&self.directory); // a full disk is no reason to end a container
        if let Some(status) = changed {
            self.network.serve(status == Status::Healthy);
            self.journal(&format!("health_status: {}", status.word()), &[]);
        }
    }

    /// The journal hears of kills for lack of memory it does not know of yet.
    fn tell_ooms(&mut self, kills: u64) {
        if kills > self.ooms_told {
            self.ooms_told = kills;
            self.journal("oom", &[]);
        }
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
                Outcome::Update { update, client } if update.resources.is_none() => {
                    if let Some(restart) = update.restart {
                        self.restarts.change(restart);
                    }
                    self.events.tell(client, &Event::Ok);
                }
                Outcome::Reconnect { client } => self.reconnect(None, client),
                Outcome::Freeze { client, .. } | Outcome::Update { client, .. } => {
                    let message =
                        format!("Container {} is restarting, wait until the container is running", self.config.id);
                    self.events.tell(client, &Event::Error { message, code: ENGINE_ERROR });
                }
                Outcome::Exited
                | Outcome::LogLost
                | Outcome::Signal(_)
                | Outcome::OutOfMemory { .. }
                | Outcome::ProbeEnded
                | Outcome::ProbeOutput => {}
                Outcome::Network => self.network.turn(),
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
        self.state.log_lost = self.events.log_lost();
        let written = self.write_state();
        if status == "exited" {
            exit::give_up_name(&self.config, &self.directory);
        }
        self.network.withdraw(status == "exited");
        // Before anybody hears of it: who does writes the events that follow this one.
        let lasted = end.lasted.as_secs().to_string();
        self.journal("die", &[("execDuration", lasted), ("exitCode", end.exit_code.to_string())]);
        self.events.announce_exit(&Event::Exited { code: end.exit_code, oom_killed: end.oom_killed });
        self.events.watch_memory(None)?;
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
        self.network.withdraw(true);
        self.events.announce_exit(&Event::Exited { code: self.state.exit_code, oom_killed: self.state.oom_killed });
        self.clean_up(Some(cgroup));
        written.and(state::sync(&self.directory))
    }

    /// Control group and directories go, poststop hooks run; what fails does not keep the rest.
    fn clean_up(&mut self, cgroup: Option<&Cgroup>) {
        let _ = self.events.watch_network(None);
        let mounts = self.mounts.take();
        // Unmounting waits for the disk, taking links away for other processors: side by side. Without a thread the one is
        // done before the other.
        std::thread::scope(|scope| {
            let _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(mounts));
            self.network.clean_up();
            if let Some(cgroup) = cgroup {
                let _ = cgroup.remove();
            }
        });
        self.events.close_log();
        if let Some(spec) = &self.spec {
            let state = self.hook_state(spec, "stopped", None);
            for hook in spec.hooks().iter().filter_map(|hooks| hooks.poststop().as_ref()).flatten() {
                // runtime-spec, "Lifecycle" 13: the remaining hooks run as if this one had succeeded.
                let _ = run_hooks("poststop", Some(&vec![hook.clone()]), &state);
            }
        }
        exit::remove_directories(&self.config, &self.directory);
    }

    pub(super) fn journal(&self, action: &str, more: &[(&str, String)]) {
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
