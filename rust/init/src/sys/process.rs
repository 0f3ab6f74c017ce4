//! This process: its place, its children, its signals, and what it may do.

use core::ffi::CStr;

use super::{Errno, Result, arch, check, cstr, descriptor, fd, nr, pad, retry};

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    check(call!(CHDIR, cstr(path))).map(drop)
}

/// fchdir(2).
pub fn fchdir(dir: i32) -> Result<()> {
    check(call!(FCHDIR, fd(dir))).map(drop)
}

/// getcwd(2): the first byte of the path; `/` unless the directory lies outside the root (CVE-2024-21626).
pub fn current_directory_starts_with() -> Result<u8> {
    let mut buffer = [0u8; 4096];
    check(call!(GETCWD, buffer.as_mut_ptr() as usize, buffer.len()))?;
    Ok(buffer[0])
}

/// unshare(2).
pub fn unshare(flags: u32) -> Result<()> {
    check(call!(UNSHARE, flags as usize)).map(drop)
}

/// setns(2).
pub fn setns(namespace: i32, flags: u32) -> Result<()> {
    check(call!(SETNS, fd(namespace), flags as usize)).map(drop)
}

/// clone(2) without sharing memory: 0 in the child.
pub fn fork(flags: u32) -> Result<i32> {
    descriptor(call!(CLONE, flags as usize, 0, 0, 0, 0))
}

/// _exit(2) of the single thread.
pub fn exit(status: i32) -> ! {
    loop {
        let _ = call!(EXIT, fd(status));
    }
}

/// execve(2): returns only on failure. Pointers are NUL-terminated arrays of C strings.
pub fn execve(path: &CStr, args: &[usize], env: &[usize]) -> Errno {
    match check(call!(EXECVE, cstr(path), args.as_ptr() as usize, env.as_ptr() as usize)) {
        Err(errno) => errno,
        Ok(_) => Errno::INVAL,
    }
}

/// execveat(2) of a descriptor itself: returns only on failure.
pub fn execve_descriptor(file: i32, args: &[usize], env: &[usize]) -> Errno {
    let result = call!(EXECVEAT, fd(file), cstr(c""), args.as_ptr() as usize, env.as_ptr() as usize, 0x1000);
    match check(result) {
        Err(errno) => errno,
        Ok(_) => Errno::INVAL,
    }
}

/// wait4(2): pid and raw status; pid 0 when nothing is ready with WNOHANG.
pub fn wait(pid: i32, options: i32) -> Result<(i32, i32)> {
    let mut status = 0i32;
    let pid = retry(|| descriptor(call!(WAIT4, fd(pid), &raw mut status as usize, fd(options), 0)))?;
    Ok((pid, status))
}

/// kill(2).
pub fn kill(pid: i32, signal: u32) -> Result<()> {
    check(call!(KILL, fd(pid), signal as usize)).map(drop)
}

/// Resets every signal to its default action: the runtime ignores SIGPIPE, and what is ignored survives an exec.
pub fn reset_signal_actions() {
    let default = [0usize; 4];
    for signal in 1..=64usize {
        let _ = call!(RT_SIGACTION, signal, default.as_ptr() as usize, 0, 8);
    }
}

/// Replaces the signal mask.
pub fn set_signal_mask(mask: u64) {
    let _ = call!(RT_SIGPROCMASK, 2, &raw const mask as usize, 0, 8);
}

/// Waits for one signal of the mask; its number.
pub fn wait_for_signal(mask: u64) -> Result<u32> {
    retry(|| check(call!(RT_SIGTIMEDWAIT, &raw const mask as usize, 0, 0, 8)))
        .and_then(|value| u32::try_from(value).map_err(|_| Errno::INVAL))
}

/// prctl(2).
pub fn prctl(option: u32, args: [usize; 4]) -> Result<usize> {
    check(call!(PRCTL, option as usize, args[0], args[1], args[2], args[3]))
}

/// setgroups(2).
pub fn setgroups(groups: &[u32]) -> Result<()> {
    check(call!(SETGROUPS, groups.len(), groups.as_ptr() as usize)).map(drop)
}

/// setresgid(2) of all three.
pub fn set_gid(gid: u32) -> Result<()> {
    check(call!(SETRESGID, gid as usize, gid as usize, gid as usize)).map(drop)
}

/// setresuid(2) of all three.
pub fn set_uid(uid: u32) -> Result<()> {
    check(call!(SETRESUID, uid as usize, uid as usize, uid as usize)).map(drop)
}

/// capset(2), version 3.
#[allow(clippy::cast_possible_truncation)] // the two halves of each mask
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = [0x2008_0522u32, 0];
    let data = [
        effective as u32,
        permitted as u32,
        inheritable as u32,
        (effective >> 32) as u32,
        (permitted >> 32) as u32,
        (inheritable >> 32) as u32,
    ];
    check(call!(CAPSET, header.as_ptr() as usize, data.as_ptr() as usize)).map(drop)
}

/// seccomp(2) SECCOMP_SET_MODE_FILTER: the listener's descriptor where one was asked for, else 0.
pub fn seccomp(program: &[u8], flags: u32) -> Result<i32> {
    let count = u16::try_from(program.len() / 8).map_err(|_| Errno::INVAL)?;
    #[repr(C)]
    struct Program {
        length: u16,
        filter: usize,
    }
    let program = Program { length: count, filter: program.as_ptr() as usize };
    descriptor(call!(SECCOMP, 1, flags as usize, &raw const program as usize))
}

/// prlimit64(2) of this process.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limits = [soft, hard];
    check(call!(PRLIMIT64, 0, resource as usize, limits.as_ptr() as usize, 0)).map(drop)
}

/// umask(2).
pub fn umask(mask: u32) {
    let _ = call!(UMASK, mask as usize);
}

/// sethostname(2).
pub fn sethostname(name: &[u8]) -> Result<()> {
    check(call!(SETHOSTNAME, name.as_ptr() as usize, name.len())).map(drop)
}

/// setdomainname(2).
pub fn setdomainname(name: &[u8]) -> Result<()> {
    check(call!(SETDOMAINNAME, name.as_ptr() as usize, name.len())).map(drop)
}

/// setsid(2).
pub fn setsid() -> Result<()> {
    check(call!(SETSID)).map(drop)
}

/// setpgid(0, 0).
pub fn new_process_group() -> Result<()> {
    check(call!(SETPGID, 0, 0)).map(drop)
}

/// getpid(2).
pub fn getpid() -> i32 {
    descriptor(call!(GETPID)).unwrap_or(0)
}

/// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING.
pub fn join_session_keyring(name: &CStr) -> Result<()> {
    check(call!(KEYCTL, 1, cstr(name))).map(drop)
}

/// sched_setattr(2).
pub fn sched_setattr(attributes: &[u8]) -> Result<()> {
    check(call!(SCHED_SETATTR, 0, attributes.as_ptr() as usize, 0)).map(drop)
}

/// sched_setaffinity(2).
pub fn sched_setaffinity(mask: &[u8]) -> Result<()> {
    check(call!(SCHED_SETAFFINITY, 0, mask.len(), mask.as_ptr() as usize)).map(drop)
}

/// ioprio_set(2) of this process.
pub fn ioprio_set(priority: u32) -> Result<()> {
    check(call!(IOPRIO_SET, 1, 0, priority as usize)).map(drop)
}

/// personality(2).
pub fn personality(persona: u64) -> Result<()> {
    #[allow(clippy::cast_possible_truncation)]
    check(call!(PERSONALITY, persona as usize)).map(drop)
}

/// setgroups(2) of ids packed two a word.
pub fn setgroups_words(words: &[usize], count: usize) -> Result<()> {
    check(call!(SETGROUPS, count.min(words.len() * 2), words.as_ptr() as usize)).map(drop)
}

/// clone(2) with CLONE_PIDFD and SIGCHLD, memory not shared: pid (0 in the child) and pidfd.
pub fn fork_with_pidfd() -> Result<(i32, i32)> {
    const CLONE_PIDFD: usize = 0x1000;
    const SIGCHLD: usize = 0x11;
    let mut pidfd = -1i32;
    let pid = descriptor(call!(CLONE, CLONE_PIDFD | SIGCHLD, 0, &raw mut pidfd as usize, 0, 0))?;
    Ok((pid, pidfd))
}

/// Sets SIGPIPE to be ignored, or to its default action.
pub fn ignore_broken_pipe(ignore: bool) {
    let action = [usize::from(ignore), 0, 0, 0];
    let _ = call!(RT_SIGACTION, 13, action.as_ptr() as usize, 0, 8);
}
