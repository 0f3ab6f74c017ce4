//! The signal mask of this thread, and signals to others.

use std::os::fd::{AsRawFd, BorrowedFd};

/// All signals blocked as long as this lives: a handler must not run on the memory a clone shares.
#[derive(Debug)]
pub struct Blocked {
    previous: u64,
}

impl Blocked {
    /// Blocks all signals.
    pub fn all() -> Self {
        Self { previous: change(u64::MAX) }
    }

    /// Waits until there is something to read, with the mask of before: ppoll(2) lets no signal slip in between that
    /// came after the caller looked for one. Fails with `EINTR` if a handler ran.
    pub fn wait_readable(&self, file: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let mut descriptor = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let no_timeout = std::ptr::null::<libc::timespec>();
        // SAFETY: one descriptor, a null timeout, and a mask of the eight bytes the last argument says.
        let result =
            unsafe { libc::syscall(libc::SYS_ppoll, &raw mut descriptor, 1, no_timeout, &raw const self.previous, 8) };
        if result < 0 { Err(last_error()) } else { Ok(()) }
    }
}

/// Sends a signal to the process a descriptor stands for; real-time ones too, which rustix does not name.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> rustix::io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, there is no siginfo, and flags are zero.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO)
}

impl Drop for Blocked {
    fn drop(&mut self) {
        change(self.previous);
    }
}

/// Sets the mask; the previous one.
fn change(mask: u64) -> u64 {
    let mut previous = 0u64;
    // SAFETY: both masks are eight bytes, as the last argument says; SIG_SETMASK is 2.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 2, &raw const mask, &raw mut previous, 8) };
    previous
}
