//! The only unsafe code of the core: one system call a function.
//!
//! What rustix or `pyctr_init::sys` offer is used from there; here is what neither has, and the clone.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

pub mod bpf;
pub mod clone;
pub mod memory_file;
pub mod signals;
pub mod time_namespace;

/// Takes ownership of a descriptor number a raw system call of `pyctr_init::sys` just returned.
pub fn own(result: pyctr_init::sys::Result<i32>) -> rustix::io::Result<OwnedFd> {
    match result {
        // SAFETY: the number is fresh from the kernel and nobody else has it.
        Ok(fd) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        Err(errno) => Err(errno_of(errno)),
    }
}

/// The same errno in the type the core uses.
pub fn errno_of(errno: pyctr_init::sys::Errno) -> rustix::io::Errno {
    rustix::io::Errno::from_raw_os_error(errno.0)
}
