//! Networks: links and packet rules made and removed for commands; a start has its monitor for it.

use std::path::PathBuf;

use pyctr_core::rootless::in_network;
use pyctr_core::{Error, Kind, Result, net};
use pyo3::prelude::*;
use serde::de::DeserializeOwned;

use crate::error::IntoPython;

fn parse<T: DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::new(Kind::InvalidArgument, "read", what, error.to_string()))
}

#[pyfunction]
pub fn network_make(py: Python<'_>, directory: PathBuf, table: &str, network: &[u8]) -> PyResult<()> {
    py.detach(|| in_network(|| net::make(&directory, table, &parse("a network", network)?))).into_python(py)
}

#[pyfunction]
#[pyo3(signature = (directory, table, network_id, *, forget=false))]
pub fn network_remove(
    py: Python<'_>,
    directory: PathBuf,
    table: &str,
    network_id: &str,
    forget: bool,
) -> PyResult<bool> {
    py.detach(|| in_network(|| net::remove(&directory, table, network_id, forget))).into_python(py)
}

#[pyfunction]
pub fn network_release(py: Python<'_>, directory: PathBuf, table: &str, container_id: &str) -> PyResult<()> {
    py.detach(|| in_network(|| net::release(&directory, table, container_id))).into_python(py)
}

#[pyfunction]
pub fn network_rebuild(py: Python<'_>, directory: PathBuf, table: &str) -> PyResult<()> {
    py.detach(|| in_network(|| net::rebuild(&directory, table))).into_python(py)
}
