//! Paths below a root that is not ours to trust, and a stopped container's root.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use pyctr_core::rootfs::overlay;
use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::IntoPython;
use crate::pack::directory;

/// Type and mode bits (st_mode), size, where it leads if it is a link, time of its last change in nanoseconds since 1970.
type Status = (u32, u64, String, i64);

/// What a path below `root` leads to.
#[pyfunction]
#[pyo3(signature = (root, path, *, follow=true))]
pub fn stat_path(root: &Bound<'_, PyAny>, path: PathBuf, follow: bool) -> PyResult<Status> {
    let py = root.py();
    let root = directory(root)?;
    py.detach(|| stat(&root, &path, follow)).into_python(py)
}

fn stat(root: &OwnedFd, path: &std::path::Path, follow: bool) -> Result<Status> {
    let fail = |errno| {
        let error = Error::kernel("look at", path, errno);
        if matches!(errno, Errno::NOENT | Errno::NOTDIR) { error.with_kind(Kind::NotFound) } else { error }
    };
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    let inside = path.as_os_str().as_bytes();
    let inside = if inside.iter().all(|&byte| byte == b'/') { &b"."[..] } else { inside };
    let node = loop {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(root, std::ffi::OsStr::from_bytes(inside), flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {} // somebody renames on this file system
            other => break other.map_err(fail)?,
        }
    };
    let stat = rustix::fs::fstat(&node).map_err(fail)?;
    let link = if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        rustix::fs::readlinkat(&node, "", Vec::new()).map_err(fail)?.to_string_lossy().into_owned()
    } else {
        String::new()
    };
    let changed_ns = stat.st_mtime * 1_000_000_000 + i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    Ok((stat.st_mode, u64::try_from(stat.st_size).unwrap_or(0), link, changed_ns))
}

/// A descriptor of the merged tree of `lower` (topmost first) and `upper`, mounted nowhere; it goes with the descriptor.
#[pyfunction]
#[pyo3(signature = (lower, upper, work, *, volatile=false))]
pub fn mount_layers(
    py: Python<'_>,
    lower: Vec<PathBuf>,
    upper: PathBuf,
    work: PathBuf,
    volatile: bool,
) -> PyResult<i32> {
    py.detach(|| overlay::mount(&lower, &upper, &work, volatile)).map(IntoRawFd::into_raw_fd).into_python(py)
}
