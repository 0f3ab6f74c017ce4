//! Mappings that last until exec.

use core::ffi::CStr;

use super::{Result, arch, check, fd, nr, pad};

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
