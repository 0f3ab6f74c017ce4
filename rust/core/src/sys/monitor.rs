//! What the monitor needs and rustix lacks: signals by number, signals as a descriptor, a forked worker.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

/// `sizeof(struct signalfd_siginfo)`.
const SIGINFO_BYTES: usize = 128;
/// Behind the standard streams.
const FIRST_FD: i32 = 3;

/// Sends a signal by number, real-time ones included, which rustix's type has not (pidfd_send_signal(2)).
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> rustix::io::Result<()> {
    let none: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: the descriptor is borrowed for the call; a null siginfo is allowed.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) };
    if result == 0 { Ok(()) } else { Err(errno()) }
}

/// Blocks these signals and makes them readable from a descriptor that does not wait (signalfd(2)).
pub fn signal_descriptor(signals: &[i32]) -> rustix::io::Result<OwnedFd> {
    let mask = signals.iter().fold(0u64, |mask, signal| mask | 1 << (signal - 1));
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    let old: *mut u64 = std::ptr::null_mut();
    // SAFETY: the mask is eight bytes, as the last argument says; SIG_BLOCK is 0; a null old mask is allowed.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, &raw const mask, old, size_of::<u64>()) };
    // SAFETY: -1 asks for a new descriptor; the mask is eight bytes, as the third argument says.
    let fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, size_of::<u64>(), flags) };
    let fd = i32::try_from(fd).map_err(|_| Errno::INVAL)?;
    if fd < 0 {
        return Err(errno());
    }
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The next signal of such a descriptor; None when there is none now.
pub fn next_signal(descriptor: &OwnedFd) -> Option<i32> {
    let mut info = [0u8; SIGINFO_BYTES];
    match rustix::io::read(descriptor, &mut info) {
        Ok(SIGINFO_BYTES) => Some(i32::from_ne_bytes([info[0], info[1], info[2], info[3]])),
        _ => None,
    }
}

/// Closes what a caller happened to leave open, from a number on: a shell's pipe, held as long as a container lives, never
/// ends for who reads it. For the very beginning of a process, when nothing there is anybody's yet.
pub fn close_inherited(first: u32) {
    // SAFETY: no descriptor from `first` on has an owner yet (the caller's promise).
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
}

/// Runs `work` in a copy of this process, which holds none of its descriptors and ends with it: exit status 0 where `work`
/// says true. The copy's pid, and a pidfd.
///
/// Only for a process of one thread: the copy goes on with memory as it is, allocator and all.
pub fn fork_worker(work: impl FnOnce() -> bool) -> rustix::io::Result<(Pid, OwnedFd)> {
    fork(None, work)
}

/// The same, but that the copy is given `kept`.
pub fn fork_worker_with(
    kept: BorrowedFd<'_>,
    work: impl FnOnce(OwnedFd) -> bool,
) -> rustix::io::Result<(Pid, OwnedFd)> {
    fork(Some(kept), || {
        // SAFETY: `fork` has put it there, for nobody else.
        work(unsafe { OwnedFd::from_raw_fd(FIRST_FD) })
    })
}

fn fork(kept: Option<BorrowedFd<'_>>, work: impl FnOnce() -> bool) -> rustix::io::Result<(Pid, OwnedFd)> {
    // SAFETY: this process has one thread (the caller's promise), so no lock is held by another that the copy lacks.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(errno());
    }
    if pid == 0 {
        // Whoever waits for the end of a pipe, or for the container's lock, must not wait for this copy.
        let mut first = FIRST_FD;
        if let Some(kept) = kept {
            // SAFETY: as below; whatever had this number is closed one way or the other.
            first = unsafe { libc::dup2(kept.as_raw_fd(), FIRST_FD) } + 1;
        }
        // SAFETY: nothing of this process uses its descriptors again: `work` opens its own, and _exit runs no destructor.
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0u32) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(false);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    let pid = Pid::from_raw(pid).ok_or(Errno::INVAL)?;
    // Our child: its number stays its own until we wait for it.
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    Ok((pid, pidfd))
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn test_pidfd_send_signal_unknown_number_is_refused() {
        let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(pidfd_send_signal(own.as_fd(), 0), Ok(()));
        assert_eq!(pidfd_send_signal(own.as_fd(), 65), Err(Errno::INVAL));
    }

    #[test]
    fn test_signal_descriptor_signal_sent_is_read() {
        let descriptor = signal_descriptor(&[libc::SIGRTMIN() + 7]).unwrap();
        assert_eq!(next_signal(&descriptor), None);
        // SAFETY: to this very thread, where it is blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGRTMIN() + 7) };
        assert_eq!(next_signal(&descriptor), Some(libc::SIGRTMIN() + 7));
    }
}
