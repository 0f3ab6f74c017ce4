//! The container's cgroup, found again from what was stored.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxResources, LinuxSeccomp, Process, Spec};
use pyctr_core::cgroup::Cgroup;
use pyctr_core::seccomp::Filter;
use pyctr_core::{Error, Kind, Result};
use serde_json::Value;

use crate::commands::Context;
use crate::container::State;

fn todo<T>() -> Result<T> { Err(Error::new(Kind::State, "cgroup", "", "not built yet")) }
pub fn create(_context: &Context, _spec: &Spec, _state: &mut State) -> Result<Option<Cgroup>> { Ok(None) }
pub fn open(_state: &State) -> Result<Option<Cgroup>> { Ok(None) }
pub fn open_for_exec(_state: &State, _sub: &[(Option<String>, PathBuf)]) -> Result<Option<Cgroup>> { Ok(None) }
pub fn is_frozen(_state: &State) -> bool { false }
pub fn freeze(_state: &State) -> Result<()> { todo() }
pub fn thaw(_state: &State) -> Result<()> { todo() }
pub fn pids(_state: &State) -> Result<Vec<i32>> { todo() }
pub fn signal_all(_state: &State, _signal: i32) -> Result<()> { todo() }
pub fn kill(_cgroup: &Cgroup) -> Result<()> { todo() }
pub fn remove(_cgroup: Cgroup) -> Result<()> { todo() }
pub fn update(_state: &State, _resources: &LinuxResources) -> Result<()> { todo() }
pub fn stats(_state: &State) -> Result<Value> { todo() }
pub fn oom_kills(_state: &State) -> Result<u64> { todo() }
pub fn compile(_profile: &LinuxSeccomp, _process: &Process) -> Result<Filter> { todo() }
