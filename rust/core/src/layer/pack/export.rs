//! Whole trees as archives: a container's root file system, and a path of it.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::entries::{Packed, Packer};
use super::stack::{Directory, Found, Stack, join};
use super::walk::{Visitor, walk};
use super::{Options, Written, stream};
use crate::layer::chunks::ChunkWriter;
use crate::layer::tree::failed;
use crate::{Error, Kind, Result};

/// Writes the merged tree of `layers` (topmost first) to `sink`, without an entry for its root.
pub fn export(layers: &[BorrowedFd<'_>], sink: &mut (impl Write + Send), options: Options<'_>) -> Result<Written> {
    let stack = Stack::new(layers, options.whiteouts);
    let target = options.extract_to.map(|root| (root, options.whiteouts));
    let (packed, digests) = stream::write_stream(sink, options.compression, target, |out| {
        let mut visitor = Everything { packer: Packer::new(out, options.clamp_mtime), prefix: Vec::new() };
        walk(&stack, stack.root()?, &mut visitor)?;
        visitor.packer.finish()
    })?;
    Ok(Written { digests, packed })
}

/// What of a tree goes into an archive, and what it is called there.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    /// Below the root; links in it lead inside.
    pub path: &'a [u8],
    /// Its name in the archive.
    pub name: &'a [u8],
    /// Whether a link as the last component is followed.
    pub follow: bool,
    /// Only what is in the directory, not the directory.
    pub contents: bool,
}

/// Writes what a path below `root` leads to, with all that is below it and mounted there, to `sink`.
pub fn archive(
    root: BorrowedFd<'_>,
    what: Path<'_>,
    sink: &mut (impl Write + Send),
    options: Options<'_>,
) -> Result<Written> {
    let node = resolve(root, what)?;
    let target = options.extract_to.map(|root| (root, options.whiteouts));
    let (packed, digests) =
        stream::write_stream(sink, options.compression, target, |out| pack(&node, what, out, options))?;
    Ok(Written { digests, packed })
}

fn resolve(root: BorrowedFd<'_>, what: Path<'_>) -> Result<OwnedFd> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !what.follow);
    let path = CString::new(what.path).map_err(|_| Error::invalid("read", "path", "NUL in it"))?;
    let path = if what.path.iter().all(|&byte| byte == b'/') { c"." } else { path.as_c_str() };
    loop {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => {
                return Err(failed(what.path, "open")(errno).with_kind(Kind::NotFound));
            }
            other => return other.map_err(|errno| failed(what.path, "open")(errno).with_kind(Kind::Kernel)),
        }
    }
}

fn pack(node: &OwnedFd, what: Path<'_>, out: &mut ChunkWriter, options: Options<'_>) -> Result<Packed> {
    let mut packer = Packer::new(out, options.clamp_mtime);
    let kind = if what.contents {
        FileType::Directory
    } else {
        packer.add_node(node, what.name)?.unwrap_or(FileType::Unknown)
    };
    if kind != FileType::Directory {
        return packer.finish();
    }
    let prefix = if what.contents { Vec::new() } else { what.name.to_vec() };
    let mut visitor = Everything { packer, prefix };
    let stack = Stack::with_mounts(std::os::fd::AsFd::as_fd(node));
    walk(&stack, stack.root()?, &mut visitor)?;
    visitor.packer.finish()
}

struct Everything<'a> {
    packer: Packer<'a>,
    prefix: Vec<u8>,
}

impl Visitor for Everything<'_> {
    fn visit(&mut self, directory: &Directory, name: &CString, found: &Found, path: &[u8]) -> Result<bool> {
        let kind = if self.prefix.is_empty() {
            self.packer.add(directory.part(found), name, path, found.kind())?
        } else {
            self.packer.add(directory.part(found), name, &join(&self.prefix, path), found.kind())?
        };
        Ok(kind == Some(FileType::Directory))
    }
}
