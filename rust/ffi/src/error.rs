//! The one place where core errors become Python exceptions (`pyctr.errors`).

use pyctr_core::{Error, Kind};
use pyo3::prelude::*;

/// The exception class of `pyctr.errors` for a kind.
fn class_name(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "NotFound",
        Kind::Conflict => "Conflict",
        Kind::InvalidArgument => "InvalidArgument",
        Kind::State => "StateError",
        Kind::Corrupt => "CorruptData",
        Kind::Kernel => "KernelError",
        Kind::CommandNotFound => "CommandNotFound",
        Kind::CommandNotExecutable => "CommandNotExecutable",
    }
}

/// Turns a core error into the Python exception of its kind.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let build = || -> PyResult<Bound<'_, PyAny>> {
        let class = py.import("pyctr.errors")?.getattr(class_name(error.kind))?;
        let exception = class.call1((error.to_string(),))?;
        exception.setattr("hint", error.hint.as_deref())?;
        exception.setattr("errno", error.errno.map(rustix::io::Errno::raw_os_error))?;
        Ok(exception)
    };
    match build() {
        Ok(exception) => PyErr::from_value(exception),
        Err(failure) => failure,
    }
}

/// For `?`: a core error in a function that returns to Python.
pub trait IntoPython<T> {
    /// The same result with a Python exception.
    fn into_python(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPython<T> for pyctr_core::Result<T> {
    fn into_python(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| to_python(py, &error))
    }
}
