//! Sealed memory files (memfd_create(2)).

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// A file of exactly these bytes that nobody can change any more; executable if asked.
pub fn sealed(name: &CStr, content: &[u8], executable: bool) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Linux 6.3 wants to be told; older kernels do not know the flags, and their memory files are executable.
    let wanted = if executable { MemfdFlags::EXEC } else { MemfdFlags::NOEXEC_SEAL };
    let file = match memfd_create(name, flags | wanted) {
        Err(rustix::io::Errno::INVAL) => memfd_create(name, flags)?,
        other => other?,
    };
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = &rest[written..];
    }
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}
