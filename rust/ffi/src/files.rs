//! Files: atomic writes, removal by descriptor, being told of changes.

use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use pyctr_core::{Error, Result, files};
use pyo3::prelude::*;
use rustix::fs::{Mode, OFlags};

use crate::error::IntoPython;

/// Opens a directory without following its last name.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::kernel("open", path, errno))
}

#[pyfunction]
#[pyo3(signature = (path, data, *, mode=0o600, sync=true))]
pub fn write_atomic(py: Python<'_>, path: PathBuf, data: &[u8], mode: u32, sync: bool) -> PyResult<()> {
    py.detach(|| files::write_atomic(&path, data, mode, sync)).into_python(py)
}

#[pyfunction]
#[pyo3(signature = (path, *, contents_only=false))]
pub fn remove_tree(py: Python<'_>, path: PathBuf, contents_only: bool) -> PyResult<()> {
    py.detach(|| files::remove_tree(&path, contents_only)).into_python(py)
}

#[pyfunction]
pub fn append_journal(py: Python<'_>, path: PathBuf, line: &[u8]) -> PyResult<()> {
    py.detach(|| files::append_journal(&path, line)).into_python(py)
}

#[pyfunction]
pub fn watch_directory(py: Python<'_>, path: PathBuf) -> PyResult<RawFd> {
    files::watch_directory(&path).map(IntoRawFd::into_raw_fd).into_python(py)
}

#[pyfunction]
pub fn sync_file_system(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    py.detach(|| {
        let directory = open_directory(&path)?;
        rustix::fs::syncfs(&directory).map_err(|errno| Error::kernel("sync", &path, errno))
    })
    .into_python(py)
}
