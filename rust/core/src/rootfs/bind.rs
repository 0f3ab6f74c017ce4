//! Bind sources: opened by the parent as detached mounts, with their attributes and id maps already on.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::LinuxIdMapping;
use pyctr_init::sys;
use rustix::io::Errno;

use crate::plan::mount::Options;
use crate::sys::{errno_of, own};
use crate::{Error, Kind, Result};

/// A detached mount and whether it is a directory.
#[derive(Debug)]
pub struct Source {
    /// The mount.
    pub mount: OwnedFd,
    /// Directory or file.
    pub directory: bool,
}

/// Opens a bind source as the options ask.
pub fn open(
    source: &Path,
    target: &str,
    options: &Options,
    mappings: Option<&(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)>,
) -> Result<Source> {
    let text = super::c_path(source)?;
    let mount = own(sys::clone_mount(sys::AT_FDCWD, &text, options.recursive)).map_err(|errno| {
        let error = Error::kernel("open bind source", source, errno);
        if errno == Errno::NOENT { error.with_kind(Kind::NotFound) } else { error }
    })?;
    let raw = mount.as_fd().as_raw_fd();
    let directory = sys::fstat(raw).map_err(|errno| Error::kernel("stat", source, errno_of(errno)))?.mode & sys::S_IFMT
        == sys::S_IFDIR;
    if target == "/proc" && sys::filesystem_type(raw) != Ok(sys::magic::PROC) {
        return Err(Error::invalid("bind mount on", "/proc", format!("{} is not procfs", source.display())));
    }
    let fail = |errno| Error::kernel("set mount attributes of", source, errno);
    if let Some((uids, gids)) = mappings {
        let namespace = crate::process::id_map::namespace_with(uids, gids)?;
        let recursive = options.idmap.unwrap_or(options.recursive);
        let userns = u64::try_from(namespace.as_raw_fd()).unwrap_or(0);
        sys::mount_setattr(raw, recursive, sys::attr::IDMAP, 0, 0, userns)
            .map_err(|errno| Error::kernel("map ids of", source, errno_of(errno)))?;
    }
    super::set_attributes(&mount, false, options.set, options.clear).map_err(fail)?;
    super::set_attributes(&mount, true, options.recursive_set, options.recursive_clear).map_err(fail)?;
    Ok(Source { mount, directory })
}
