//! Trees that a build reads and copies (docs/build-execute.md).

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::OnceLock;

use pyctr_core::process::UserRequest;
use pyctr_core::rootfs::users;
use pyctr_core::tree::{self, CopyOptions, Known, ModeChange, Source, Times};
use pyo3::prelude::*;

use crate::error::IntoPython;
use crate::files::open_directory;
use crate::interrupt::{self, Cancelled};
use crate::pack::directory;

#[pyclass(frozen, get_all, module = "pyctr._core")]
pub struct CopiedTree {
    digest: String,
    entries: u64,
    size: u64,
    direct: Option<OsString>,
}

#[pyclass(frozen, module = "pyctr._core")]
pub struct SourceTree {
    root: OwnedFd,
    skip: HashSet<Vec<u8>>,
    anonymous: bool,
    known_path: Option<PathBuf>,
    known: OnceLock<Known>,
}

impl SourceTree {
    fn source(&self) -> Source<'_> {
        Source { root: self.root.as_fd(), skip: &self.skip, anonymous: self.anonymous, known: None }
    }

    fn known(&self) -> Option<&Known> {
        let path = self.known_path.as_deref()?;
        Some(self.known.get_or_init(|| Known::open(path, self.root.as_fd())))
    }
}

fn text(path: Vec<u8>) -> OsString {
    OsString::from_vec(path)
}

#[pymethods]
impl SourceTree {
    #[new]
    #[pyo3(signature = (root, *, skip=Vec::new(), anonymous=false, known=None))]
    fn new(root: &Bound<'_, PyAny>, skip: Vec<OsString>, anonymous: bool, known: Option<PathBuf>) -> PyResult<Self> {
        let skip = skip.into_iter().map(OsStringExt::into_vec).collect();
        Ok(Self { root: directory(root)?, skip, anonymous, known_path: known, known: OnceLock::new() })
    }

    fn expand(&self, py: Python<'_>, pattern: PathBuf) -> PyResult<Vec<OsString>> {
        let found = py.detach(|| tree::expand(self.source(), pattern.as_os_str().as_bytes())).into_python(py)?;
        Ok(found.into_iter().map(text).collect())
    }

    fn digest(&self, py: Python<'_>, path: PathBuf) -> PyResult<String> {
        let found = interrupt::run(py, &Cancelled::default(), || {
            let source = Source { known: self.known(), ..self.source() };
            tree::digest(source, path.as_os_str().as_bytes())
        })?;
        Ok(found.to_string())
    }

    fn keep_known(&self, py: Python<'_>) -> PyResult<()> {
        let Some(known) = self.known.get() else { return Ok(()) };
        py.detach(|| known.save()).into_python(py)
    }

    fn list(&self, py: Python<'_>, path: PathBuf) -> PyResult<Vec<(OsString, bool)>> {
        let found = py.detach(|| tree::list(self.source(), path.as_os_str().as_bytes())).into_python(py)?;
        Ok(found.into_iter().map(|(path, is_directory)| (text(path), is_directory)).collect())
    }

    fn open_file(&self, py: Python<'_>, path: PathBuf) -> PyResult<i32> {
        let file = py.detach(|| tree::open_file(self.source(), path.as_os_str().as_bytes())).into_python(py)?;
        Ok(file.into_raw_fd())
    }

    fn open_place(&self, py: Python<'_>, path: PathBuf) -> PyResult<(i32, bool)> {
        let (place, is_directory) =
            py.detach(|| tree::open_place(self.source(), path.as_os_str().as_bytes())).into_python(py)?;
        Ok((place.into_raw_fd(), is_directory))
    }

    #[pyo3(signature = (path, root, target, *, owner=None, mode=None, mtime=None, parents_from=None, upper=None))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of Python
    fn copy(
        &self,
        path: PathBuf,
        root: &Bound<'_, PyAny>,
        target: PathBuf,
        owner: Option<(u32, u32)>,
        mode: Option<&str>,
        mtime: Option<i64>,
        parents_from: Option<usize>,
        upper: Option<PathBuf>,
    ) -> PyResult<CopiedTree> {
        let py = root.py();
        let root = directory(root)?;
        let mode = mode.map(ModeChange::parse).transpose().into_python(py)?;
        let options = CopyOptions { owner, mode, times: mtime.map_or(Times::Kept, Times::Set), parents_from };
        let copied = interrupt::run(py, &Cancelled::default(), || {
            let (path, target) = (path.as_os_str().as_bytes(), target.as_os_str().as_bytes());
            let upper = upper.as_deref().map(open_directory).transpose()?;
            tree::copy(self.source(), path, root.as_fd(), target, &options, upper.as_ref().map(AsFd::as_fd))
        })?;
        Ok(CopiedTree {
            digest: copied.digest.to_string(),
            entries: copied.entries,
            size: copied.size,
            direct: copied.direct.map(text),
        })
    }
}

#[pyfunction]
#[pyo3(signature = (root, path, *, owner=(0, 0), mode=0o755))]
pub fn make_directory(root: &Bound<'_, PyAny>, path: PathBuf, owner: (u32, u32), mode: u32) -> PyResult<()> {
    let py = root.py();
    let root = directory(root)?;
    py.detach(|| tree::make_directory(root.as_fd(), path.as_os_str().as_bytes(), owner, mode).map(drop)).into_python(py)
}

#[pyfunction]
#[pyo3(signature = (upper, *, clamp=None, settled=None))]
pub fn settle_upper(py: Python<'_>, upper: PathBuf, clamp: Option<i64>, settled: Option<OsString>) -> PyResult<()> {
    let settled = settled.map(OsStringExt::into_vec);
    interrupt::run(py, &Cancelled::default(), || tree::settle(&open_directory(&upper)?, clamp, settled.as_deref()))
}

#[pyfunction]
pub fn find_owner(root: &Bound<'_, PyAny>, user: String) -> PyResult<(u32, u32)> {
    let py = root.py();
    let root = directory(root)?;
    let request = UserRequest { user, additional_groups: Vec::new() };
    let found = py.detach(|| users::resolve_in(root.as_fd(), &request)).into_python(py)?;
    Ok((found.uid, found.gid))
}
