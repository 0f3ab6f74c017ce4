//! Layers and blobs.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use pyctr_core::layer::blob::{self, Durability};
use pyctr_core::layer::digest::{Digest, Expected, Hasher};
use pyctr_core::layer::{Extracted, Limits, Whiteouts, extract};
use pyctr_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::interrupt::{self, Cancelled, Source};

#[pyclass(frozen, get_all, module = "pyctr._core")]
pub struct LayerInfo {
    digest: String,
    compressed_size: u64,
    diff_id: String,
    size: u64,
    entries: u64,
    skipped_devices: u64,
}

#[pyclass(frozen, get_all, module = "pyctr._core")]
pub struct BlobInfo {
    digest: String,
    size: u64,
}

impl From<Extracted> for LayerInfo {
    fn from(extracted: Extracted) -> Self {
        Self {
            digest: extracted.digest.to_string(),
            compressed_size: extracted.compressed_size,
            diff_id: extracted.diff_id.to_string(),
            size: extracted.size,
            entries: extracted.entries,
            skipped_devices: extracted.skipped_devices,
        }
    }
}

/// What `sync=` says in Python.
pub fn durability(sync: bool) -> Durability {
    if sync { Durability::Synced } else { Durability::Later }
}

impl From<blob::Blob> for BlobInfo {
    fn from(blob: blob::Blob) -> Self {
        Self { digest: blob.digest.to_string(), size: blob.size }
    }
}

/// Digest and size as Python gives them.
pub fn expected(digest: Option<&str>, size: Option<u64>) -> Result<Expected> {
    Ok(Expected { digest: digest.map(Digest::parse).transpose()?, size })
}

/// A file from a path or a descriptor, of which a copy is taken.
pub fn open_source(source: &Bound<'_, PyAny>) -> PyResult<File> {
    let py = source.py();
    if let Ok(number) = source.extract::<i32>() {
        let copy = pyctr_core::sys::duplicate(number);
        return copy
            .map(File::from)
            .map_err(|errno| Error::kernel("use descriptor", number.to_string(), errno))
            .into_python(py);
    }
    let path: PathBuf = source.extract().map_err(|_| PyTypeError::new_err("a path or a descriptor is needed"))?;
    File::open(&path).map_err(|error| Error::io("open", &path, &error)).into_python(py)
}

#[pyfunction]
#[pyo3(signature = (source, target, *, digest=None, size=None, diff_id=None, max_bytes=None, max_entries=None))]
#[allow(clippy::too_many_arguments)] // keyword arguments of Python
pub fn extract_layer(
    source: &Bound<'_, PyAny>,
    target: PathBuf,
    digest: Option<&str>,
    size: Option<u64>,
    diff_id: Option<&str>,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
) -> PyResult<LayerInfo> {
    let py = source.py();
    let file = open_source(source)?;
    let expected = expected(digest, size).into_python(py)?;
    let diff_id = diff_id.map(Digest::parse).transpose().into_python(py)?;
    let default = Limits::default();
    let limits = Limits {
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        max_entries: max_entries.unwrap_or(default.max_entries),
    };
    let cancelled = Cancelled::default();
    let source = Source::new(file, &cancelled);
    let extracted = interrupt::run(py, &cancelled, || {
        let root = open_directory(&target)?;
        extract(source, root.as_fd(), expected, diff_id, limits, Whiteouts::of_this_process())
    })?;
    Ok(LayerInfo::from(extracted))
}

#[pyfunction]
#[pyo3(signature = (source, blobs_dir, *, digest=None, size=None, max_bytes=u64::MAX, sync=true))]
pub fn store_blob(
    source: &Bound<'_, PyAny>,
    blobs_dir: PathBuf,
    digest: Option<&str>,
    size: Option<u64>,
    max_bytes: u64,
    sync: bool,
) -> PyResult<BlobInfo> {
    let py = source.py();
    let file = open_source(source)?;
    let expected = expected(digest, size).into_python(py)?;
    let cancelled = Cancelled::default();
    let mut source = Source::new(file, &cancelled);
    let stored = interrupt::run(py, &cancelled, || {
        let directory = open_directory(&blobs_dir)?;
        blob::store(&mut source, directory.as_fd(), expected, max_bytes, durability(sync))
    })?;
    Ok(BlobInfo::from(stored))
}

#[pyfunction]
pub fn sha256(py: Python<'_>, data: &[u8]) -> String {
    py.detach(|| {
        let mut hasher = Hasher::default();
        hasher.update(data);
        hasher.finish().hex()
    })
}
