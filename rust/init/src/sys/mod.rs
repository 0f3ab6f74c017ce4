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
        // SAFETY: each caller here and in the files below passes live references or plain numbers of the types the system call documents.
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

fn retry<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match attempt() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

// After the macro, which they use.
mod file;
mod memory;
mod mount;
mod process;
mod socket;
pub use file::*;
pub use memory::*;
pub use mount::*;
pub use process::*;
pub use socket::*;
