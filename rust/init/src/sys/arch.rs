//! The system call instruction and the numbers, for the two architectures pyctr runs on.

use core::arch::asm;

/// Issues a system call; the kernel's raw answer.
///
/// # Safety
/// The arguments must be what the system call with this number expects; pointers must be valid for it.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") number.cast_signed() => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Issues a system call; the kernel's raw answer.
///
/// # Safety
/// The arguments must be what the system call with this number expects; pointers must be valid for it.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn syscall(number: usize, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; svc clobbers x0 only.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") args[0].cast_signed() => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5], options(nostack));
    }
    result
}

macro_rules! numbers {
    ($($name:ident $x86_64:literal $aarch64:literal)*) => {
        /// System call numbers.
        #[allow(missing_docs)]
        pub mod nr {
            $(
                #[cfg(target_arch = "x86_64")] pub const $name: usize = $x86_64;
                #[cfg(target_arch = "aarch64")] pub const $name: usize = $aarch64;
            )*
        }
    };
}

numbers! {
    READ 0 63
    WRITE 1 64
    CLOSE 3 57
    RT_SIGACTION 13 134
    RT_SIGPROCMASK 14 135
    IOCTL 16 29
    SCHED_SETAFFINITY 203 122
    SCHED_SETATTR 314 274
    NANOSLEEP 35 101
    GETPID 39 172
    SOCKET 41 198
    SENDMSG 46 211
    RECVFROM 45 207
    CLONE 56 220
    EXECVE 59 221
    EXIT 60 93
    WAIT4 61 260
    KILL 62 129
    FCNTL 72 25
    GETCWD 79 17
    CHDIR 80 49
    FCHDIR 81 50
    FCHMOD 91 52
    FCHOWN 93 55
    UMASK 95 166
    SETPGID 109 154
    SETSID 112 157
    SETGROUPS 116 159
    SETRESUID 117 147
    SETRESGID 119 149
    CAPSET 126 91
    RT_SIGTIMEDWAIT 128 137
    PERSONALITY 135 92
    FSTATFS 138 44
    PIVOT_ROOT 155 41
    PRCTL 157 167
    CHROOT 161 51
    MOUNT 165 40
    UMOUNT2 166 39
    SETHOSTNAME 170 161
    SETDOMAINNAME 171 162
    GETDENTS64 217 61
    KEYCTL 250 219
    IOPRIO_SET 251 30
    OPENAT 257 56
    MKDIRAT 258 34
    MKNODAT 259 33
    FCHOWNAT 260 54
    NEWFSTATAT 262 79
    SYMLINKAT 266 36
    READLINKAT 267 78
    PPOLL 271 73
    UNSHARE 272 97
    ACCEPT4 288 242
    DUP3 292 24
    PRLIMIT64 302 261
    SETNS 308 268
    SECCOMP 317 277
    EXECVEAT 322 281
    OPEN_TREE 428 428
    MOVE_MOUNT 429 429
    FSOPEN 430 430
    FSCONFIG 431 431
    FSMOUNT 432 432
    CLOSE_RANGE 436 436
    OPENAT2 437 437
    FACCESSAT2 439 439
    MOUNT_SETATTR 442 442
    PIPE2 293 59
    MMAP 9 222
}
