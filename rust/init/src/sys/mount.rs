//! Mounts, and the root directory.

use core::ffi::CStr;

use super::{Result, arch, check, cstr, descriptor, fd, nr, open, pad};

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
