//! Archives read member by member, from a stream that need not be seekable.

use std::fs::File;
use std::io::{BufReader, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Mutex;

use pyctr_core::layer::blob::{self, Durability};
use pyctr_core::layer::codec;
use pyctr_core::layer::tar::{self, TarReader};
use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::interrupt::{self, Cancelled, Source};
use crate::layer::{BlobInfo, expected};

const BUFFER_BYTES: usize = 256 * 1024;

type Reader = TarReader<BufReader<Box<dyn Read + Send>>>;

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
    cancelled: Cancelled,
}

fn word(kind: tar::Kind) -> &'static str {
    match kind {
        tar::Kind::File => "file",
        tar::Kind::HardLink => "hardlink",
        tar::Kind::Symlink => "symlink",
        tar::Kind::Character | tar::Kind::Block => "device",
        tar::Kind::Directory => "directory",
        tar::Kind::Fifo => "fifo",
    }
}

impl ArchiveReader {
    fn with<T: Send>(&self, py: Python<'_>, act: impl FnOnce(&mut Reader) -> Result<T> + Send) -> PyResult<T> {
        interrupt::run(py, &self.cancelled, || {
            let mut reader =
                self.reader.lock().map_err(|_| Error::new(Kind::State, "read", "archive", "an earlier read failed"))?;
            act(&mut reader)
        })
    }
}

#[pymethods]
impl ArchiveReader {
    #[new]
    fn new(py: Python<'_>, fd: i32) -> PyResult<Self> {
        let copy = pyctr_core::sys::duplicate(fd)
            .map_err(|errno| Error::kernel("use descriptor", fd.to_string(), errno))
            .into_python(py)?;
        let cancelled = Cancelled::default();
        let source = Source::new(File::from(copy), &cancelled);
        let reader = interrupt::run(py, &cancelled, || {
            Ok(TarReader::new(BufReader::with_capacity(BUFFER_BYTES, codec::decoder(source)?)))
        })?;
        Ok(Self { reader: Mutex::new(reader), cancelled })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Member>> {
        let entry = self.with(py, TarReader::next_entry)?;
        Ok(entry.map(|entry| Member {
            name: String::from_utf8_lossy(&entry.path).into_owned(),
            size: entry.size,
            kind: word(entry.kind),
            linkname: String::from_utf8_lossy(&entry.link).into_owned(),
        }))
    }

    fn read<'py>(&self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let data = self.with(py, |reader| {
            let corrupt = |reason: String| Error::new(Kind::Corrupt, "read", "archive", reason);
            let mut data = Vec::new();
            reader.take(limit.saturating_add(1)).read_to_end(&mut data).map_err(|error| corrupt(error.to_string()))?;
            if data.len() as u64 > limit {
                return Err(corrupt(format!("member is larger than {limit} bytes")));
            }
            Ok(data)
        })?;
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
        let stored = self.with(py, |reader| {
            let directory = open_directory(&blobs_dir)?;
            blob::store(reader, directory.as_fd(), expected, max_bytes, Durability::Synced)
        })?;
        Ok(BlobInfo::from(stored))
    }
}
