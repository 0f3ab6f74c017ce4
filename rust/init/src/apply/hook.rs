//! OCI hooks that run in the container's namespaces.

use core::ffi::CStr;

use super::command;
use crate::codec::Strings;
use crate::sys::{self, Errno, Result};

const SIGKILL: u32 = 9;

/// Runs a hook with `state` on its standard input; a failure, a time-out or a signal is an error (runtime-spec, "Hooks").
pub(super) fn run(path: &CStr, args: Strings<'_>, env: Strings<'_>, timeout_s: u32, state: &[u8]) -> Result<()> {
    let (input, output) = sys::pipe()?;
    let (pid, pidfd) = sys::fork_with_pidfd()?;
    if pid == 0 {
        sys::close(output);
        if sys::duplicate_onto(input, 0).is_ok() {
            let _ = sys::close_on_exec_from(3);
            let _ = command::execute_as(path, args, env);
        }
        sys::exit(127);
    }
    sys::close(input);
    // A hook that never reads its input must not kill us with SIGPIPE; one that reads only part is its own business.
    sys::ignore_broken_pipe(true);
    let _ = sys::write(output, state);
    sys::ignore_broken_pipe(false);
    sys::close(output);
    let in_time = timeout_s == 0 || sys::readable_within(pidfd, i64::from(timeout_s))?;
    if !in_time {
        let _ = sys::kill(pid, SIGKILL);
    }
    sys::close(pidfd);
    let (_, status) = sys::wait(pid, 0)?;
    match (in_time, status) {
        (false, _) => Err(Errno::TIMEDOUT),
        (true, 0) => Ok(()),
        (true, _) => Err(Errno::CANCELED),
    }
}
