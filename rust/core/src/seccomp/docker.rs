//! Docker's default profile (moby/profiles, seccomp/default.json, mid 2026), grouped by the condition that lets the calls in.
//!
//! Everything not named fails with EPERM; what is newer than anything named fails with ENOSYS. Shared with the build script, so
//! nothing here may use the rest of the crate.

use super::abi::HostArch;
use super::policy::{Condition, Operator, Policy, Rule, ret};

/// The capabilities of a container by default (moby, daemon/pkg/oci/caps): `AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID
/// KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT`.
pub const DEFAULT_CAPABILITIES: u64 = 0xa804_25fb;

/// `CAP_SYS_ADMIN` of linux/capability.h.
const SYS_ADMIN: u64 = 1 << 21;

/// Allowed always. ptrace, `process_vm_readv` and `process_vm_writev` ask for Linux 4.8, which every kernel pyctr runs on is.
const ALWAYS: &str = "
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
    clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
    close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
    ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list
    get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
    getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid
    getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek
    lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir
    mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
    munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2
    prlimit64 process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2
    read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg
    sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
    setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
    signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime
    timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Allowed on 64-bit x86 and the ABIs below it.
const ON_X86_64: &str = "arch_prctl modify_ldt";

/// Allowed on 64-bit ARM and the ABI below it.
const ON_AARCH64: &str = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

/// Allowed with the capability of this number (linux/capability.h).
const WITH_CAPABILITY: [(u32, &str); 14] = [
    (2, "open_by_handle_at"), // CAP_DAC_READ_SEARCH
    (16, "delete_module init_module finit_module"), // CAP_SYS_MODULE
    (17, "iopl ioperm"), // CAP_SYS_RAWIO
    (18, "chroot"), // CAP_SYS_CHROOT
    (19, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"), // CAP_SYS_PTRACE
    (20, "acct"), // CAP_SYS_PACCT
    (
        21, // CAP_SYS_ADMIN
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
         lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
         sethostname setns syslog umount umount2 unshare",
    ),
    (22, "reboot"), // CAP_SYS_BOOT
    (23, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"), // CAP_SYS_NICE
    (25, "settimeofday stime clock_settime clock_settime64"), // CAP_SYS_TIME
    (26, "vhangup"), // CAP_SYS_TTY_CONFIG
    (34, "syslog"), // CAP_SYSLOG
    (38, "perf_event_open"), // CAP_PERFMON
    (39, "bpf"), // CAP_BPF
];

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`: no new namespaces. `CLONE_NEWTIME` is a signal number to
/// clone and works in clone3 alone.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// The personalities allowed: `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question for the present one.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The socket families allowed, as ranges (linux/socket.h). Not in: those the kernel no longer has (`DECnet` 12, `ECONET` 19,
/// `ATMSVC` 20, `IRDA` 23, `WANPIPE` 25, `ISDN` 34, `CAIF` 37); `ALG` 38, attack surface without need (CVE-2026-31431); `VSOCK` 40,
/// which knows no network namespaces.
const SOCKET_FAMILIES: [(u64, u64); 8] =
    [(0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];

/// The capabilities the profile asks for: sets that agree in these have the same filter.
pub fn relevant(capabilities: u64) -> u64 {
    capabilities & WITH_CAPABILITY.iter().fold(0, |mask, (number, _)| mask | 1 << number)
}

/// The profile for a container with these capabilities (bit n: capability number n) in its bounding set.
pub fn policy(capabilities: u64, host: HostArch) -> Policy<'static> {
    let argument = |operator, value| vec![Condition { argument: 0, operator, value }];
    let allow = |names: &'static str| Rule::new(names.split_whitespace(), ret::ALLOW, Vec::new());
    let mut rules = vec![
        allow(ALWAYS),
        allow(match host {
            HostArch::X86_64 => ON_X86_64,
            HostArch::Aarch64 => ON_AARCH64,
        }),
    ];
    // As in moby's own list, one equality a family: two tests of one argument would be alternatives to runc.
    let (_, first_end) = SOCKET_FAMILIES[0];
    rules.push(Rule::new(["socket"], ret::ALLOW, argument(Operator::Le, first_end)));
    for family in SOCKET_FAMILIES[1..].iter().flat_map(|(first, last)| *first..=*last) {
        rules.push(Rule::new(["socket"], ret::ALLOW, argument(Operator::Eq, family)));
    }
    for personality in PERSONALITIES {
        rules.push(Rule::new(["personality"], ret::ALLOW, argument(Operator::Eq, personality)));
    }
    for (_, names) in WITH_CAPABILITY.iter().filter(|(number, _)| capabilities >> number & 1 == 1) {
        rules.push(allow(names));
    }
    if capabilities & SYS_ADMIN == 0 {
        rules.push(Rule::new(["clone"], ret::ALLOW, argument(Operator::MaskedEq(CLONE_NAMESPACES), 0)));
        // Its flags are behind a pointer; ENOSYS makes C libraries fall back on clone.
        rules.push(Rule::new(["clone3"], ret::ENOSYS, Vec::new()));
    }
    Policy { host, listed: host.abis().to_vec(), default: ret::ERRNO | 1, rules }
}
