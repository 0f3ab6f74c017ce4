//! The exec of the command.

use core::ffi::CStr;

use super::Context;
use super::reaper;
use super::resolve::PathBuffer;
use crate::codec::Strings;
use crate::sys::{self, Errno, Result};

impl Context {
    pub(super) fn execute(&mut self, args: Strings<'_>, env: Strings<'_>, with_reaper: bool) -> Result<()> {
        if with_reaper {
            reaper::split_off(self.channel)?;
        }
        Err(execute(args, env))
    }
}

/// Replaces the process; returns only the reason why not.
pub(super) fn execute(args: Strings<'_>, env: Strings<'_>) -> Errno {
    let Some(command) = args.iter().next() else {
        return Errno::INVAL;
    };
    execute_as(command, args, env)
}

/// As [`execute`], with another file than the first argument names.
pub(super) fn execute_as(command: &CStr, args: Strings<'_>, env: Strings<'_>) -> Errno {
    let (argv, envp) = match (pointers(args), pointers(env)) {
        (Ok(argv), Ok(envp)) => (argv, envp),
        (Err(errno), _) | (_, Err(errno)) => return errno,
    };
    if command.to_bytes().contains(&b'/') {
        return refine(sys::execve(command, argv, envp));
    }
    let path = env.iter().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH=")).unwrap_or(b"");
    let mut refused = None;
    let mut buffer = PathBuffer::new();
    for directory in path.split(|&byte| byte == b':').filter(|directory| directory.first() == Some(&b'/')) {
        let Ok(candidate) = buffer.join(directory, command.to_bytes()) else {
            continue;
        };
        match refine(sys::execve(candidate, argv, envp)) {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCES => refused = Some(Errno::ACCES),
            errno => return errno,
        }
    }
    refused.unwrap_or(Errno::NOENT)
}

/// A path component that is not a directory means the command does not exist.
fn refine(errno: Errno) -> Errno {
    if errno == Errno::NOTDIR { Errno::NOENT } else { errno }
}

/// A NULL-terminated pointer array as execve(2) takes it; the strings stay where they are.
fn pointers(strings: Strings<'_>) -> Result<&'static [usize]> {
    let words = sys::map_words(strings.count() + 1)?;
    for (slot, text) in words.iter_mut().zip(strings.iter()) {
        *slot = text.as_ptr() as usize;
    }
    Ok(words)
}
