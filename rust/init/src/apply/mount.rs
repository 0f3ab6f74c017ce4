//! Mounts: new ones, detached ones of the parent, masks, the root itself.

use core::ffi::CStr;

use super::Context;
use super::resolve::{self, PathBuffer};
use crate::codec::Strings;
use crate::sys::{self, Errno, Result, attr, magic, open};

/// Device number of /dev/null, major 1 minor 3.
const NULL_DEVICE: u64 = 0x103;
const MS_REC: u64 = 0x4000;
const MS_SLAVE: u64 = 0x8_0000;

impl Context {
    pub(super) fn attach_root(&mut self, fd: i32, target: &CStr, propagation: u64) -> Result<()> {
        sys::move_mount(fd, sys::AT_FDCWD, target)?;
        if propagation != 0 {
            sys::mount_setattr(fd, true, 0, 0, propagation, 0)?;
        }
        self.root = fd;
        Ok(())
    }

    pub(super) fn open_root_here(&mut self) -> Result<()> {
        self.root = sys::openat(sys::AT_FDCWD, c"/", open::PATH | open::DIRECTORY, 0)?;
        Ok(())
    }

    /// Makes a file system instance, attached nowhere yet.
    pub(super) fn mount(fstype: &CStr, source: &CStr, options: Strings<'_>, attributes: u64) -> Result<i32> {
        let context = sys::fsopen(fstype)?;
        let result = configure(context, source, options).and_then(|()| sys::fsmount(context, attributes));
        sys::close(context);
        result
    }

    /// Attaches a new instance at its target.
    pub(super) fn place(&self, mount: i32, target: &CStr, strict: bool, propagation: u64) -> Result<()> {
        let directory = resolve::make_directory(self.root, target, 0o755)?;
        let directory = if strict { verify_no_links(self.root, target, directory)? } else { directory };
        let result = refuse_procfs(directory, strict).and_then(|()| sys::move_mount(mount, directory, c""));
        sys::close(directory);
        result?;
        set_propagation(mount, propagation)
    }

    pub(super) fn attach(
        &self,
        fd: i32,
        target: &CStr,
        directory: bool,
        propagation: u64,
        on_proc: bool,
    ) -> Result<()> {
        let place = if directory {
            resolve::make_directory(self.root, target, 0o755)?
        } else {
            resolve::make_file(self.root, target, false)?
        };
        let result = refuse_procfs(place, on_proc).and_then(|()| sys::move_mount(fd, place, c""));
        sys::close(place);
        result?;
        set_propagation(fd, propagation)?;
        sys::close(fd);
        Ok(())
    }

    pub(super) fn set_attributes(&self, target: &CStr, set: u64, clear: u64, recursive: bool) -> Result<()> {
        let mount = resolve::open_path(self.root, target, false)?;
        let result = sys::mount_setattr(mount, recursive, set, clear, 0, 0);
        sys::close(mount);
        result
    }

    pub(super) fn mask(&mut self, path: &CStr) -> Result<()> {
        let place = match resolve::open_path(self.root, path, false) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let is_directory = sys::fstat(place)?.mode & sys::S_IFMT == sys::S_IFDIR;
        let result = if is_directory { self.cover_directory(place) } else { self.cover_file(place) };
        sys::close(place);
        result
    }

    /// All masked directories show one empty read-only tmpfs. Before Linux 6.15 a mount can be copied only once it is
    /// attached somewhere, so the first is the mount itself and the others are its copies.
    fn cover_directory(&mut self, place: i32) -> Result<()> {
        if self.empty >= 0 {
            return cover(self.empty, place);
        }
        let mount = Self::mount(c"tmpfs", c"tmpfs", Strings::new(&[]), attr::RDONLY)?;
        sys::move_mount(mount, place, c"")?;
        self.empty = mount;
        Ok(())
    }

    fn cover_file(&mut self, place: i32) -> Result<()> {
        cover(self.null_device()?, place)
    }

    /// The container's own /dev/null, which must be one: a link or a file put in its place by the image would be bound
    /// over the masked path (CVE-2025-31133).
    fn null_device(&mut self) -> Result<i32> {
        if self.null < 0 {
            let null = resolve::open_path(self.root, c"/dev/null", true)?;
            let stat = sys::fstat(null)?;
            if stat.mode & sys::S_IFMT != sys::S_IFCHR || stat.rdev != NULL_DEVICE {
                return Err(Errno::INVAL);
            }
            self.null = null;
        }
        Ok(self.null)
    }

    pub(super) fn make_readonly(&self, path: &CStr) -> Result<()> {
        let place = match resolve::open_path(self.root, path, false) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        };
        let copy = sys::clone_mount(place, c"", true)?;
        let result =
            sys::mount_setattr(copy, true, attr::RDONLY, 0, 0, 0).and_then(|()| sys::move_mount(copy, place, c""));
        sys::close(copy);
        sys::close(place);
        result
    }

    pub(super) fn pivot_root(&mut self, no_pivot: bool, shared: bool) -> Result<()> {
        sys::fchdir(self.root)?;
        if no_pivot {
            // On a ramfs root pivot_root is impossible: move the mount over the root and chroot into it. What the host
            // mounted on /proc and /sys must not stay reachable beneath.
            let _ = sys::unmount_detach(c"/proc");
            let _ = sys::unmount_detach(c"/sys");
            sys::mount(c".", c"/", c"", 0x2000)?;
            sys::chroot_here()?;
        } else {
            sys::pivot_root_here()?;
            if shared {
                // The unmount below must not propagate to the host.
                sys::mount(c"", c".", c"", MS_SLAVE | MS_REC)?;
            }
            sys::unmount_detach(c".")?;
        }
        sys::chdir(c"/")
    }
}

/// Attaches a copy of what a descriptor stands for.
fn cover(with: i32, place: i32) -> Result<()> {
    let copy = sys::clone_mount(with, c"", false)?;
    let result = sys::move_mount(copy, place, c"");
    sys::close(copy);
    result
}

fn configure(context: i32, source: &CStr, options: Strings<'_>) -> Result<()> {
    if !source.is_empty() {
        sys::fsconfig_string(context, c"source", source)?;
    }
    for option in options.iter() {
        let bytes = option.to_bytes();
        match bytes.iter().position(|&byte| byte == b'=') {
            None => sys::fsconfig_flag(context, option)?,
            Some(equals) => {
                let mut key = PathBuffer::new();
                let value =
                    CStr::from_bytes_with_nul(&option.to_bytes_with_nul()[equals + 1..]).map_err(|_| Errno::INVAL)?;
                sys::fsconfig_string(context, key.set(&bytes[..equals])?, value)?;
            }
        }
    }
    sys::fsconfig_create(context)
}

/// The same path resolved without following any link must be the same directory (CVE-2019-19921, CVE-2023-27561).
fn verify_no_links(root: i32, target: &CStr, followed: i32) -> Result<i32> {
    sys::close(followed);
    resolve::open_path(root, target, true)
}

/// Nothing is mounted over /proc but what the plan allows (CVE-2019-16884, CVE-2023-28642); a link in the image that leads there is seen here.
fn refuse_procfs(place: i32, allowed: bool) -> Result<()> {
    if !allowed && sys::filesystem_type(place)? == magic::PROC { Err(Errno::PERM) } else { Ok(()) }
}

fn set_propagation(mount: i32, propagation: u64) -> Result<()> {
    if propagation == 0 {
        return Ok(());
    }
    sys::mount_setattr(mount, propagation & MS_REC != 0, 0, 0, propagation & !MS_REC, 0)
}
