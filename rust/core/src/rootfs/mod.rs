//! The root file system: overlay, bind sources, and what is looked up in it before the command runs.
//!
//! The parent makes detached mounts only: nothing appears in any mount table until the child attaches it in its own
//! namespace, so a runtime that dies leaves no mount behind.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use pyctr_init::sys;

use crate::sys::{errno_of, own};
use crate::{Error, Result};

pub mod bind;
pub mod copy_up;
pub mod overlay;
pub mod users;

/// A detached copy of the mount at a host path, with everything mounted below it.
pub fn directory(path: &Path) -> Result<OwnedFd> {
    let text = c_path(path)?;
    own(sys::clone_mount(sys::AT_FDCWD, &text, true))
        .map_err(|errno| Error::kernel("open root file system", path, errno))
}

fn c_path(path: &Path) -> Result<CString> {
    crate::plan::c_string("path", path.as_os_str().as_encoded_bytes())
}

/// Opens a path inside a root without ever leaving it; magic links are refused.
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: i32) -> rustix::io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| rustix::io::Errno::INVAL)?;
    let resolve = sys::open::RESOLVE_IN_ROOT | sys::open::RESOLVE_NO_MAGICLINKS;
    own(sys::openat2(root.as_raw_fd(), &path, flags, 0, resolve))
}

/// Sets attributes on a detached mount.
pub(crate) fn set_attributes(mount: &OwnedFd, recursive: bool, set: u64, clear: u64) -> rustix::io::Result<()> {
    if set == 0 && clear == 0 {
        return Ok(());
    }
    sys::mount_setattr(mount.as_fd().as_raw_fd(), recursive, set, clear, 0, 0).map_err(errno_of)
}
