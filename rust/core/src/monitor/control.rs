//! What a user changes in a container that runs: signals, pause, limits, restart policy, networks. Only this process writes `state.json`,
//! so whoever wants such a change asks here.

use oci_spec::runtime::LinuxResources;
use serde::Deserialize;

use super::config::Restart;
use super::container::Running;
use super::life::{Monitor, failure};
use super::probe::Probe;
use super::protocol::Event;
use crate::cgroup::Cgroup;
use crate::{Error, Kind, Result};

/// What `update` changes; what is absent stays.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Limits, in the runtime-spec's form.
    #[serde(default)]
    pub resources: Option<LinuxResources>,
    /// The restart policy.
    #[serde(default)]
    pub restart: Option<Restart>,
}

impl Monitor {
    /// Sends a signal a user asked for. SIGKILL and the stop signal mean that the user wants it stopped.
    pub(super) fn kill(&mut self, running: &Running, cgroup: &Cgroup, signal: i32, client: u64) {
        let ends = self.is_meant_to_end(signal);
        let sent = self.signal(running, signal);
        if sent.is_ok() {
            if ends && !self.state.stopped_by_user {
                self.state.stopped_by_user = true;
                let _ = self.state.write(&self.directory); // written again at the end
            }
            self.journal("kill", &[("signal", signal.to_string())]);
        }
        let done = sent.and_then(|()| if ends { self.wake(cgroup) } else { Ok(()) });
        self.answer(client, done);
    }

    /// Sends a signal that is meant to end the container, unasked.
    pub(super) fn end(&mut self, running: &Running, cgroup: &Cgroup, signal: i32) -> Result<()> {
        self.signal(running, signal)?;
        self.wake(cgroup)
    }

    fn signal(&self, running: &Running, signal: i32) -> Result<()> {
        running
            .signal(signal)
            .map_err(|errno| Error::kernel(format!("send signal {signal} to"), &self.config.id, errno))
    }

    /// Lets the processes go on that are to notice a signal: the container is paused no longer, whatever it makes of it.
    fn wake(&mut self, cgroup: &Cgroup) -> Result<()> {
        if cgroup.is_frozen().unwrap_or(false) {
            cgroup.thaw()?;
        }
        if self.state.status == "paused" {
            self.state.status = "running";
            let _ = self.state.write(&self.directory); // a full disk keeps nothing from ending
            self.probe.iter_mut().for_each(Probe::resume);
            self.journal("unpause", &[]);
        }
        Ok(())
    }

    pub(super) fn is_meant_to_end(&self, signal: i32) -> bool {
        signal == libc::SIGKILL || signal == self.config.stop_signal
    }

    /// Stops every process, or lets them go on.
    pub(super) fn freeze(&mut self, cgroup: &Cgroup, frozen: bool, client: u64) {
        let (from, to, action) = if frozen { ("running", "paused", "pause") } else { ("paused", "running", "unpause") };
        let done = if self.state.status == from {
            if frozen { cgroup.freeze() } else { cgroup.thaw() }
        } else {
            let reason = if frozen { "is already paused" } else { "is not paused" };
            Err(Error::new(Kind::State, format!("Container {} {reason}", self.config.id), "", ""))
        };
        let done = done.and_then(|()| {
            self.state.status = to;
            self.state.write(&self.directory)
        });
        if done.is_ok() {
            self.probe.iter_mut().for_each(if frozen { Probe::pause } else { Probe::resume });
            self.journal(action, &[]);
        }
        self.answer(client, done);
    }

    /// Changes limits and restart policy.
    pub(super) fn update(&mut self, cgroup: &Cgroup, update: Update, client: u64) {
        let done: Result<()> = update.resources.as_ref().map_or(Ok(()), |resources| cgroup.update(resources));
        if done.is_ok() {
            if let Some(restart) = update.restart {
                self.restarts.change(restart);
            }
            self.journal("update", &[]);
        }
        self.answer(client, done);
    }

    /// Makes the networks those that `monitor.json` names by now; without a `pid` the next life has them.
    pub(super) fn reconnect(&mut self, pid: Option<i32>, client: u64) {
        let done = self.network.change(&self.config, pid).and_then(|descriptor| match descriptor {
            Some(descriptor) => self.events.watch_network(Some(descriptor)),
            None => Ok(()),
        });
        self.answer(client, done);
    }

    fn answer(&self, client: u64, done: Result<()>) {
        match done {
            Ok(()) => self.events.tell(client, &Event::Ok),
            Err(error) => self.events.tell(client, &failure(&error)),
        }
    }
}
