//! A merged tree from top to bottom, each directory sorted by bytes and before what is in it, with few descriptors.

use std::ffi::CString;

use super::stack::{Directory, Found, Stack};
use crate::Result;

/// Directories of one branch held open; those above are opened again when the walk comes back to them.
const OPEN_MAX: usize = 16;

/// A directory being read.
struct Level {
    directory: Directory,
    names: std::vec::IntoIter<(CString, Found)>,
}

/// What a walk does at a name; true if a directory is to be entered.
pub trait Visitor {
    /// Called for each name of a directory.
    fn visit(&mut self, directory: &Directory, name: &CString, found: &Found, path: &[u8]) -> Result<bool>;
    /// Called for each directory that is entered, before its names; the names to go through.
    fn enter(&mut self, directory: &Directory) -> Result<Vec<(CString, Found)>> {
        directory.entries()
    }
}

/// Walks the tree below a directory, without the directory itself.
pub fn walk(stack: &Stack<'_>, top: Directory, visitor: &mut impl Visitor) -> Result<()> {
    let mut levels = Vec::new();
    descend(top, visitor, &mut levels)?;
    while let Some(level) = levels.last_mut() {
        let Some((name, found)) = level.names.next() else {
            levels.pop();
            continue;
        };
        if !stack.reopen(&mut level.directory)? {
            levels.pop(); // removed or replaced meanwhile
            continue;
        }
        let path = super::stack::join(&level.directory.path, name.to_bytes());
        if visitor.visit(&level.directory, &name, &found, &path)?
            && let Some(child) = stack.child(&level.directory, &name)?
        {
            descend(child, visitor, &mut levels)?;
        }
    }
    Ok(())
}

fn descend(directory: Directory, visitor: &mut impl Visitor, levels: &mut Vec<Level>) -> Result<()> {
    let names = visitor.enter(&directory)?.into_iter();
    levels.push(Level { directory, names });
    if let Some(above) = levels.len().checked_sub(OPEN_MAX + 1) {
        Stack::close(&mut levels[above].directory);
    }
    Ok(())
}
