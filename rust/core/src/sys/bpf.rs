//! bpf(2), for device programs on cgroup v2.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const MAX_PROGRAMS: usize = 64;

/// `union bpf_attr`, as far as these commands look at it; unused parts must be zero.
#[repr(C, align(8))]
struct Attributes([u32; 32]);

impl Attributes {
    fn new(words: &[(usize, u32)], pointers: &[(usize, u64)]) -> Self {
        let mut attributes = Self([0; 32]);
        for (index, word) in words {
            attributes.0[*index] = *word;
        }
        for (index, pointer) in pointers {
            let bytes = pointer.to_ne_bytes();
            attributes.0[*index] = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            attributes.0[*index + 1] = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        }
        attributes
    }
}

fn call(command: libc::c_long, attributes: &mut Attributes) -> Result<i32, Errno> {
    // SAFETY: the attributes are as large as said, and what they point to outlives the call (see the callers).
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<Attributes>()) };
    if result < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL));
    }
    i32::try_from(result).map_err(|_| Errno::INVAL)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(0)
}

/// Loads a device program.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd, Errno> {
    let license = c"Apache-2.0";
    let count = u32::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    let pointers = [(2, instructions.as_ptr() as u64), (4, license.as_ptr() as u64)];
    let fd = call(PROG_LOAD, &mut Attributes::new(&[(0, TYPE_CGROUP_DEVICE), (1, count)], &pointers))?;
    // SAFETY: a fresh descriptor from the kernel.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup, beside those of its ancestors, all of which must agree.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<(), Errno> {
    let words =
        [(0, number(cgroup.as_fd())), (1, number(program.as_fd())), (2, ATTACH_CGROUP_DEVICE), (3, ALLOW_MULTI)];
    call(PROG_ATTACH, &mut Attributes::new(&words, &[])).map(drop)
}

/// Detaches a device program from a cgroup.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<(), Errno> {
    let words = [(0, number(cgroup.as_fd())), (1, number(program.as_fd())), (2, ATTACH_CGROUP_DEVICE)];
    call(PROG_DETACH, &mut Attributes::new(&words, &[])).map(drop)
}

/// The device programs attached to a cgroup itself.
pub fn device_programs(cgroup: impl AsFd) -> Result<Vec<OwnedFd>, Errno> {
    let mut ids = [0u32; MAX_PROGRAMS];
    let words = [(0, number(cgroup.as_fd())), (1, ATTACH_CGROUP_DEVICE), (6, 64)];
    let mut attributes = Attributes::new(&words, &[(4, ids.as_mut_ptr() as u64)]);
    call(PROG_QUERY, &mut attributes)?;
    let count = (attributes.0[6] as usize).min(MAX_PROGRAMS);
    ids[..count]
        .iter()
        .map(|id| {
            let fd = call(PROG_GET_FD_BY_ID, &mut Attributes::new(&[(0, *id)], &[]))?;
            // SAFETY: a fresh descriptor from the kernel.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}
