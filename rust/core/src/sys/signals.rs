//! The signal mask of this thread.

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
