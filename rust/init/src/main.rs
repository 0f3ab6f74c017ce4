//! The freestanding binary: `pyctr-init OPS_FD CHANNEL_FD`, executed from a sealed memfd.
#![no_std]
#![no_main]
#![allow(unsafe_code)]

use core::ffi::CStr;

use pyctr_init::{apply, sys};

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {main}", "brk #1", main = sym main);

const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_NAME: u32 = 15;
const USAGE: i32 = 125;

/// What `_start` calls with the initial stack: argc, argv.
extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the kernel laid argc and the argv pointers out here (System V ABI, "Initial Stack").
    let (count, first, second) = unsafe { (*stack, *stack.add(2), *stack.add(3)) };
    if count != 3 {
        sys::exit(USAGE);
    }
    // SAFETY: argv strings are NUL-terminated and live until exec.
    let (ops, channel) = unsafe { (sys::string_at(first), sys::string_at(second)) };
    let (Some(ops), Some(channel)) = (number(ops), number(channel)) else { sys::exit(USAGE) };
    // No process of a container that is joined may look into this one: its descriptors are the host's (CVE-2016-9962).
    let _ = sys::prctl(PR_SET_DUMPABLE, [0; 4]);
    let _ = sys::prctl(PR_SET_NAME, [c"pyctr-init".as_ptr() as usize, 0, 0, 0]);
    let list = sys::file_size(ops).and_then(|size| sys::map_file(ops, size));
    sys::close(ops);
    match list {
        Ok(list) => {
            let _ = sys::set_close_on_exec(channel, true);
            apply::run(list, channel)
        }
        Err(_) => sys::exit(USAGE),
    }
}

fn number(text: &CStr) -> Option<i32> {
    core::str::from_utf8(text.to_bytes()).ok()?.parse().ok()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(USAGE)
}

/// The memory functions the compiler calls; there is no libc to bring them.
mod memory {
    #[cfg(target_arch = "x86_64")]
    use core::arch::asm;

    /// # Safety
    /// As C's memcpy.
    #[unsafe(no_mangle)]
    #[cfg(target_arch = "x86_64")]
    unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
        // SAFETY: promised by the caller; the string instruction touches just those bytes.
        unsafe {
            asm!("rep movsb", inout("rcx") count => _, inout("rdi") target => _, inout("rsi") source => _, options(nostack, preserves_flags));
        }
        target
    }

    /// # Safety
    /// As C's memset.
    #[unsafe(no_mangle)]
    #[cfg(target_arch = "x86_64")]
    unsafe extern "C" fn memset(target: *mut u8, byte: i32, count: usize) -> *mut u8 {
        // SAFETY: promised by the caller; the string instruction touches just those bytes.
        unsafe {
            asm!("rep stosb", inout("rcx") count => _, inout("rdi") target => _, in("al") byte as u8, options(nostack, preserves_flags));
        }
        target
    }

    /// # Safety
    /// As C's memcpy. Volatile, so that the compiler does not turn the loop into a call of itself.
    #[unsafe(no_mangle)]
    #[cfg(target_arch = "aarch64")]
    unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
        for index in 0..count {
            // SAFETY: promised by the caller.
            unsafe { target.add(index).write_volatile(source.add(index).read_volatile()) };
        }
        target
    }

    /// # Safety
    /// As C's memset.
    #[unsafe(no_mangle)]
    #[cfg(target_arch = "aarch64")]
    unsafe extern "C" fn memset(target: *mut u8, byte: i32, count: usize) -> *mut u8 {
        for index in 0..count {
            // SAFETY: promised by the caller.
            unsafe { target.add(index).write_volatile(byte as u8) };
        }
        target
    }

    /// # Safety
    /// As C's memmove.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
        if (target as usize) <= source as usize {
            for index in 0..count {
                // SAFETY: promised by the caller; forward is right when the target lies below.
                unsafe { target.add(index).write_volatile(source.add(index).read_volatile()) };
            }
        } else {
            for index in (0..count).rev() {
                // SAFETY: promised by the caller; backward is right when the target lies above.
                unsafe { target.add(index).write_volatile(source.add(index).read_volatile()) };
            }
        }
        target
    }

    /// # Safety
    /// As C's memcmp.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        for index in 0..count {
            // SAFETY: promised by the caller.
            let (a, b) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    /// # Safety
    /// As bcmp.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        // SAFETY: promised by the caller.
        unsafe { memcmp(left, right, count) }
    }

    /// # Safety
    /// As C's strlen.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: promised by the caller: NUL-terminated.
        while unsafe { text.add(length).read_volatile() } != 0 {
            length += 1;
        }
        length
    }
}
