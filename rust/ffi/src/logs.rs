//! A container's log read back.

use std::os::fd::{AsFd, OwnedFd};

use pyctr_core::logs::{Format, Window};
use pyctr_core::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::error::IntoPython;

#[pyclass(frozen, module = "pyctr._core")]
pub struct LogDecoder {
    format: Format,
    window: Window,
}

#[pymethods]
impl LogDecoder {
    #[new]
    #[pyo3(signature = (driver, *, since_ns=None, until_ns=None, timestamps=false, details=false))]
    fn new(
        py: Python<'_>,
        driver: &str,
        since_ns: Option<i64>,
        until_ns: Option<i64>,
        timestamps: bool,
        details: bool,
    ) -> PyResult<Self> {
        let format = match driver {
            "json-file" => Ok(Format::JsonFile),
            "local" => Ok(Format::Local),
            other => Err(Error::invalid("read log of driver", other, "not kept in files")),
        };
        Ok(Self { format: format.into_python(py)?, window: Window { since_ns, until_ns, timestamps, details } })
    }

    fn decode<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<(usize, Bound<'py, PyList>)> {
        let (consumed, runs) = py.detach(|| self.format.decode(data, &self.window));
        let runs = runs.iter().map(|run| (run.stream.name(), PyBytes::new(py, &run.bytes)));
        Ok((consumed, PyList::new(py, runs.collect::<Vec<_>>())?))
    }

    fn whole_end(&self, py: Python<'_>, fd: i32, size: u64) -> PyResult<u64> {
        py.detach(|| self.format.whole_end(copy(fd)?.as_fd(), size)).into_python(py)
    }

    fn tail(&self, py: Python<'_>, fd: i32, end: u64, count: usize) -> PyResult<(u64, usize)> {
        py.detach(|| self.format.tail(copy(fd)?.as_fd(), end, count)).into_python(py)
    }
}

/// A descriptor of our own: the number comes from Python, which may close its files at any time.
fn copy(fd: i32) -> Result<OwnedFd> {
    pyctr_core::sys::duplicate(fd).map_err(|errno| Error::kernel("use descriptor", fd.to_string(), errno))
}
