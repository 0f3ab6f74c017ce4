//! Layers unpacked while they are downloaded.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use pyctr_core::layer::digest::Digest;
use pyctr_core::layer::growing::Growing;
use pyctr_core::layer::{Limits, Whiteouts, extract};
use pyctr_core::{Error, Result};
use pyo3::prelude::*;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::interrupt::{self, Cancelled};
use crate::layer::{LayerInfo, expected};

fn open(path: &PathBuf, news: i32) -> Result<Growing> {
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let news = pyctr_core::sys::duplicate(news)
        .map_err(|errno| Error::kernel("use descriptor", news.to_string(), errno))?;
    Ok(Growing::new(file, news))
}

#[pyfunction]
#[pyo3(signature = (path, news, target, *, digest=None, size=None, diff_id=None, max_bytes=None))]
#[allow(clippy::too_many_arguments)] // keyword arguments of Python
pub fn extract_growing_layer(
    py: Python<'_>,
    path: PathBuf,
    news: i32,
    target: PathBuf,
    digest: Option<&str>,
    size: Option<u64>,
    diff_id: Option<&str>,
    max_bytes: Option<u64>,
) -> PyResult<LayerInfo> {
    let source = open(&path, news).into_python(py)?;
    let expected = expected(digest, size).into_python(py)?;
    let diff_id = diff_id.map(Digest::parse).transpose().into_python(py)?;
    let default = Limits::default();
    let limits = Limits { max_bytes: max_bytes.unwrap_or(default.max_bytes), ..default };
    let extracted = interrupt::run(py, &Cancelled::default(), || {
        let root = open_directory(&target)?;
        extract(source, root.as_fd(), expected, diff_id, limits, Whiteouts::of_this_process())
    })?;
    Ok(LayerInfo::from(extracted))
}
