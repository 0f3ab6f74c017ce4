//! Writes below /proc: through the host's before the container has mounts, through a detached one afterwards.

use core::ffi::CStr;

use super::Context;
use crate::codec::Strings;
use crate::sys::{self, Errno, Result, magic, open};

/// Writes the host's view of this process; nothing of the container is mounted yet.
pub(super) fn write_oom_score_adj(text: &CStr) -> Result<()> {
    let file = sys::openat(sys::AT_FDCWD, c"/proc/self/oom_score_adj", open::WRONLY | open::NOFOLLOW, 0)?;
    let result =
        if sys::filesystem_type(file)? == magic::PROC { sys::write(file, text.to_bytes()) } else { Err(Errno::NOENT) };
    sys::close(file);
    result
}

impl Context {
    /// A procfs that no image and no mount can cover (CVE-2025-52881).
    pub(super) fn open_proc(&mut self) -> Result<()> {
        self.proc = Self::mount(c"proc", c"proc", Strings::new(&[]), 0)?;
        Ok(())
    }

    fn write_below_proc(&self, path: &CStr, value: &[u8]) -> Result<()> {
        let resolve = open::RESOLVE_BENEATH | open::RESOLVE_NO_XDEV | open::RESOLVE_NO_MAGICLINKS;
        let file = sys::openat2(self.proc, path, open::WRONLY, 0, resolve)?;
        let result =
            if sys::filesystem_type(file)? == magic::PROC { sys::write(file, value) } else { Err(Errno::XDEV) };
        sys::close(file);
        result
    }

    pub(super) fn write_sysctl(&self, path: &CStr, value: &CStr) -> Result<()> {
        self.write_below_proc(path, value.to_bytes())
    }

    pub(super) fn write_label(&self, file: &CStr, value: &CStr) -> Result<()> {
        self.write_below_proc(file, value.to_bytes())
    }
}
