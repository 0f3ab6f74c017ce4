//! Raw system calls, one a function, for a process without libc. The only unsafe code of this crate besides `_start`.
//!
//! Every function returns the kernel's answer or its errno. Descriptors are plain numbers: this process opens few, closes
//! the rest by close-on-exec, and ends in an exec.
#![allow(unsafe_code)]

use core::ffi::CStr;

mod arch;
pub use arch::nr;

/// A Linux errno, positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

#[allow(missing_docs)]
impl Errno {
    pub const PERM: Self = Self(1);
    pub const NOENT: Self = Self(2);
    pub const INTR: Self = Self(4);
    pub const AGAIN: Self = Self(11);
    pub const ACCES: Self = Self(13);
    pub const BUSY: Self = Self(16);
    pub const EXIST: Self = Self(17);
    pub const NOTDIR: Self = Self(20);
    pub const ISDIR: Self = Self(21);
    pub const INVAL: Self = Self(22);
    pub const NOTTY: Self = Self(25);
    pub const LOOP: Self = Self(40);
    pub const NAMETOOLONG: Self = Self(36);
    pub const NOSYS: Self = Self(38);
    pub const PROTO: Self = Self(71);
    pub const XDEV: Self = Self(18);
    pub const TIMEDOUT: Self = Self(110);
    pub const CANCELED: Self = Self(125);
}

/// Result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

/// The current directory as a directory descriptor.
pub const AT_FDCWD: i32 = -100;

#[allow(clippy::cast_possible_truncation)] // -4095..0 by the kernel's calling convention
fn check(result: isize) -> Result<usize> {
    if (-4095..0).contains(&result) { Err(Errno(-result as i32)) } else { Ok(result.cast_unsigned()) }
}

fn descriptor(result: isize) -> Result<i32> {
    check(result).and_then(|value| i32::try_from(value).map_err(|_| Errno::INVAL))
}

const fn fd(number: i32) -> usize {
    (number as isize).cast_unsigned()
}

macro_rules! call {
    ($nr:ident $(, $arg:expr)*) => {{
        let args = pad([$( $arg ),*]);
        // SAFETY: each caller below passes live references or plain numbers of the types the system call documents.
        unsafe { arch::syscall(nr::$nr, args) }
    }};
}

fn pad<const COUNT: usize>(given: [usize; COUNT]) -> [usize; 6] {
    let mut args = [0; 6];
    args[..COUNT].copy_from_slice(&given);
    args
}

fn cstr(text: &CStr) -> usize {
    text.as_ptr() as usize
}

/// read(2), retried on EINTR.
pub fn read(file: i32, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check(call!(READ, fd(file), buffer.as_mut_ptr() as usize, buffer.len())))
}

/// write(2) of the whole buffer in one call, retried on EINTR; a short write is EPROTO (procfs and cgroupfs take all or nothing).
pub fn write(file: i32, buffer: &[u8]) -> Result<()> {
    let written = retry(|| check(call!(WRITE, fd(file), buffer.as_ptr() as usize, buffer.len())))?;
    if written == buffer.len() { Ok(()) } else { Err(Errno::PROTO) }
}

fn retry<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// close(2).
pub fn close(file: i32) {
    let _ = call!(CLOSE, fd(file));
}

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Flags of open(2) and openat2(2).
#[allow(missing_docs)]
pub mod open {
    pub const RDONLY: i32 = 0;
    pub const WRONLY: i32 = 1;
    pub const RDWR: i32 = 2;
    pub const CREAT: i32 = 0o100;
    pub const EXCL: i32 = 0o200;
    pub const NOCTTY: i32 = 0o400;
    #[cfg(target_arch = "x86_64")]
    pub const DIRECTORY: i32 = 0o200_000;
    #[cfg(target_arch = "x86_64")]
    pub const NOFOLLOW: i32 = 0o400_000;
    #[cfg(target_arch = "aarch64")]
    pub const DIRECTORY: i32 = 0o40000;
    #[cfg(target_arch = "aarch64")]
    pub const NOFOLLOW: i32 = 0o100_000;
    pub const CLOEXEC: i32 = 0o2_000_000;
    pub const PATH: i32 = 0o10_000_000;
    pub const RESOLVE_NO_XDEV: u64 = 1;
    pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
    pub const RESOLVE_NO_SYMLINKS: u64 = 4;
    pub const RESOLVE_BENEATH: u64 = 8;
    pub const RESOLVE_IN_ROOT: u64 = 16;
}

/// openat2(2); EAGAIN (a rename raced with the resolution) is retried a bounded number of times.
pub fn openat2(dir: i32, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<i32> {
    let how = OpenHow {
        flags: u64::from(flags.cast_unsigned() | open::CLOEXEC.cast_unsigned()),
        mode: u64::from(mode),
        resolve,
    };
    let mut attempts = 128;
    loop {
        match descriptor(call!(OPENAT2, fd(dir), cstr(path), &raw const how as usize, size_of::<OpenHow>())) {
            Err(Errno::AGAIN | Errno::INTR) if attempts > 0 => attempts -= 1,
            other => return other,
        }
    }
}

/// openat(2) with O_CLOEXEC.
pub fn openat(dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<i32> {
    descriptor(call!(OPENAT, fd(dir), cstr(path), fd(flags | open::CLOEXEC), mode as usize))
}

/// The part of `struct stat` that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// File type and mode.
    pub mode: u32,
    /// Device of a device node, as the kernel encodes it.
    pub rdev: u64,
    /// Inode number.
    pub ino: u64,
    /// Device the file lies on.
    pub dev: u64,
}

/// File type bits.
pub const S_IFMT: u32 = 0o170_000;
/// Directory.
pub const S_IFDIR: u32 = 0o040_000;
/// Character device.
pub const S_IFCHR: u32 = 0o020_000;
/// Symbolic link.
pub const S_IFLNK: u32 = 0o120_000;
/// Regular file.
pub const S_IFREG: u32 = 0o100_000;

/// fstatat(2) with AT_EMPTY_PATH: the descriptor itself.
pub fn fstat(file: i32) -> Result<Stat> {
    let mut raw = [0u64; 18];
    check(call!(NEWFSTATAT, fd(file), cstr(c""), raw.as_mut_ptr() as usize, 0x1000))?;
    // struct stat: dev, ino, then nlink and mode in an order that differs between the two architectures
    #[cfg(target_arch = "x86_64")]
    #[allow(clippy::cast_possible_truncation)] // mode is the low half of its word
    let (mode, rdev) = (raw[3] as u32, raw[5]);
    #[cfg(target_arch = "aarch64")]
    #[allow(clippy::cast_possible_truncation)]
    let (mode, rdev) = (raw[2] as u32, raw[4]);
    Ok(Stat { mode, rdev, ino: raw[1], dev: raw[0] })
}

/// Magic numbers of statfs(2).
#[allow(missing_docs)]
pub mod magic {
    pub const PROC: u64 = 0x9fa0;
    pub const DEVPTS: u64 = 0x1cd1;
    pub const SYSFS: u64 = 0x6265_6572;
}

/// fstatfs(2)'s f_type.
pub fn filesystem_type(file: i32) -> Result<u64> {
    let mut raw = [0u64; 15];
    check(call!(FSTATFS, fd(file), raw.as_mut_ptr() as usize))?;
    Ok(raw[0])
}

/// mkdirat(2).
pub fn mkdirat(dir: i32, name: &CStr, mode: u32) -> Result<()> {
    check(call!(MKDIRAT, fd(dir), cstr(name), mode as usize)).map(drop)
}

/// mknodat(2).
pub fn mknodat(dir: i32, name: &CStr, mode: u32, device: u64) -> Result<()> {
    #[allow(clippy::cast_possible_truncation)] // x86_64 and aarch64 are 64 bit
    check(call!(MKNODAT, fd(dir), cstr(name), mode as usize, device as usize)).map(drop)
}

/// fchownat(2) without following.
pub fn chown(dir: i32, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    check(call!(FCHOWNAT, fd(dir), cstr(name), uid as usize, gid as usize, 0x100)).map(drop)
}

/// fchown(2).
pub fn fchown(file: i32, uid: u32, gid: u32) -> Result<()> {
    check(call!(FCHOWN, fd(file), uid as usize, gid as usize)).map(drop)
}

/// fchmod(2).
pub fn fchmod(file: i32, mode: u32) -> Result<()> {
    check(call!(FCHMOD, fd(file), mode as usize)).map(drop)
}

/// symlinkat(2).
pub fn symlinkat(target: &CStr, dir: i32, name: &CStr) -> Result<()> {
    check(call!(SYMLINKAT, cstr(target), fd(dir), cstr(name))).map(drop)
}

/// readlinkat(2): bytes written to the buffer.
pub fn readlinkat(dir: i32, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    check(call!(READLINKAT, fd(dir), cstr(name), buffer.as_mut_ptr() as usize, buffer.len()))
}

/// faccessat2(2) with the effective ids.
pub fn may_execute(path: &CStr) -> Result<()> {
    check(call!(FACCESSAT2, fd(AT_FDCWD), cstr(path), 1, 0x200)).map(drop)
}

/// getdents64(2).
pub fn getdents(dir: i32, buffer: &mut [u8]) -> Result<usize> {
    check(call!(GETDENTS64, fd(dir), buffer.as_mut_ptr() as usize, buffer.len()))
}

/// mount(2).
pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64) -> Result<()> {
    #[allow(clippy::cast_possible_truncation)]
    check(call!(MOUNT, cstr(source), cstr(target), cstr(fstype), flags as usize, 0)).map(drop)
}

/// umount2(2) with MNT_DETACH.
pub fn unmount_detach(target: &CStr) -> Result<()> {
    check(call!(UMOUNT2, cstr(target), 2)).map(drop)
}

/// fsopen(2) with FSOPEN_CLOEXEC.
pub fn fsopen(fstype: &CStr) -> Result<i32> {
    descriptor(call!(FSOPEN, cstr(fstype), 1))
}

/// fsconfig(2) FSCONFIG_SET_STRING.
pub fn fsconfig_string(context: i32, key: &CStr, value: &CStr) -> Result<()> {
    check(call!(FSCONFIG, fd(context), 1, cstr(key), cstr(value), 0)).map(drop)
}

/// fsconfig(2) FSCONFIG_SET_FLAG.
pub fn fsconfig_flag(context: i32, key: &CStr) -> Result<()> {
    check(call!(FSCONFIG, fd(context), 0, cstr(key), 0, 0)).map(drop)
}

/// fsconfig(2) FSCONFIG_CMD_CREATE.
pub fn fsconfig_create(context: i32) -> Result<()> {
    check(call!(FSCONFIG, fd(context), 6, 0, 0, 0)).map(drop)
}

/// fsmount(2) with FSMOUNT_CLOEXEC.
pub fn fsmount(context: i32, attributes: u64) -> Result<i32> {
    #[allow(clippy::cast_possible_truncation)]
    descriptor(call!(FSMOUNT, fd(context), 1, attributes as usize))
}

/// open_tree(2) with OPEN_TREE_CLONE and OPEN_TREE_CLOEXEC; of the descriptor itself when the path is empty.
pub fn clone_mount(dir: i32, path: &CStr, recursive: bool) -> Result<i32> {
    let flags = 1 | open::CLOEXEC | 0x1000 | if recursive { 0x8000 } else { 0 };
    descriptor(call!(OPEN_TREE, fd(dir), cstr(path), fd(flags)))
}

/// move_mount(2) of a detached mount onto a descriptor or, with a path, onto that path.
pub fn move_mount(mount: i32, dir: i32, path: &CStr) -> Result<()> {
    let flags = 0x4 | if path.is_empty() { 0x40 } else { 0 };
    check(call!(MOVE_MOUNT, fd(mount), cstr(c""), fd(dir), cstr(path), flags)).map(drop)
}

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Mount attributes (MOUNT_ATTR_*).
#[allow(missing_docs)]
pub mod attr {
    pub const RDONLY: u64 = 0x1;
    pub const NOSUID: u64 = 0x2;
    pub const NODEV: u64 = 0x4;
    pub const NOEXEC: u64 = 0x8;
    pub const ATIME: u64 = 0x70;
    pub const NOATIME: u64 = 0x10;
    pub const STRICTATIME: u64 = 0x20;
    pub const NODIRATIME: u64 = 0x80;
    pub const IDMAP: u64 = 0x10_0000;
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// mount_setattr(2) on the mount a descriptor stands for.
pub fn mount_setattr(mount: i32, recursive: bool, set: u64, clear: u64, propagation: u64, userns: u64) -> Result<()> {
    let attributes = MountAttr { set, clear, propagation, userns_fd: userns };
    let flags = 0x1000 | if recursive { 0x8000 } else { 0 };
    check(call!(MOUNT_SETATTR, fd(mount), cstr(c""), flags, &raw const attributes as usize, size_of::<MountAttr>()))
        .map(drop)
}

/// pivot_root(".", ".").
pub fn pivot_root_here() -> Result<()> {
    check(call!(PIVOT_ROOT, cstr(c"."), cstr(c"."))).map(drop)
}

/// chroot(".").
pub fn chroot_here() -> Result<()> {
    check(call!(CHROOT, cstr(c"."))).map(drop)
}

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

/// fcntl(2) F_SETFD: sets or clears close-on-exec.
pub fn set_close_on_exec(file: i32, value: bool) -> Result<()> {
    check(call!(FCNTL, fd(file), 2, usize::from(value))).map(drop)
}

/// fcntl(2) F_DUPFD_CLOEXEC: a copy of a descriptor numbered at least `from`.
pub fn duplicate_from(file: i32, from: i32) -> Result<i32> {
    descriptor(call!(FCNTL, fd(file), 1030, fd(from)))
}

/// dup3(2) without O_CLOEXEC; the same number just loses its close-on-exec.
pub fn duplicate_onto(from: i32, to: i32) -> Result<()> {
    if from == to {
        return set_close_on_exec(to, false);
    }
    check(call!(DUP3, fd(from), fd(to), 0)).map(drop)
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC.
pub fn close_on_exec_from(first: u32) -> Result<()> {
    check(call!(CLOSE_RANGE, first as usize, u32::MAX as usize, 4)).map(drop)
}

/// ioctl(2) with a number as its argument.
pub fn ioctl_value(file: i32, request: u32, value: usize) -> Result<usize> {
    check(call!(IOCTL, fd(file), request as usize, value))
}

/// ioctl(2) with a pointer to its argument.
pub fn ioctl<T>(file: i32, request: u32, argument: &mut T) -> Result<usize> {
    check(call!(IOCTL, fd(file), request as usize, core::ptr::from_mut(argument) as usize))
}

/// socket(2) with SOCK_CLOEXEC.
pub fn socket(domain: i32, kind: i32) -> Result<i32> {
    descriptor(call!(SOCKET, fd(domain), fd(kind | open::CLOEXEC), 0))
}

/// accept4(2) with SOCK_CLOEXEC.
pub fn accept(listener: i32) -> Result<i32> {
    retry(|| descriptor(call!(ACCEPT4, fd(listener), 0, 0, fd(open::CLOEXEC))))
}

/// recvfrom(2) of one packet; its length, or 0 when the peer is gone.
pub fn receive(socket: i32, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check(call!(RECVFROM, fd(socket), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0)))
}

/// sendmsg(2) of one packet, with a descriptor when `attached` is not negative.
pub fn send(socket: i32, packet: &[u8], attached: i32) -> Result<()> {
    #[repr(C, align(8))]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
        padding: i32,
    }
    #[repr(C)]
    struct Header {
        name: usize,
        name_length: u32,
        iov: usize,
        iov_count: usize,
        control: usize,
        control_length: usize,
        flags: i32,
    }
    let control = Control { length: 20, level: 1, kind: 1, fd: attached, padding: 0 };
    let iov = [packet.as_ptr() as usize, packet.len()];
    let with_control = attached >= 0;
    let header = Header {
        name: 0,
        name_length: 0,
        iov: iov.as_ptr() as usize,
        iov_count: 1,
        control: if with_control { &raw const control as usize } else { 0 },
        control_length: if with_control { size_of::<Control>() } else { 0 },
        flags: 0,
    };
    retry(|| check(call!(SENDMSG, fd(socket), &raw const header as usize, 0x4000))).map(drop)
}

/// ppoll(2) of one descriptor for reading; false on time-out.
pub fn readable_within(file: i32, seconds: i64) -> Result<bool> {
    let mut entry = [file, 1];
    let timeout = [seconds, 0];
    let count = retry(|| check(call!(PPOLL, entry.as_mut_ptr() as usize, 1, timeout.as_ptr() as usize, 0, 8)))?;
    Ok(count > 0)
}

/// pipe2(2) with O_CLOEXEC: read end, write end.
pub fn pipe() -> Result<(i32, i32)> {
    let mut ends = [0i32; 2];
    check(call!(PIPE2, ends.as_mut_ptr() as usize, fd(open::CLOEXEC)))?;
    Ok((ends[0], ends[1]))
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

/// A zeroed private mapping of at least `length` bytes, kept until exec.
pub fn map_memory(length: usize) -> Result<&'static mut [u8]> {
    let address = check(call!(MMAP, 0, length, 3, 0x22, usize::MAX, 0))?;
    // SAFETY: the kernel just made this mapping for us, readable and writable, zeroed, and nothing ever unmaps it.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, length) })
}

/// A zeroed array of `count` words, kept until exec.
pub fn map_words(count: usize) -> Result<&'static mut [usize]> {
    let address = check(call!(MMAP, 0, count.max(1) * size_of::<usize>(), 3, 0x22, usize::MAX, 0))?;
    // SAFETY: as in `map_memory`; a mapping is page-aligned.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut usize, count) })
}

/// The content of a file, mapped read-only, kept until exec.
pub fn map_file(file: i32, length: usize) -> Result<&'static [u8]> {
    let address = check(call!(MMAP, 0, length, 1, 2, fd(file), 0))?;
    // SAFETY: a private read-only mapping of a sealed memfd: it can neither change nor shrink.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, length) })
}

/// The C string at an address.
///
/// # Safety
/// The address must be that of a NUL-terminated string that lives until exec (argv).
pub unsafe fn string_at(address: usize) -> &'static CStr {
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(address as *const core::ffi::c_char) }
}

/// The size of a regular file.
pub fn file_size(file: i32) -> Result<usize> {
    let mut raw = [0u64; 18];
    check(call!(NEWFSTATAT, fd(file), cstr(c""), raw.as_mut_ptr() as usize, 0x1000))?;
    usize::try_from(raw[6]).map_err(|_| Errno::INVAL)
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

/// close_range(2): closes at once.
pub fn close_everything_from(first: u32) -> Result<()> {
    check(call!(CLOSE_RANGE, first as usize, u32::MAX as usize, 0)).map(drop)
}
