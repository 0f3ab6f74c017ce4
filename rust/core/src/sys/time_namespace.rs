//! A time namespace for the next child (time_namespaces(7)).

use std::fmt::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use oci_spec::runtime::LinuxTimeOffset;

use crate::plan::namespace::NEWTIME;
use crate::{Error, Result};

/// Children are born in the new namespace as long as this lives.
#[derive(Debug)]
pub struct ForChildren {
    previous: OwnedFd,
}

/// Makes a time namespace with these clock offsets for the children to come; they must be written before the first is born.
pub fn enter(offsets: &[(&str, LinuxTimeOffset)]) -> Result<ForChildren> {
    // The thread's own directory: /proc/self is the main thread's, and namespaces belong to threads.
    let own = format!("/proc/{}", rustix::thread::gettid().as_raw_nonzero());
    let namespace = format!("{own}/ns/time_for_children");
    let previous = std::fs::File::open(&namespace).map_err(|error| Error::io("open", &namespace, &error))?;
    pyctr_init::sys::unshare(NEWTIME)
        .map_err(|errno| Error::kernel("make", "a time namespace", super::errno_of(errno)))?;
    let guard = ForChildren { previous: previous.into() };
    let mut text = String::new();
    for (clock, offset) in offsets {
        let _ = writeln!(text, "{clock} {} {}", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
    }
    if !text.is_empty() {
        let path = format!("{own}/timens_offsets");
        std::fs::write(&path, text).map_err(|error| Error::io("write", path, &error))?;
    }
    Ok(guard)
}

impl Drop for ForChildren {
    fn drop(&mut self) {
        let _ = pyctr_init::sys::setns(self.previous.as_raw_fd(), NEWTIME);
    }
}
