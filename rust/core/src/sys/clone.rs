//! The clone of a container's first process.
//!
//! The child shares memory with the parent (CLONE_VM) only until it execs `pyctr-init`, a few microseconds later, on a stack
//! of its own; with CLONE_VFORK the parent sleeps that long. Page tables are not copied, which is most of what a fork costs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

const CLONE_VM: u64 = 0x100;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;
#[allow(clippy::cast_possible_truncation)] // a system call number
const CLONE3: isize = libc::SYS_clone3 as isize;
const STACK_BYTES: usize = 32 * 1024;

/// `struct clone_args` of clone3(2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// How `pyctr-init` is started.
#[derive(Debug)]
pub struct InitClone<'a> {
    /// Namespace flags for clone3.
    pub namespaces: u64,
    /// The cgroup (v2) to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The sealed executable.
    pub executable: BorrowedFd<'a>,
    /// Its arguments, the program's name first.
    pub args: &'a [&'a CStr],
    /// Descriptors it inherits, beside those that are not close-on-exec already.
    pub inherit: &'a [RawFd],
    /// A descriptor on which the child waits for one packet before it execs, becoming root first: the id maps of its new user
    /// namespace must be written in between, by this process, which therefore does not sleep.
    pub wait: Option<BorrowedFd<'a>>,
    /// Memory must not be shared (a new time namespace, time_namespaces(7)).
    pub separate_memory: bool,
}

/// The process that was cloned, and the stack it may still be running on.
#[derive(Debug)]
pub struct Cloned {
    /// Its pid.
    pub pid: Pid,
    /// The same, race-free.
    pub pidfd: OwnedFd,
    /// Kept until the child has execed: with `wait` it still runs on this.
    pub keep: Keep,
}

/// Memory the child uses until its exec.
#[derive(Debug)]
pub struct Keep {
    _stack: Vec<u8>,
    _child: Box<ChildArgs>,
}

#[derive(Debug)]
struct ChildArgs {
    executable: i32,
    wait: i32,
    argv: Vec<usize>,
    envp: [usize; 1],
    inherit: Vec<RawFd>,
    _strings: Vec<CString>,
}

/// Clones the first process of a container, which execs `pyctr-init`.
pub fn clone_init(request: &InitClone<'_>) -> Result<Cloned, Errno> {
    let _blocked = super::signals::Blocked::all();
    let strings: Vec<CString> = request.args.iter().map(|&text| text.to_owned()).collect();
    let argv = strings.iter().map(|text| text.as_ptr() as usize).chain([0]).collect();
    let child = Box::new(ChildArgs {
        executable: request.executable.as_raw_fd(),
        wait: request.wait.map_or(-1, |fd| fd.as_raw_fd()),
        argv,
        envp: [0],
        inherit: request.inherit.to_vec(),
        _strings: strings,
    });
    let mut stack = vec![0u8; STACK_BYTES];
    let mut pidfd: RawFd = -1;
    let sharing = if request.separate_memory {
        0
    } else if request.wait.is_some() {
        CLONE_VM
    } else {
        CLONE_VM | CLONE_VFORK
    };
    // 16-byte alignment, as both ABIs want it.
    let base = (stack.as_mut_ptr() as usize).next_multiple_of(16);
    let mut args = CloneArgs {
        flags: request.namespaces | sharing | CLONE_PIDFD,
        pidfd: &raw mut pidfd as u64,
        exit_signal: SIGCHLD,
        stack: base as u64,
        stack_size: (STACK_BYTES - 16) as u64 & !15,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = request.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(0);
    }
    // SAFETY: `args` describes a valid stack that outlives the child's use of it (returned in `keep`); `child_main` never
    // returns and touches only `child`, which lives as long; signals are blocked, so no handler runs on shared memory.
    let result = unsafe { clone3(&args, &raw const *child) };
    let pid = i32::try_from(result).map_err(|_| Errno::INVAL)?;
    if pid < 0 {
        return Err(Errno::from_raw_os_error(-pid));
    }
    let pid = Pid::from_raw(pid).ok_or(Errno::INVAL)?;
    // SAFETY: the kernel stored a fresh descriptor there (CLONE_PIDFD).
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned { pid, pidfd, keep: Keep { _stack: stack, _child: child } })
}

/// Issues clone3; the child calls `child_main` on its new stack.
///
/// # Safety
/// `args.stack` must be a stack of `args.stack_size` bytes, and both it and `child` must stay valid until the child execs.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &CloneArgs, child: *const ChildArgs) -> isize {
    let result: isize;
    // SAFETY: as promised; in the parent only rax, rcx and r11 change.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") CLONE3 => result,
            in("rdi") std::ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r12") child,
            in("r13") child_main as extern "C" fn(*const ChildArgs) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Issues clone3; the child calls `child_main` on its new stack.
///
/// # Safety
/// `args.stack` must be a stack of `args.stack_size` bytes, and both it and `child` must stay valid until the child execs.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &CloneArgs, child: *const ChildArgs) -> isize {
    let result: isize;
    // SAFETY: as promised; in the parent only x0 changes.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, #0",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") CLONE3,
            inlateout("x0") std::ptr::from_ref(args) as isize => result,
            in("x1") size_of::<CloneArgs>(),
            in("x20") child,
            in("x21") child_main as extern "C" fn(*const ChildArgs) -> !,
        );
    }
    result
}

/// Runs in the child on memory shared with the parent: raw system calls only, no allocation, no libc.
extern "C" fn child_main(child: *const ChildArgs) -> ! {
    use pyctr_init::sys;
    const SETUP_FAILED: i32 = 125;
    // SAFETY: the parent keeps it alive until this process execs.
    let child = unsafe { &*child };
    if child.wait >= 0 {
        let mut go = [0u8; 1];
        if sys::receive(child.wait, &mut go) != Ok(1) || sys::set_gid(0).is_err() || sys::set_uid(0).is_err() {
            sys::exit(SETUP_FAILED);
        }
    }
    for &fd in &child.inherit {
        if sys::set_close_on_exec(fd, false).is_err() {
            sys::exit(SETUP_FAILED);
        }
    }
    let _ = sys::execve_descriptor(child.executable, &child.argv, &child.envp);
    sys::exit(SETUP_FAILED)
}
