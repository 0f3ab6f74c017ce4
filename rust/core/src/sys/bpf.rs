//! bpf(2): loading a device program and attaching it to a v2 control group.
use std::ffi::c_long;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

// linux/bpf.h: enum bpf_cmd, bpf_prog_type, bpf_attach_type, flags.
/// One instruction, `struct bpf_insn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination in the low four bits, source in the high four.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

const PROG_LOAD: c_long = 5;
const PROG_ATTACH: c_long = 8;
const PROG_DETACH: c_long = 9;
const PROG_GET_FD_BY_ID: c_long = 13;
const OBJ_GET_INFO_BY_FD: c_long = 15;
const PROG_QUERY: c_long = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// The name's room in the kernel, terminating zero included.
const NAME_LENGTH: usize = 16;
/// More programs than the kernel lets one group have (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: usize = 64;

/// `union bpf_attr` for `BPF_PROG_LOAD`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LENGTH],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// For `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// For `BPF_PROG_QUERY`.
#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// For `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
#[derive(Default)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// For `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to and with the name.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME_LENGTH],
}

/// Attributes that bpf(2) takes: plain integers, C layout.
trait Attr {}
impl Attr for LoadAttr {}
impl Attr for AttachAttr {}
impl Attr for QueryAttr {}
impl Attr for IdAttr {}
impl Attr for InfoAttr {}

fn bpf<A: Attr>(command: c_long, attr: &mut A) -> rustix::io::Result<c_long> {
    // SAFETY: `attr` is a live, initialised `#[repr(C)]` prefix of `union bpf_attr` of the length given, and the kernel treats
    // what lies beyond as zero. The addresses within were taken from buffers that outlive the call, with their lengths.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>()) };
    if result < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(result)
}

fn bpf_fd<A: Attr>(command: c_long, attr: &mut A) -> rustix::io::Result<OwnedFd> {
    let fd = RawFd::try_from(bpf(command, attr)?).map_err(|_| Errno::BADF)?;
    // SAFETY: these commands return a new descriptor (close-on-exec) that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

fn address<T>(buffer: &[T]) -> u64 {
    buffer.as_ptr() as u64
}

fn mutable_address<T>(buffer: &mut [T]) -> u64 {
    buffer.as_mut_ptr() as u64
}

fn load(program: &[Instruction], name: &str) -> rustix::io::Result<OwnedFd> {
    let mut attr = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: address(program),
        license: address(b"Apache-2.0\0"),
        expected_attach_type: CGROUP_DEVICE,
        ..LoadAttr::default()
    };
    let name = &name.as_bytes()[..name.len().min(NAME_LENGTH - 1)];
    attr.prog_name[..name.len()].copy_from_slice(name);
    match bpf_fd(PROG_LOAD, &mut attr) {
        // Before Linux 5.11 programs count as locked memory, of which 64 KiB are usual.
        Err(Errno::PERM) => {
            let unlimited = Rlimit { current: None, maximum: None };
            rustix::process::setrlimit(Resource::Memlock, unlimited).map_err(|_| Errno::PERM)?;
            bpf_fd(PROG_LOAD, &mut attr)
        }
        result => result,
    }
}

/// The programs attached to a group that bear a name.
fn attached(group: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut query = QueryAttr {
        target_fd: number(group),
        attach_type: CGROUP_DEVICE,
        prog_ids: mutable_address(&mut ids),
        prog_cnt: u32::try_from(MOST_PROGRAMS).unwrap_or_default(),
        ..QueryAttr::default()
    };
    bpf(PROG_QUERY, &mut query)?;
    let count = usize::try_from(query.prog_cnt).unwrap_or_default().min(MOST_PROGRAMS);
    let mut programs = Vec::new();
    for id in &ids[..count] {
        let program = match bpf_fd(PROG_GET_FD_BY_ID, &mut IdAttr { id: *id, ..IdAttr::default() }) {
            Ok(program) => program,
            Err(Errno::NOENT) => continue, // gone meanwhile
            Err(errno) => return Err(errno),
        };
        let mut info = [ProgramInfo::default()];
        let mut attr = InfoAttr {
            bpf_fd: number(&program),
            info_len: u32::try_from(size_of::<ProgramInfo>()).unwrap_or_default(),
            info: mutable_address(&mut info),
        };
        bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
        let held = info[0].name.split(|byte| *byte == 0).next().unwrap_or_default();
        if held == name.as_bytes() {
            programs.push(program);
        }
    }
    Ok(programs)
}

/// Loads a program under a name and attaches it to a v2 group's directory.
///
/// Unless the group is fresh, the programs of that name attached before are replaced: the first atomically (Linux 5.6), any further ones
/// detached after. Programs of other names (systemd's) stay; every one must allow an access. The program lives as long as the group.
///
/// # Errors
/// EPERM without `CAP_BPF`/`CAP_SYS_ADMIN` or inside a user namespace; EINVAL where the kernel has no `CONFIG_CGROUP_BPF`.
pub(crate) fn attach_device_program(
    group: impl AsFd,
    program: &[Instruction],
    name: &str,
    fresh: bool,
) -> rustix::io::Result<()> {
    let group = group.as_fd();
    let program = load(program, name)?;
    let before = if fresh { Vec::new() } else { attached(group, name)? };
    let mut attr = AttachAttr {
        target_fd: number(group),
        attach_bpf_fd: number(&program),
        attach_type: CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
        ..AttachAttr::default()
    };
    let mut left = before.iter();
    if let Some(first) = left.next() {
        attr.attach_flags |= REPLACE;
        attr.replace_bpf_fd = number(first);
        if bpf(PROG_ATTACH, &mut attr) == Err(Errno::INVAL) {
            // Without REPLACE both must allow for a moment: stricter, never looser.
            attr.attach_flags = ALLOW_MULTI;
            attr.replace_bpf_fd = 0;
            left = before.iter();
            bpf(PROG_ATTACH, &mut attr)?;
        }
    } else {
        bpf(PROG_ATTACH, &mut attr)?;
    }
    for old in left {
        let mut attr = AttachAttr {
            target_fd: number(group),
            attach_bpf_fd: number(old),
            attach_type: CGROUP_DEVICE,
            ..AttachAttr::default()
        };
        bpf(PROG_DETACH, &mut attr)?;
    }
    Ok(())
}
