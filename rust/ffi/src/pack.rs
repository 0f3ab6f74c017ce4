//! Layers and archives written (docs/layers.md).

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pyctr_core::layer::blob::{self, Durability};
use pyctr_core::layer::pack::{self, Compression, Digests, Options, Packed, Written};
use pyctr_core::layer::{Limits, Whiteouts, unpack};
use pyctr_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::interrupt::{self, Cancelled, Source, Target};
use crate::layer::{durability, open_source};

#[pyclass(frozen, get_all, module = "pyctr._core")]
pub struct WrittenLayer {
    digest: String,
    size: u64,
    diff_id: String,
    uncompressed_size: u64,
    content_size: u64,
    entries: u64,
    skipped: Vec<String>,
}

impl WrittenLayer {
    fn new(digests: Digests, packed: &Packed) -> Self {
        Self {
            digest: digests.digest.to_string(),
            size: digests.size,
            diff_id: digests.diff_id.to_string(),
            uncompressed_size: digests.uncompressed_size,
            content_size: packed.content_size,
            entries: packed.entries,
            skipped: packed.skipped.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        }
    }
}

/// Where a stream goes.
enum Sink {
    Descriptor(File),
    Blobs(PathBuf),
}

/// A copy of a descriptor known by its number.
fn copy_of(number: i32) -> Result<OwnedFd> {
    pyctr_core::sys::duplicate(number).map_err(|errno| Error::kernel("use descriptor", number.to_string(), errno))
}

impl Sink {
    fn new(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(number) = value.extract::<i32>() {
            return copy_of(number).map(|copy| Self::Descriptor(File::from(copy))).into_python(value.py());
        }
        value
            .extract()
            .map(Self::Blobs)
            .map_err(|_| PyTypeError::new_err("a directory of blobs or a descriptor is needed"))
    }

    /// Lets `write` write into it; a blob gets its name if that succeeds.
    fn receive<T>(
        self,
        cancelled: &Cancelled,
        durability: Durability,
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<T>,
        digest: impl FnOnce(&T) -> Digests,
    ) -> Result<T> {
        match self {
            Self::Descriptor(file) => write(&mut Target::new(file, cancelled)),
            Self::Blobs(path) => {
                let directory = open_directory(&path)?;
                let mut draft = blob::Draft::new(directory.as_fd())?;
                let written = write(&mut Cancellable { inner: &mut draft, cancelled })?;
                draft.publish(&digest(&written).digest, durability)?;
                Ok(written)
            }
        }
    }
}

/// A writer that stops when it is no longer wanted.
struct Cancellable<'a, W> {
    inner: &'a mut W,
    cancelled: &'a Cancelled,
}

impl<W: Write> Write for Cancellable<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        interrupt::check(self.cancelled)?;
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// A directory from a path or a descriptor, of which a copy is taken.
pub fn directory(value: &Bound<'_, PyAny>) -> PyResult<OwnedFd> {
    let py = value.py();
    if let Ok(number) = value.extract::<i32>() {
        return copy_of(number).into_python(py);
    }
    let path: PathBuf = value.extract().map_err(|_| PyTypeError::new_err("a path or a descriptor is needed"))?;
    open_directory(&path).into_python(py)
}

fn open_all(paths: &[PathBuf]) -> Result<Vec<OwnedFd>> {
    paths.iter().map(|path| open_directory(path)).collect()
}

/// What the functions below have in common.
struct Request {
    sink: Sink,
    compression: Compression,
    clamp_mtime: Option<i64>,
    extract_to: Option<PathBuf>,
    durability: Durability,
}

impl Request {
    fn new(
        sink: &Bound<'_, PyAny>,
        compression: &str,
        clamp_mtime: Option<i64>,
        extract_to: Option<PathBuf>,
    ) -> PyResult<Self> {
        let compression = Compression::parse(compression).into_python(sink.py())?;
        Ok(Self { sink: Sink::new(sink)?, compression, clamp_mtime, extract_to, durability: Durability::Synced })
    }

    fn run(
        self,
        py: Python<'_>,
        write: impl FnOnce(&mut (dyn Write + Send), Options<'_>) -> Result<Written> + Send,
    ) -> PyResult<WrittenLayer> {
        let cancelled = Cancelled::default();
        let Self { sink, compression, clamp_mtime, extract_to, durability } = self;
        let written = interrupt::run(py, &cancelled, || {
            let target = extract_to.as_deref().map(open_directory).transpose()?;
            let extract_to = target.as_ref().map(AsFd::as_fd);
            let options =
                Options { compression, clamp_mtime, extract_to, ..Options::new(Whiteouts::of_this_process()) };
            sink.receive(&cancelled, durability, |out| write(out, options), |written| written.digests)
        })?;
        Ok(WrittenLayer::new(written.digests, &written.packed))
    }
}

#[pyfunction]
#[pyo3(signature = (upper, lowers, sink, *, compression="none", clamp_mtime=None, extract_to=None, hidden=Vec::new(), sync=true, still=false))]
#[allow(clippy::too_many_arguments)] // keyword arguments of Python
pub fn diff_layer(
    upper: PathBuf,
    lowers: Vec<PathBuf>,
    sink: &Bound<'_, PyAny>,
    compression: &str,
    clamp_mtime: Option<i64>,
    extract_to: Option<PathBuf>,
    hidden: Vec<PathBuf>,
    sync: bool,
    still: bool,
) -> PyResult<WrittenLayer> {
    let request = Request::new(sink, compression, clamp_mtime, extract_to)?;
    Request { durability: durability(sync), ..request }.run(sink.py(), |mut out, options| {
        let (upper, lowers) = (open_directory(&upper)?, open_all(&lowers)?);
        let lowers: Vec<BorrowedFd<'_>> = lowers.iter().map(AsFd::as_fd).collect();
        pack::diff(upper.as_fd(), &lowers, &hidden, &mut out, Options { still, ..options })
    })
}

#[pyfunction]
#[pyo3(signature = (layers, sink, *, compression="none", clamp_mtime=None, extract_to=None))]
pub fn export_tree(
    layers: Vec<PathBuf>,
    sink: &Bound<'_, PyAny>,
    compression: &str,
    clamp_mtime: Option<i64>,
    extract_to: Option<PathBuf>,
) -> PyResult<WrittenLayer> {
    Request::new(sink, compression, clamp_mtime, extract_to)?.run(sink.py(), |mut out, options| {
        let layers = open_all(&layers)?;
        let layers: Vec<BorrowedFd<'_>> = layers.iter().map(AsFd::as_fd).collect();
        pack::export(&layers, &mut out, options)
    })
}

#[pyfunction]
#[pyo3(signature = (root, path, sink, *, name=None, follow=false, contents=false, compression="none", clamp_mtime=None))]
#[allow(clippy::too_many_arguments)]
pub fn archive_path(
    root: &Bound<'_, PyAny>,
    path: PathBuf,
    sink: &Bound<'_, PyAny>,
    name: Option<PathBuf>,
    follow: bool,
    contents: bool,
    compression: &str,
    clamp_mtime: Option<i64>,
) -> PyResult<WrittenLayer> {
    let root = directory(root)?;
    let own_name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let name = name.unwrap_or(own_name);
    Request::new(sink, compression, clamp_mtime, None)?.run(sink.py(), |mut out, options| {
        let what = pack::Path {
            path: path.as_os_str().as_bytes(),
            name: name.as_os_str().as_bytes(),
            follow,
            contents: contents || name.as_os_str().is_empty(),
        };
        pack::archive(root.as_fd(), what, &mut out, options)
    })
}

#[pyfunction]
pub fn layer_changes(
    py: Python<'_>,
    upper: PathBuf,
    lowers: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
) -> PyResult<Vec<(String, String)>> {
    let cancelled = Cancelled::default();
    let found = interrupt::run(py, &cancelled, || {
        let (upper, lowers) = (open_directory(&upper)?, open_all(&lowers)?);
        let lowers: Vec<BorrowedFd<'_>> = lowers.iter().map(AsFd::as_fd).collect();
        pack::changes(upper.as_fd(), &lowers, &hidden, Whiteouts::of_this_process())
    })?;
    Ok(found
        .into_iter()
        .map(|change| (change.kind.to_string(), String::from_utf8_lossy(&change.path).into_owned()))
        .collect())
}

#[pyfunction]
pub fn copy_directory(py: Python<'_>, layers: Vec<PathBuf>, path: PathBuf, target: PathBuf) -> PyResult<bool> {
    let cancelled = Cancelled::default();
    interrupt::run(py, &cancelled, || {
        let (layers, target) = (open_all(&layers)?, open_directory(&target)?);
        let layers: Vec<BorrowedFd<'_>> = layers.iter().map(AsFd::as_fd).collect();
        pack::copy_directory(&layers, path.as_os_str().as_bytes(), target.as_fd(), Whiteouts::of_this_process())
    })
}

#[pyfunction]
#[pyo3(signature = (source, sink, *, compression))]
pub fn compress_blob(source: &Bound<'_, PyAny>, sink: &Bound<'_, PyAny>, compression: &str) -> PyResult<WrittenLayer> {
    let py = sink.py();
    let file = open_source(source)?;
    let compression = Compression::parse(compression).into_python(py)?;
    let sink = Sink::new(sink)?;
    let cancelled = Cancelled::default();
    let source = Source::new(file, &cancelled);
    let digests = interrupt::run(py, &cancelled, || {
        let write = |out: &mut (dyn Write + Send)| pack::recompress(source, &mut { out }, compression);
        sink.receive(&cancelled, Durability::Synced, write, |digests| *digests)
    })?;
    Ok(WrittenLayer::new(digests, &Packed::default()))
}

#[pyfunction]
#[pyo3(signature = (source, root, path, *, owner=None, max_bytes=None, max_entries=None))]
pub fn unpack_archive(
    source: &Bound<'_, PyAny>,
    root: &Bound<'_, PyAny>,
    path: PathBuf,
    owner: Option<(u32, u32)>,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
) -> PyResult<u64> {
    let py = source.py();
    let file = open_source(source)?;
    let root = directory(root)?;
    let default = Limits::default();
    let limits = Limits {
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        max_entries: max_entries.unwrap_or(default.max_entries),
    };
    let cancelled = Cancelled::default();
    let source = Source::new(file, &cancelled);
    interrupt::run(py, &cancelled, || unpack(source, root.as_fd(), path.as_os_str().as_bytes(), owner, limits))
}
