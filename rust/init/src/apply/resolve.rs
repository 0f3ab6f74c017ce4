//! Paths inside the root: resolved by descriptor, never out of it (CVE-2021-30465, CVE-2024-45310).

use core::ffi::CStr;

use crate::sys::{self, Errno, Result, open};

const PATH_MAX: usize = 4096;

/// In-root symbolic links are followed as in a chroot; magic links never.
const IN_ROOT: u64 = open::RESOLVE_IN_ROOT | open::RESOLVE_NO_MAGICLINKS;

/// A NUL-terminated copy of part of a path.
pub(super) struct PathBuffer {
    bytes: [u8; PATH_MAX],
}

impl PathBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: [0; PATH_MAX] }
    }

    /// Copies `path`; ENAMETOOLONG when it does not fit.
    pub(super) fn set(&mut self, path: &[u8]) -> Result<&CStr> {
        self.bytes.get_mut(..path.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(path);
        *self.bytes.get_mut(path.len()).ok_or(Errno::NAMETOOLONG)? = 0;
        CStr::from_bytes_with_nul(&self.bytes[..=path.len()]).map_err(|_| Errno::INVAL)
    }

    /// Joins a directory and a name.
    pub(super) fn join(&mut self, directory: &[u8], name: &[u8]) -> Result<&CStr> {
        let length = directory.len() + 1 + name.len();
        if length >= PATH_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.bytes[..directory.len()].copy_from_slice(directory);
        self.bytes[directory.len()] = b'/';
        self.bytes[directory.len() + 1..length].copy_from_slice(name);
        self.bytes[length] = 0;
        CStr::from_bytes_with_nul(&self.bytes[..=length]).map_err(|_| Errno::INVAL)
    }
}

/// Opens what exists at a path, as an O_PATH descriptor.
pub(super) fn open_path(root: i32, path: &CStr, strict: bool) -> Result<i32> {
    let resolve = IN_ROOT | if strict { open::RESOLVE_NO_SYMLINKS } else { 0 };
    sys::openat2(root, path, open::PATH, 0, resolve)
}

/// Opens a file inside the root for input or output.
pub(super) fn open_file(root: i32, path: &CStr, flags: i32) -> Result<i32> {
    sys::openat2(root, path, flags, 0, IN_ROOT | open::RESOLVE_NO_SYMLINKS)
}

/// The directory part and the last name of a cleaned absolute path.
pub(super) fn split(path: &CStr) -> (&[u8], &[u8]) {
    let bytes = path.to_bytes();
    match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (b"/", &bytes[1..]),
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None => (b"/", bytes),
    }
}

/// Opens a directory, making what is missing of it with `mode`.
pub(super) fn make_directory(root: i32, path: &CStr, mode: u32) -> Result<i32> {
    let flags = open::PATH | open::DIRECTORY;
    match sys::openat2(root, path, flags, 0, IN_ROOT) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let bytes = path.to_bytes();
    let mut buffer = PathBuffer::new();
    let mut parent = sys::openat2(root, c"/", flags, 0, IN_ROOT)?;
    let mut end = 0;
    while end < bytes.len() {
        let start = end + bytes[end..].iter().take_while(|&&byte| byte == b'/').count();
        end = start + bytes[start..].iter().take_while(|&&byte| byte != b'/').count();
        if start == end {
            break;
        }
        let next = match sys::openat2(root, buffer.set(&bytes[..end])?, flags, 0, IN_ROOT) {
            Err(Errno::NOENT) => make_one(parent, buffer.set(&bytes[start..end])?, mode),
            other => other,
        };
        sys::close(parent);
        parent = next?;
    }
    Ok(parent)
}

fn make_one(parent: i32, name: &CStr, mode: u32) -> Result<i32> {
    match sys::mkdirat(parent, name, mode) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    // O_NOFOLLOW: what was just made is a directory; a dangling link of this name is an error, not a way out.
    sys::openat(parent, name, open::PATH | open::DIRECTORY | open::NOFOLLOW, 0)
}

/// Opens a file as O_PATH, making an empty one where nothing is; `strict` refuses a path with links in it.
pub(super) fn make_file(root: i32, path: &CStr, strict: bool) -> Result<i32> {
    match open_path(root, path, strict) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let (directory, name) = split(path);
    let mut buffer = PathBuffer::new();
    let parent = make_directory(root, buffer.set(directory)?, 0o755)?;
    let result = sys::openat(parent, buffer.set(name)?, open::CREAT | open::EXCL | open::NOFOLLOW, 0o644);
    sys::close(parent);
    result
}
