//! Processes and the kernel.

use std::os::fd::AsFd;

use pyctr_core::sys::{capabilities, signals};
use pyctr_core::{Error, Kind, Result};
use pyo3::prelude::*;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::error::IntoPython;

#[pyfunction]
pub fn process_start_time(pid: i32) -> Option<u64> {
    // Bytes, not text: a process names itself as it likes.
    let data = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted behind the last one.
    let end = data.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(&data[end + 1..]).ok()?.split_ascii_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(), // field 22 (proc_pid_stat(5)), the state being field 3
    }
}

#[pyfunction]
pub fn send_signal(py: Python<'_>, pid: i32, start_time: u64, signal: i32) -> PyResult<()> {
    send(pid, start_time, signal).into_python(py)
}

fn send(pid: i32, start_time: u64, signal: i32) -> Result<()> {
    let gone = || Error::new(Kind::NotFound, "signal process", pid.to_string(), "it is gone");
    let number = Pid::from_raw(pid).ok_or_else(gone)?;
    let fail = |errno| match errno {
        Errno::SRCH => gone(),
        Errno::INVAL => Error::invalid("send signal", signal.to_string(), "no such signal"),
        _ => Error::kernel("signal process", pid.to_string(), errno),
    };
    let pidfd = rustix::process::pidfd_open(number, PidfdFlags::empty()).map_err(fail)?;
    // After the descriptor is open a matching start time says that it is that process's.
    if process_start_time(pid) != Some(start_time) {
        return Err(gone());
    }
    signals::send(pidfd.as_fd(), signal).map_err(fail)
}

#[pyfunction]
pub fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[pyfunction]
pub fn permitted_capabilities() -> u64 {
    rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits())
}

#[pyfunction]
pub fn capability_names() -> [&'static str; 41] {
    capabilities::NAMES
}
