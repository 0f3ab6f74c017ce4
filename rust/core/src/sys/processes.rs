//! kill(2) of any signal, and a process that only waits.

use rustix::io::Errno;

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// kill(2), real-time signals too, which rustix does not name.
pub fn kill(pid: i32, signal: i32) -> rustix::io::Result<()> {
    // SAFETY: kill takes numbers only.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Forks a child that waits until it is killed, or until this process ends.
pub fn fork_waiting() -> rustix::io::Result<i32> {
    let parent = std::process::id();
    // SAFETY: between fork and its end the child makes only bare system calls, which are async-signal-safe and touch no memory of this
    // process; it never returns into Rust. The descriptors it closes are its own copies.
    unsafe {
        match libc::fork() {
            -1 => Err(last_errno()),
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // Held open, a copy of a pipe or lock would keep others waiting.
                libc::syscall(libc::SYS_close_range, 0_u32, u32::MAX, 0_u32);
                // The parent may have ended before prctl.
                while libc::getppid().cast_unsigned() == parent {
                    libc::pause();
                }
                libc::_exit(0)
            }
            pid => Ok(pid),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_kill_of_a_waiting_child_ends_it() {
        let pid = fork_waiting().unwrap();
        kill(pid, 0).unwrap();
        kill(pid, libc::SIGRTMIN()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.terminating_signal(), Some(libc::SIGRTMIN()));
    }
}
