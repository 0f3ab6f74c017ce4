//! The records of many containers at once: what `ps` needs of a thousand in the time Python takes for a hundred.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use pyctr_core::files::Reader;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::json::{Shape, parse};

/// So many are read before they are parsed: a bound on memory, and on how long the GIL is let go.
const BATCH: usize = 64;

/// record and state of one container, None where Python's way of reading shall say what is wrong
type Pair<'py> = (Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

#[pyfunction]
pub fn read_records<'py>(
    py: Python<'py>,
    directory: PathBuf,
    ids: Vec<String>,
    wanted: &Bound<'py, PyAny>,
    wanted_state: &Bound<'py, PyAny>,
) -> PyResult<Vec<Pair<'py>>> {
    let (shape, state_shape) = (Shape::from_python(wanted)?, Shape::from_python(wanted_state)?);
    let descriptor = py.detach(|| open_directory(&directory)).into_python(py)?;
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        for (record, state) in py.detach(|| read(&descriptor, batch)) {
            let record = record.and_then(|bytes| parse(py, &bytes, &shape).ok());
            let state = match state {
                Content::Missing => Some(PyDict::new(py).into_any()),
                Content::Bytes(bytes) => parse(py, &bytes, &state_shape).ok(),
                Content::Unreadable => None,
            };
            found.push((record, state));
        }
    }
    Ok(found)
}

enum Content {
    Missing,
    Unreadable,
    Bytes(Vec<u8>),
}

/// The state before the record, as everybody reads them: a container that goes meanwhile has no record.
fn read(directory: &OwnedFd, ids: &[String]) -> Vec<(Option<Vec<u8>>, Content)> {
    let mut reader = Reader::new(directory.as_fd());
    let mut both = |id: &String| {
        let state = match reader.read(&format!("{id}/state.json")) {
            Ok(Some(bytes)) => Content::Bytes(bytes),
            Ok(None) => Content::Missing,
            Err(_) => Content::Unreadable,
        };
        (reader.read(&format!("{id}/config.json")).ok().flatten(), state)
    };
    ids.iter().map(&mut both).collect()
}
