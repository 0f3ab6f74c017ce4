//! The container's cgroup, found again from what was stored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxResources, LinuxSeccomp, Spec};
use pyctr_core::cgroup::{Cgroup, Driver, Hierarchies};
use pyctr_core::seccomp::{self, Filter, HostArch};
use pyctr_core::{Error, Kind, Result};
use serde_json::Value;

use crate::commands::Context;
use crate::container::State;

/// Makes the cgroup of a new container and notes it in its state.
pub fn create(context: &Context, spec: &Spec, state: &mut State) -> Result<Option<Cgroup>> {
    let linux = spec.linux().as_ref();
    let default = PathBuf::from(format!("/{}", state.id));
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).unwrap_or(&default);
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let driver = if context.systemd_cgroup { Driver::Systemd } else { Driver::Cgroupfs };
    let rootless = context.rootless.unwrap_or_else(|| !rustix::process::geteuid().is_root());
    let cgroup = Cgroup::create(&Hierarchies::detect()?, driver, &path.to_string_lossy(), resources, rootless)?;
    state.pyctr.cgroup_paths = cgroup.paths();
    state.pyctr.rootless = rootless;
    Ok(Some(cgroup))
}

/// The container's cgroup; None if it never had one, or it is gone.
pub fn open(state: &State) -> Result<Option<Cgroup>> {
    if state.pyctr.cgroup_paths.is_empty() {
        return Ok(None);
    }
    match Cgroup::open(&Hierarchies::detect()?, &state.pyctr.cgroup_paths) {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The cgroup a further process joins: the container's, or one below it, for all controllers or some (`--cgroup`).
pub fn open_for_exec(state: &State, below: &[(Option<String>, PathBuf)]) -> Result<Option<Cgroup>> {
    if below.is_empty() {
        return open(state);
    }
    let mut paths: BTreeMap<String, PathBuf> = state.pyctr.cgroup_paths.clone();
    for (controller, relative) in below {
        match controller {
            None => paths.values_mut().for_each(|path| path.push(relative)),
            Some(name) => paths
                .get_mut(name)
                .ok_or_else(|| Error::invalid("join", "--cgroup", format!("the container has no {name} controller")))?
                .push(relative),
        }
    }
    Cgroup::open(&Hierarchies::detect()?, &paths).map(Some)
}

/// Whether the container is paused.
pub fn is_frozen(state: &State) -> bool {
    open(state).ok().flatten().is_some_and(|cgroup| cgroup.is_frozen().unwrap_or(false))
}

fn required(state: &State) -> Result<Cgroup> {
    open(state)?.ok_or_else(|| Error::new(Kind::State, "find the cgroup of", &state.id, "the container has none"))
}

/// Stops every process.
pub fn freeze(state: &State) -> Result<()> {
    required(state)?.freeze()
}

/// Lets every process go on.
pub fn thaw(state: &State) -> Result<()> {
    required(state)?.thaw()
}

/// Every process.
pub fn pids(state: &State) -> Result<Vec<i32>> {
    required(state)?.pids()
}

/// A signal to every process; none if the cgroup is gone.
pub fn signal_all(state: &State, signal: i32) -> Result<()> {
    open(state)?.map_or(Ok(()), |cgroup| cgroup.kill_all(signal))
}

/// Kills every process.
pub fn kill(cgroup: &Cgroup) -> Result<()> {
    cgroup.kill_all(libc::SIGKILL)
}

/// Removes the cgroup.
#[allow(clippy::needless_pass_by_value)] // it is gone afterwards
pub fn remove(cgroup: Cgroup) -> Result<()> {
    cgroup.remove()
}

/// Changes limits.
pub fn update(state: &State, resources: &LinuxResources) -> Result<()> {
    required(state)?.update(resources)
}

/// The counters, as `events --stats` prints them.
pub fn stats(state: &State) -> Result<Value> {
    serde_json::to_value(required(state)?.stats()?)
        .map_err(|error| Error::new(Kind::Corrupt, "print", "statistics", error.to_string()))
}

/// How often the kernel killed for lack of memory.
pub fn oom_kills(state: &State) -> Result<u64> {
    required(state)?
        .oom_kills()
        .ok_or_else(|| Error::new(Kind::State, "count", "out-of-memory kills", "the kernel does not count them"))
}

/// The filter of a further process.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filter> {
    seccomp::compile(profile, &HostArch::NATIVE)
}
