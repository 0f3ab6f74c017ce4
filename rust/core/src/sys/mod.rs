//! The only unsafe code of the core: one system call a function.
//!
//! What rustix or `pyctr_init::sys` offer is used from there; here is what neither has, and the clone.
#![allow(unsafe_code)]

use std::os::fd::{FromRawFd, OwnedFd};

pub mod bpf;
pub mod capabilities;
pub mod clone;
pub mod memory_file;
pub mod monitor;
pub mod processes;
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

/// Takes ownership of a descriptor this process was started with, and keeps it from being inherited further.
pub fn inherited(number: i32) -> crate::Result<OwnedFd> {
    let fail = |errno| crate::Error::kernel("use inherited descriptor", number.to_string(), errno);
    pyctr_init::sys::set_close_on_exec(number, true).map_err(|errno| fail(errno_of(errno)))?;
    // SAFETY: the descriptor is open, as fcntl just said, and the caller's contract with its parent gives it to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A close-on-exec copy of a descriptor known only by its number.
pub fn duplicate(number: i32) -> rustix::io::Result<OwnedFd> {
    own(pyctr_init::sys::duplicate_from(number, 3))
}
