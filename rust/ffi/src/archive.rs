//! Archives read member by member, from a stream that need not be seekable.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;

use pyctr_core::layer::tar::{Kind, TarReader};
use pyctr_core::layer::{blob, codec};
use pyctr_core::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::layer::{BlobInfo, expected};

type Reader = TarReader<Box<dyn Read + Send>>;

#[pyclass(frozen, get_all, module = "pyctr._core")]
pub struct Member {
    name: String,
    size: u64,
    kind: &'static str,
    linkname: String,
}

#[pyclass(frozen, module = "pyctr._core")]
pub struct ArchiveReader {
    reader: Mutex<Reader>,
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::HardLink => "hardlink",
        Kind::Symlink => "symlink",
        Kind::Character | Kind::Block => "device",
        Kind::Directory => "directory",
        Kind::Fifo => "fifo",
    }
}

impl ArchiveReader {
    fn with<T>(&self, act: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let mut reader = self.reader.lock().map_err(|_| Error::invalid("read", "archive", "an earlier read failed"))?;
        act(&mut reader)
    }
}

#[pymethods]
impl ArchiveReader {
    #[new]
    fn new(py: Python<'_>, fd: i32) -> PyResult<Self> {
        py.detach(|| {
            let copy = pyctr_core::sys::duplicate(fd)
                .map_err(|errno| Error::kernel("use descriptor", fd.to_string(), errno))?;
            let decoder = codec::decoder(File::from(copy))?;
            Ok(Self { reader: Mutex::new(TarReader::new(decoder)) })
        })
        .into_python(py)
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Member>> {
        let entry = py.detach(|| self.with(TarReader::next_entry)).into_python(py)?;
        Ok(entry.map(|entry| Member {
            name: String::from_utf8_lossy(&entry.path).into_owned(),
            size: entry.size,
            kind: word(entry.kind),
            linkname: String::from_utf8_lossy(&entry.link).into_owned(),
        }))
    }

    fn read<'py>(&self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let data = py
            .detach(|| {
                self.with(|reader| {
                    let mut data = Vec::new();
                    reader
                        .take(limit.saturating_add(1))
                        .read_to_end(&mut data)
                        .map_err(|error| Error::new(pyctr_core::Kind::Corrupt, "read", "archive", error.to_string()))?;
                    if data.len() as u64 > limit {
                        let reason = format!("member is larger than {limit} bytes");
                        return Err(Error::new(pyctr_core::Kind::Corrupt, "read", "archive", reason));
                    }
                    Ok(data)
                })
            })
            .into_python(py)?;
        Ok(PyBytes::new(py, &data))
    }

    #[pyo3(signature = (blobs_dir, *, digest=None, size=None, max_bytes=u64::MAX))]
    fn store_blob(
        &self,
        py: Python<'_>,
        blobs_dir: PathBuf,
        digest: Option<&str>,
        size: Option<u64>,
        max_bytes: u64,
    ) -> PyResult<BlobInfo> {
        let expected = expected(digest, size).into_python(py)?;
        py.detach(|| {
            let directory = open_directory(&blobs_dir)?;
            self.with(|reader| blob::store(reader, directory.as_fd(), expected, max_bytes))
        })
        .into_python(py)
        .map(BlobInfo::from)
    }
}
