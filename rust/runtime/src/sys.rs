//! The system calls rustix has no safe form of, one a function.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use pyctr_core::{Error, Result};
use rustix::io::Errno;

/// All signals, blocked, and readable from a descriptor (signalfd(2)).
#[derive(Debug)]
pub struct Signals(OwnedFd);

/// `sizeof(struct signalfd_siginfo)`.
const SIGINFO_SIZE: usize = 128;

impl Signals {
    /// Blocks every signal that can be blocked, so that none kills this process while a container is its child.
    pub fn block_all() -> Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigfillset initialises the set it is given and cannot fail on a valid pointer.
        let set = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            set.assume_init()
        };
        // SAFETY: `set` is initialised; a null old set is allowed. This process has one thread.
        if unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) } != 0 {
            return Err(last("block", "signals"));
        }
        // SAFETY: -1 asks for a new descriptor; `set` is initialised and only read.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(last("open", "signalfd"));
        }
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits for a signal; its number.
    pub fn read(&self) -> Result<i32> {
        let mut info = [0_u8; SIGINFO_SIZE];
        loop {
            match rustix::io::read(&self.0, &mut info) {
                Ok(SIGINFO_SIZE) => return Ok(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
                Ok(_) => return Err(Error::kernel("read", "signalfd", Errno::IO)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::kernel("read", "signalfd", errno)),
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether a descriptor number is open: what `--preserve-fds` promises must be there.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag and takes no argument; an unused number gives EBADF.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Sends a signal by pidfd; `signal` 0 only checks. rustix's type for signals has no real-time ones.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> std::result::Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: the descriptor is borrowed for the call; a null siginfo is allowed (pidfd_send_signal(2)).
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn last(operation: &str, object: &str) -> Error {
    Error::kernel(operation, object, errno())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_is_open_tells_open_from_closed() {
        assert!(is_open(0));
        assert!(!is_open(100_000));
    }

    #[test]
    fn test_pidfd_send_signal_unknown_number_is_refused() {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(pidfd_send_signal(own.as_fd(), 0), Ok(()));
        assert_eq!(pidfd_send_signal(own.as_fd(), 999), Err(Errno::INVAL));
    }
}
