//! Trees as a build reads and writes them: wildcards, content digests, copies (docs/build-execute.md).
//!
//! A root is a descriptor; every path is resolved below it, links as in a chroot there, one name at a time and never through
//! anything but a directory that was opened. Neither a context nor an image leads anywhere else.

mod contents;
mod copy;
mod digest;
mod glob;
mod known;
mod made;
mod mode;
mod node;
mod path;
mod settle;
mod shares;

pub use copy::{Copied, CopyOptions, Times, copy};
pub use digest::digest;
pub use glob::expand;
pub use known::Known;
pub use mode::ModeChange;
pub use path::{list, make_directory, open_file, open_place};
pub use settle::settle;

use std::collections::HashSet;
use std::os::fd::BorrowedFd;

/// A tree that is read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its root.
    pub root: BorrowedFd<'a>,
    /// Paths from the root, without a slash at either end, that are not there; a directory's with all that is in it.
    pub skip: &'a HashSet<Vec<u8>>,
    /// Everything's owner, and the root is a plain directory: of a build context only content, names and modes count.
    pub anonymous: bool,
    /// What its files came to before.
    pub known: Option<&'a Known>,
}

impl Source<'_> {
    fn skips(&self, path: &[u8]) -> bool {
        !self.skip.is_empty() && self.skip.contains(path)
    }
}

#[cfg(test)]
mod tests;
