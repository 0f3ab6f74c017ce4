//! `--init`: process 1 stays here, forwards signals to the command, and reaps what is orphaned.

use crate::sys::{self, Result};

const SIGCHLD: u32 = 17;
const SIGKILL: u32 = 9;
const SIGSTOP: u32 = 19;
const SIGTTIN: u32 = 21;
const SIGTTOU: u32 = 22;
const TIOCSPGRP: u32 = 0x5410;
const WNOHANG: i32 = 1;
const ALL_SIGNALS: u64 = u64::MAX;

/// Returns in a child that goes on to exec the command; process 1 never returns.
pub(super) fn split_off(channel: i32) -> Result<()> {
    // Blocked before the fork, so that no signal is lost between the two.
    sys::set_signal_mask(ALL_SIGNALS);
    let child = sys::fork(SIGCHLD)?;
    if child == 0 {
        sys::new_process_group()?;
        // The terminal's foreground is the command, so that ^C reaches it and not us; no terminal is fine.
        let mut group = sys::getpid();
        let _ = sys::ioctl(0, TIOCSPGRP, &mut group);
        sys::set_signal_mask(0);
        return Ok(());
    }
    sys::close(channel);
    let _ = sys::close_everything_from(3);
    watch(child)
}

fn watch(child: i32) -> ! {
    loop {
        match sys::wait_for_signal(ALL_SIGNALS) {
            Ok(SIGCHLD) => reap(child),
            // A stop of ours by terminal rules would freeze the reaper; the command sees its own.
            Ok(SIGTTIN | SIGTTOU | SIGKILL | SIGSTOP) | Err(_) => {}
            Ok(signal) => {
                let _ = sys::kill(child, signal);
            }
        }
    }
}

fn reap(child: i32) {
    loop {
        match sys::wait(-1, WNOHANG) {
            Ok((0, _)) | Err(_) => return,
            Ok((pid, status)) if pid == child => sys::exit(exit_code(status)),
            Ok(_) => {}
        }
    }
}

/// The code a shell would show: the command's own, or 128 plus the signal.
fn exit_code(status: i32) -> i32 {
    let signal = status & 0x7f;
    if signal == 0 { (status >> 8) & 0xff } else { 128 + signal }
}
