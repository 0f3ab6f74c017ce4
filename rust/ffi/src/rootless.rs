//! An ordinary user's namespaces.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use pyctr_core::rootless;
use pyo3::prelude::*;

use crate::channel::Channel;
use crate::error::IntoPython;

#[pyfunction]
pub fn rootless_enter(py: Python<'_>, keeper: PyRef<'_, Channel>, path: PathBuf) -> PyResult<()> {
    // Not detached: no other thread may begin before this one is where all of them are to be.
    keeper.socket().and_then(|socket| rootless::enter(socket, &path)).into_python(py)
}

#[pyfunction]
pub fn rootless_keeper() -> Option<&'static OsStr> {
    rootless::keeper().map(Path::as_os_str)
}
