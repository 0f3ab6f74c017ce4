//! A running container's control group, found again by the paths its state names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyctr_core::Result;
use pyctr_core::cgroup::{Cgroup, Hierarchies};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::IntoPython;

fn open(paths: &BTreeMap<String, PathBuf>) -> Result<Cgroup> {
    Cgroup::open(&Hierarchies::detect()?, paths)
}

/// The kernel's counters as JSON, in the form of `runc events --stats`.
#[pyfunction]
pub fn cgroup_stats(py: Python<'_>, paths: BTreeMap<String, PathBuf>) -> PyResult<Vec<u8>> {
    let stats = py.detach(|| open(&paths)?.stats()).into_python(py)?;
    serde_json::to_vec(&stats).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The pids of its processes.
#[pyfunction]
pub fn cgroup_processes(py: Python<'_>, paths: BTreeMap<String, PathBuf>) -> PyResult<Vec<i32>> {
    py.detach(|| open(&paths)?.pids()).into_python(py)
}
