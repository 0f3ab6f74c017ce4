//! Files, directories and descriptors.

use core::ffi::CStr;

use super::{AT_FDCWD, Errno, Result, arch, check, cstr, descriptor, fd, nr, pad, retry};

/// read(2), retried on EINTR.
pub fn read(file: i32, buffer: &mut [u8]) -> Result<usize> {
    retry(|| check(call!(READ, fd(file), buffer.as_mut_ptr() as usize, buffer.len())))
}

/// write(2) of the whole buffer in one call, retried on EINTR; a short write is EPROTO (procfs and cgroupfs take all or nothing).
pub fn write(file: i32, buffer: &[u8]) -> Result<()> {
    let written = retry(|| check(call!(WRITE, fd(file), buffer.as_ptr() as usize, buffer.len())))?;
    if written == buffer.len() { Ok(()) } else { Err(Errno::PROTO) }
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

/// pipe2(2) with O_CLOEXEC: read end, write end.
pub fn pipe() -> Result<(i32, i32)> {
    let mut ends = [0i32; 2];
    check(call!(PIPE2, ends.as_mut_ptr() as usize, fd(open::CLOEXEC)))?;
    Ok((ends[0], ends[1]))
}

/// The size of a regular file.
pub fn file_size(file: i32) -> Result<usize> {
    let mut raw = [0u64; 18];
    check(call!(NEWFSTATAT, fd(file), cstr(c""), raw.as_mut_ptr() as usize, 0x1000))?;
    usize::try_from(raw[6]).map_err(|_| Errno::INVAL)
}

/// close_range(2): closes at once.
pub fn close_everything_from(first: u32) -> Result<()> {
    check(call!(CLOSE_RANGE, first as usize, u32::MAX as usize, 0)).map(drop)
}
