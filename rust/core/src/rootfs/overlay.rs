//! Overlay mounts by the new mount API (Documentation/filesystems/overlayfs.rst), detached.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use pyctr_init::sys;
use rustix::io::Errno;

use crate::sys::{errno_of, own};
use crate::{Error, Kind, Result, rootless};

/// fsconfig(2) takes strings of at most this many bytes, the NUL included.
const STRING_MAX: usize = 256;

/// A file system being configured, and the directories whose descriptors stand for paths too long to say.
struct Context {
    fs: OwnedFd,
    opened: Vec<OwnedFd>,
}

impl Context {
    fn string(&self, key: &CStr, value: &CStr) -> std::result::Result<(), Errno> {
        sys::fsconfig_string(self.fs.as_raw_fd(), key, value).map_err(errno_of)
    }

    fn path(&mut self, key: &CStr, path: &Path) -> Result<()> {
        let text = if path.as_os_str().len() < STRING_MAX { super::c_path(path)? } else { self.descriptor_path(path)? };
        self.string(key, &text).map_err(|errno| Error::kernel("use as overlay layer", path, errno))
    }

    fn descriptor_path(&mut self, path: &Path) -> Result<CString> {
        let directory =
            rustix::fs::open(path, rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
                .map_err(|errno| Error::kernel("open layer", path, errno))?;
        let text = format!("/proc/self/fd/{}", directory.as_raw_fd());
        self.opened.push(directory);
        crate::plan::c_string("path", text.as_bytes())
    }
}

/// Makes a detached overlay of `lower` (topmost first) and `upper`.
///
/// `volatile` leaves out every sync: for contents that need not survive a power cut.
pub fn mount(lower: &[PathBuf], upper: &Path, work: &Path, volatile: bool) -> Result<OwnedFd> {
    if lower.is_empty() {
        return Err(Error::invalid("mount overlay", "", "no lower layer"));
    }
    let fs = match create(lower, upper, work, volatile, add_lower_one_by_one) {
        // Linux 6.5 brought `lowerdir+`; before, a word overlay does not know shows only when the mount is made.
        Err(error) if error.errno == Some(Errno::INVAL) => create(lower, upper, work, volatile, add_lower_at_once)?,
        other => other?,
    };
    own(sys::fsmount(fs.as_raw_fd(), 0)).map_err(|errno| Error::kernel("mount overlay of", upper, errno))
}

fn create(
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
    add_lower: fn(&mut Context, &[PathBuf]) -> Result<()>,
) -> Result<OwnedFd> {
    let fail = |errno| Error::kernel("mount overlay of", upper, errno);
    let fs = own(sys::fsopen(c"overlay")).map_err(fail)?;
    let mut context = Context { fs, opened: Vec::new() };
    context.string(c"source", c"overlay").map_err(fail)?;
    add_lower(&mut context, lower)?;
    context.path(c"upperdir", upper)?;
    context.path(c"workdir", work)?;
    if volatile {
        sys::fsconfig_flag(context.fs.as_raw_fd(), c"volatile").map_err(|errno| fail(errno_of(errno)))?;
    }
    if rootless::is_active() {
        // What overlay notes in attributes it notes in those that a user may write (Linux 5.11).
        sys::fsconfig_flag(context.fs.as_raw_fd(), c"userxattr").map_err(|errno| fail(errno_of(errno)))?;
    }
    sys::fsconfig_create(context.fs.as_raw_fd()).map_err(|errno| diagnose(lower, upper, work, errno_of(errno)))?;
    Ok(context.fs)
}

fn add_lower_one_by_one(context: &mut Context, lower: &[PathBuf]) -> Result<()> {
    lower.iter().try_for_each(|layer| context.path(c"lowerdir+", layer))
}

/// All layers in one string of 255 bytes, each as the path of its open descriptor, the shortest name it has.
fn add_lower_at_once(context: &mut Context, lower: &[PathBuf]) -> Result<()> {
    let mut paths = Vec::with_capacity(lower.len());
    for layer in lower {
        paths.push(context.descriptor_path(layer)?.into_bytes());
    }
    let joined = paths.join(&b':');
    if joined.len() < STRING_MAX {
        let text = crate::plan::c_string("path", &joined)?;
        return context.string(c"lowerdir", &text).map_err(|errno| Error::kernel("mount overlay of", &lower[0], errno));
    }
    Err(Error::new(
        Kind::InvalidArgument,
        "mount overlay",
        "",
        format!("{} layers are more than this kernel's mount interface takes", lower.len()),
    )
    .with_hint("Linux 6.5 and later take 500"))
}

/// The kernel says ENOENT without saying what; the user should hear which directory is missing.
fn diagnose(lower: &[PathBuf], upper: &Path, work: &Path, errno: Errno) -> Error {
    let missing = lower.iter().map(PathBuf::as_path).chain([upper, work]).find(|path| !path.is_dir());
    match missing {
        Some(path) => Error::kernel("mount overlay: open layer", path, errno).with_kind(Kind::NotFound),
        None => Error::kernel("mount overlay of", upper, errno),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn missing_layer_is_named() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for name in ["upper", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let missing = dir.path().join("gone");
        let error = mount(std::slice::from_ref(&missing), &dir.path().join("upper"), &dir.path().join("work"), false)
            .unwrap_err();
        assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    }

    #[test]
    fn overlay_shows_layers_without_being_mounted_anywhere() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(250);
        for name in ["a", &long, "upper", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("a/one"), "1").unwrap();
        std::fs::write(dir.path().join(&long).join("two"), "2").unwrap();
        let lower = [dir.path().join(&long), dir.path().join("a")];
        let root = mount(&lower, &dir.path().join("upper"), &dir.path().join("work"), true).unwrap();
        for name in ["one", "two"] {
            crate::rootfs::open_in_root(std::os::fd::AsFd::as_fd(&root), Path::new(name), sys::open::RDONLY).unwrap();
        }
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!table.contains(&dir.path().display().to_string()));
    }
}
