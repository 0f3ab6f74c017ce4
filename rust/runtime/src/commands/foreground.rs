//! `run`: create and start in one, with or without staying.

use std::os::fd::AsFd;

use pyctr_core::process::Child;
use pyctr_core::{Error, Result};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::launch::{self, Launched, Mode};
use super::{Context, delete};
use crate::args::Parsed;
use crate::console::Proxy;
use crate::sys::{Signals, pidfd_send_signal};

/// Runs a container; in the foreground the exit code is the command's.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let detach = parsed.is_set("detach");
    let mode = if detach { Mode::Detached } else { Mode::Foreground };
    if !detach && !parsed.is_set("no-subreaper") {
        // What the container leaves behind without a pid namespace becomes our child, and is reaped.
        rustix::process::set_child_subreaper(rustix::process::getpid().into())
            .map_err(|errno| Error::kernel("become", "subreaper", errno))?;
    }
    // Before there is a child: a signal between must reach it, not end us.
    let signals = if detach { None } else { Some(Signals::block_all()?) };
    let launched = launch::launch(context, parsed, mode)?;
    let _ = launched.directory.unlock();
    match signals {
        None => Ok(0),
        Some(signals) => attend(context, parsed, launched, &signals),
    }
}

fn attend(context: &Context, parsed: &Parsed, launched: Launched, signals: &Signals) -> Result<u8> {
    let Launched { directory, state, mut child, cgroup } = launched;
    let code = wait(&mut child, signals);
    if code.is_err() {
        let _ = pidfd_send_signal(child.pidfd.as_fd(), libc::SIGKILL);
    }
    if !parsed.is_set("keep") {
        delete::destroy(context, directory, state, cgroup)?;
    }
    code
}

/// Passes signals on and terminal bytes through until the child ends; its exit code, 128 + n for signal n.
pub fn wait(child: &mut Child, signals: &Signals) -> Result<u8> {
    let mut proxy = child.console.take().map(Proxy::new).transpose()?;
    loop {
        if let Some(proxy) = &mut proxy {
            proxy.pump(signals.as_fd())?;
        }
        match signals.read()? {
            libc::SIGCHLD => {
                if let Some(code) = reap(child.pid)? {
                    if let Some(proxy) = &mut proxy {
                        proxy.drain();
                    }
                    return Ok(code);
                }
            }
            libc::SIGWINCH if proxy.is_some() => proxy.iter().for_each(Proxy::resize),
            // A child that is gone by now is reaped at the next turn.
            signal => drop(pidfd_send_signal(child.pidfd.as_fd(), signal)),
        }
    }
}

/// Reaps whatever ended; the exit code if the child was among them.
fn reap(child: Pid) -> Result<Option<u8>> {
    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => code = Some(exit_code(status)),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(code),
            Err(errno) => return Err(Error::kernel("wait for", format!("process {}", child.as_raw_pid()), errno)),
        }
        if code.is_some() {
            return Ok(code);
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}
