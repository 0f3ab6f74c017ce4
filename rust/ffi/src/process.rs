//! Processes and the kernel.

use std::os::fd::AsFd;

use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::error::IntoPython;

#[pyfunction]
pub fn process_start_time(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted behind the last one.
    let (_, after) = text.rsplit_once(')')?;
    let mut fields = after.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[pyfunction]
pub fn send_signal(py: Python<'_>, pid: i32, start_time: u64, signal: i32) -> PyResult<()> {
    send(pid, start_time, signal).into_python(py)
}

fn send(pid: i32, start_time: u64, signal: i32) -> Result<()> {
    let gone = || Error::new(Kind::NotFound, "signal process", pid.to_string(), "it is gone");
    let number = Pid::from_raw(pid).ok_or_else(gone)?;
    let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty()).map_err(|_| gone())?;
    // After the descriptor is open a matching start time says that it is that process's.
    if process_start_time(pid) != Some(start_time) {
        return Err(gone());
    }
    let name = Signal::from_named_raw(signal)
        .ok_or_else(|| Error::invalid("send signal", signal.to_string(), "no such signal"))?;
    rustix::process::pidfd_send_signal(pidfd.as_fd(), name)
        .map_err(|errno| Error::kernel("signal process", pid.to_string(), errno))
}

#[pyfunction]
pub fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[pyfunction]
pub fn permitted_capabilities() -> u64 {
    rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits())
}
