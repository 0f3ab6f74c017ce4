//! The kernel's own word: filters loaded in a forked process, and what its calls then do.
#![allow(unsafe_code)] // system calls in a forked child

use pyctr_core::seccomp::{DEFAULT_CAPABILITIES, Filter, compile_docker_profile, docker_default};

/// Loads the filter in a child and runs the checks there; the first that fails is named by its index.
fn in_child(filter: &Filter, checks: &[fn() -> bool]) {
    // SAFETY: the child makes system calls only, and ends with _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = if load(filter) < 0 { 100 } else { checks.iter().position(|check| !check()).map_or(0, |at| at + 1) };
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::try_from(code).unwrap_or(101)) };
    }
    let mut status = 0;
    // SAFETY: the child just made.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "ended by signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "100: not loaded; else the number of the check that failed");
}

fn load(filter: &Filter) -> i64 {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.program.len() / 8).unwrap_or(0),
        filter: filter.program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: a program of that length; the kernel copies it.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, filter.flags, &raw const program)
    }
}

/// Errno of a call, 0 if it succeeded.
fn errno(number: libc::c_long, args: [libc::c_long; 3]) -> i32 {
    // SAFETY: calls that take no memory, or null.
    if unsafe { libc::syscall(number, args[0], args[1], args[2]) } >= 0 {
        return 0;
    }
    // SAFETY: this thread's errno.
    unsafe { *libc::__errno_location() }
}

#[test]
fn test_docker_default_loaded_calls_do_what_the_profile_says() {
    in_child(
        &docker_default(DEFAULT_CAPABILITIES).unwrap(),
        &[
            || errno(libc::SYS_getppid, [0; 3]) == 0,
            || errno(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]) == libc::EPERM,
            || errno(libc::SYS_clone3, [0; 3]) == libc::ENOSYS,
            || errno(1000, [0; 3]) == libc::ENOSYS,
            || errno(libc::SYS_mount, [0; 3]) == libc::EPERM,
            || errno(libc::SYS_keyctl, [0; 3]) == libc::EPERM,
            || errno(libc::SYS_io_uring_setup, [0; 3]) == libc::EPERM,
            || errno(libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0]) == 0,
            || errno(libc::SYS_socket, [libc::AF_VSOCK.into(), libc::SOCK_STREAM.into(), 0]) == libc::EPERM,
            || errno(libc::SYS_socket, [libc::AF_ALG.into(), libc::SOCK_SEQPACKET.into(), 0]) == libc::EPERM,
            || errno(libc::SYS_personality, [0xffff_ffff, 0, 0]) == 0,
            || errno(libc::SYS_personality, [0x4_0000, 0, 0]) == libc::EPERM,
            || errno(libc::SYS_chroot, [0; 3]) == libc::EFAULT,
        ],
    );
}

#[test]
fn test_docker_default_loaded_without_sys_chroot_denies_chroot() {
    in_child(&docker_default(0).unwrap(), &[|| errno(libc::SYS_chroot, [0; 3]) == libc::EPERM]);
    let admin = docker_default(1 << 21).unwrap();
    // SYS_ADMIN's calls reach the kernel, which finds nothing at address 0.
    in_child(
        &admin,
        &[|| errno(libc::SYS_clone3, [0; 3]) == libc::EINVAL, || errno(libc::SYS_umount2, [0; 3]) == libc::EFAULT],
    );
}

/// 32-bit calls from a 64-bit program take the interrupt.
#[cfg(target_arch = "x86_64")]
fn int80(number: i32, first: i32) -> i32 {
    let result: i32;
    // SAFETY: the kernel keeps all registers but rax (and r8 to r11); rbx is the compiler's, so it is put back.
    unsafe {
        std::arch::asm!("xchg {first:r}, rbx", "int 0x80", "xchg {first:r}, rbx", first = inout(reg) i64::from(first) => _,
            inlateout("eax") number => result, in("ecx") 0, in("edx") 0, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result
}

#[cfg(target_arch = "x86_64")]
#[test]
fn test_docker_default_loaded_32_bit_calls_are_filtered_too() {
    // SAFETY: asks the kernel for its configuration by trying: a child that dies has no 32-bit calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the process; 20 is getpid.
        unsafe { libc::_exit(i32::from(int80(20, 0) <= 0)) };
    }
    let mut status = 0;
    // SAFETY: the child just made.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
    if status != 0 {
        eprintln!("skipped: this kernel has no 32-bit calls");
        return;
    }
    in_child(
        &docker_default(DEFAULT_CAPABILITIES).unwrap(),
        &[
            || int80(20, 0) > 0,
            || int80(310, 0x1000_0000) == -libc::EPERM, // unshare(CLONE_NEWUSER)
            || int80(435, 0) == -libc::ENOSYS,          // clone3
            || int80(359, 40) == -libc::EPERM,          // socket(AF_VSOCK)
            || int80(136, 0x4_0000) == -libc::EPERM,    // personality(ADDR_NO_RANDOMIZE)
            || int80(136, -1) >= 0,
        ],
    );
}

#[test]
fn test_compile_docker_profile_loaded_actions_and_comparisons_hold() {
    let json = br#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls": [
        {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77, "args": [{"index": 0, "value": 4294967298, "op": "SCMP_CMP_GE"}]},
        {"names": ["getpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 78, "args": [
            {"index": 0, "value": 4080, "valueTwo": 4096, "op": "SCMP_CMP_MASKED_EQ"}, {"index": 1, "value": 5, "op": "SCMP_CMP_LT"}]},
        {"names": ["getsid"], "action": "SCMP_ACT_TRACE", "errnoRet": 5}]}"#;
    in_child(
        &compile_docker_profile(json, 0, (6, 18)).unwrap(),
        &[
            || errno(libc::SYS_getpgid, [0; 3]) == 0,
            || errno(libc::SYS_getpgid, [0x1_0000_0002, 0, 0]) == 77,
            || errno(libc::SYS_getpgid, [0x2_0000_0000, 0, 0]) == 77,
            || errno(libc::SYS_getpriority, [0, 0, 0]) == 78,
            || errno(libc::SYS_getpriority, [0, 5, 0]) != 78,
            || errno(libc::SYS_getpriority, [16, 0, 0]) == libc::EINVAL,
            || errno(libc::SYS_getsid, [0; 3]) == libc::ENOSYS, // TRACE without a tracer
        ],
    );
}
