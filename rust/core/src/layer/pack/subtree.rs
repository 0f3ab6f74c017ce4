//! One directory of a merged tree, copied: what a volume holds when it is first used.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Gid, Mode, Uid};

use super::entries::Packer;
use super::stack::{Directory, Found, Stack};
use super::walk::{Visitor, walk};
use super::{Compression, stream};
use crate::layer::Whiteouts;
use crate::layer::tree::failed;
use crate::{Error, Result};

/// Links followed before a path is given up (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Copies the directory at `path` of the merged `layers` (topmost first) into the empty directory `target`, which gets its mode
/// and owner; false if the tree has no directory there. Links in `path` lead inside the tree.
pub fn copy_directory(
    layers: &[BorrowedFd<'_>],
    path: &[u8],
    target: BorrowedFd<'_>,
    whiteouts: Whiteouts,
) -> Result<bool> {
    let stack = Stack::new(layers, whiteouts);
    let Some(directory) = find(&stack, path)? else { return Ok(false) };
    let stat = rustix::fs::fstat(directory.top()).map_err(failed(path, "look at"))?;
    let prefix = directory.path.len();
    stream::write_stream(&mut std::io::sink(), Compression::None, Some((target, whiteouts)), |out| {
        let mut visitor = Below { packer: Packer::new(out, None), prefix };
        walk(&stack, directory, &mut visitor)?;
        visitor.packer.finish()
    })?;
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    rustix::fs::fchown(target, owner.0, owner.1)
        .and_then(|()| rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode)))
        .map_err(failed(path, "copy"))?;
    Ok(true)
}

/// The directory a path of the merged tree leads to.
fn find(stack: &Stack<'_>, path: &[u8]) -> Result<Option<Directory>> {
    let mut names: VecDeque<Vec<u8>> = components(path);
    let mut walked = vec![stack.root()?];
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        let here = walked.last().ok_or_else(|| Error::invalid("find", "directory", "no root"))?;
        if name == b".." {
            walked.truncate((walked.len() - 1).max(1));
            continue;
        }
        let c_name = CString::new(name).map_err(|_| Error::invalid("find", "directory", "NUL in its path"))?;
        let Some(found) = here.entry(&c_name)? else { return Ok(None) };
        match FileType::from_raw_mode(found.stat.st_mode) {
            FileType::Directory => match stack.child(here, &c_name)? {
                Some(child) => walked.push(child),
                None => return Ok(None),
            },
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(failed(path, "open")(rustix::io::Errno::LOOP));
                }
                let link =
                    rustix::fs::readlinkat(here.part(&found), &c_name, Vec::new()).map_err(failed(path, "read"))?;
                let link = OsStr::from_bytes(link.as_bytes()).as_bytes();
                if link.starts_with(b"/") {
                    walked.truncate(1);
                }
                for part in components(link).into_iter().rev() {
                    names.push_front(part);
                }
            }
            _ => return Ok(None),
        }
    }
    Ok(walked.pop())
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}

/// Names as they are below the directory.
struct Below<'a> {
    packer: Packer<'a>,
    prefix: usize,
}

impl Visitor for Below<'_> {
    fn visit(&mut self, directory: &Directory, name: &CString, found: &Found, path: &[u8]) -> Result<bool> {
        let path = path.get(self.prefix..).unwrap_or_default();
        let path = path.strip_prefix(b"/").unwrap_or(path);
        Ok(self.packer.add(directory.part(found), name, path, found.kind())? == Some(FileType::Directory))
    }
}
