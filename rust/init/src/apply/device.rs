//! Device nodes and the links beside them.

use core::ffi::CStr;

use super::Context;
use super::resolve::{self, PathBuffer};
use crate::sys::{self, Errno, Result};

impl Context {
    pub(super) fn device(&self, path: &CStr, mode: u32, device: u64, uid: u32, gid: u32, bind_fd: i32) -> Result<()> {
        if bind_fd >= 0 {
            return self.attach(bind_fd, path, false, 0, false);
        }
        let (directory, name) = resolve::split(path);
        let mut buffer = PathBuffer::new();
        let parent = resolve::make_directory(self.root, buffer.set(directory)?, 0o755)?;
        let name = buffer.set(name)?;
        let result = match sys::mknodat(parent, name, mode, device) {
            Ok(()) if uid != 0 || gid != 0 => sys::chown(parent, name, uid, gid),
            Err(Errno::EXIST) => Ok(()),
            other => other,
        };
        sys::close(parent);
        result
    }

    pub(super) fn symlink(&self, path: &CStr, target: &CStr) -> Result<()> {
        let (directory, name) = resolve::split(path);
        let mut buffer = PathBuffer::new();
        let parent = resolve::make_directory(self.root, buffer.set(directory)?, 0o755)?;
        let result = match sys::symlinkat(target, parent, buffer.set(name)?) {
            Err(Errno::EXIST) => Ok(()),
            other => other,
        };
        sys::close(parent);
        result
    }
}
