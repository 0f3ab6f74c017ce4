//! Seccomp profiles in Docker's form.

use pyctr_core::seccomp::resolve_docker_profile;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::IntoPython;

/// The runtime-spec's `linux.seccomp`, as JSON, that a profile in Docker's form comes to here.
#[pyfunction]
pub fn resolve_seccomp_profile(
    py: Python<'_>,
    profile: &str,
    capabilities: u64,
    kernel: (u32, u32),
) -> PyResult<Vec<u8>> {
    let resolved = resolve_docker_profile(profile.as_bytes(), capabilities, kernel).into_python(py)?;
    serde_json::to_vec(&resolved).map_err(|error| PyValueError::new_err(error.to_string()))
}
