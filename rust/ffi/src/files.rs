//! Files: atomic writes, removal by descriptor.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use pyctr_core::{Error, Result};
use pyo3::prelude::*;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::error::IntoPython;

/// Opens a directory without following its last name.
pub fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::kernel("open", path, errno))
}

#[pyfunction]
#[pyo3(signature = (path, data, *, mode=0o600, sync=true))]
pub fn write_atomic(py: Python<'_>, path: PathBuf, data: &[u8], mode: u32, sync: bool) -> PyResult<()> {
    py.detach(|| write(&path, data, mode, sync)).into_python(py)
}

fn write(path: &Path, data: &[u8], mode: u32, sync: bool) -> Result<()> {
    let fail = |errno| Error::kernel("write", path, errno);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(fail(Errno::INVAL)) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let directory = rustix::fs::open(parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let temporary = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let result = (|| {
        let file = rustix::fs::openat(&directory, &temporary, flags, Mode::from_raw_mode(mode))?;
        let mut rest = data;
        while !rest.is_empty() {
            let written = rustix::io::write(&file, rest)?;
            rest = &rest[written..];
        }
        if sync {
            rustix::fs::fsync(&file)?;
        }
        rustix::fs::renameat(&directory, &temporary, &directory, name)?;
        if sync { rustix::fs::fsync(&directory) } else { Ok(()) }
    })();
    if result.is_err() {
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
    }
    result.map_err(fail)
}

#[pyfunction]
#[pyo3(signature = (path, *, contents_only=false))]
pub fn remove_tree(py: Python<'_>, path: PathBuf, contents_only: bool) -> PyResult<()> {
    py.detach(|| remove(&path, contents_only)).into_python(py)
}

fn remove(path: &Path, contents_only: bool) -> Result<()> {
    let fail = |errno| Error::kernel("remove", path, errno);
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) if !contents_only => return rustix::fs::unlink(path).map_err(fail),
        other => other.map_err(fail)?,
    };
    let device = rustix::fs::fstat(&directory).map_err(fail)?.st_dev;
    empty(directory.as_fd(), device).map_err(fail)?;
    if contents_only {
        return Ok(());
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(fail(errno)),
    }
}

/// Never through a link, never across a mount: what is mounted there is not ours to empty.
fn empty(directory: BorrowedFd<'_>, device: u64) -> rustix::io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            remove_entry(directory, &name, device)?;
        }
    }
    Ok(())
}

fn remove_entry(directory: BorrowedFd<'_>, name: &CString, device: u64) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let nested = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if rustix::fs::fstat(&nested)?.st_dev != device {
        return Err(Errno::BUSY);
    }
    empty(nested.as_fd(), device)?;
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[pyfunction]
pub fn sync_file_system(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    py.detach(|| {
        let directory = open_directory(&path)?;
        rustix::fs::syncfs(&directory).map_err(|errno| Error::kernel("sync", &path, errno))
    })
    .into_python(py)
}
