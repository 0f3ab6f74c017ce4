//! Wildcards of COPY and ADD: Go's path/filepath.Match, a name at a time, plus `**` for any number of directories.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use super::Source;
use super::node::names;
use super::path::{DIRECTORY, components, failed, find, join};
use crate::{Error, Kind, Result};

/// The paths a pattern means, sorted. One without wildcards means itself, there or not.
///
/// Links are followed in the part before the first wildcard, and nowhere behind it (BuildKit, fsutil/copy resolveWildcards).
pub fn expand(source: Source<'_>, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    let parts = components(pattern);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let Some(first) = parts.iter().position(|part| has_wildcard(part)) else {
        return Ok(vec![parts.join(&b'/')]);
    };
    for part in &parts[first..] {
        check(part, pattern)?;
    }
    let base = match find(source, &parts[..first].join(&b'/')) {
        Err(error) if error.kind == Kind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    if base.kind() != Some(FileType::Directory) {
        return Ok(Vec::new());
    }
    let directory =
        rustix::fs::openat(&base.parent, &base.name, DIRECTORY, Mode::empty()).map_err(failed("read", pattern))?;
    let mut found = Vec::new();
    below(source, &directory, &base.path, &parts[first..], &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn below(
    source: Source<'_>,
    directory: &OwnedFd,
    path: &[u8],
    parts: &[&[u8]],
    found: &mut Vec<Vec<u8>>,
) -> Result<()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    let is_any = *part == b"**";
    if is_any && !rest.is_empty() {
        below(source, directory, path, rest, found)?;
    }
    for (name, kind) in names(directory).map_err(failed("read", path))? {
        let child = join(path, name.to_bytes());
        if source.skips(&child) || !(is_any || matches(part, name.to_bytes())) {
            continue;
        }
        if rest.is_empty() {
            found.push(child);
        } else if kind == FileType::Directory {
            let opened = match open(directory.as_fd(), &name) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                other => other.map_err(failed("read", &child))?,
            };
            below(source, &opened, &child, if is_any { parts } else { rest }, found)?;
        }
    }
    Ok(())
}

fn open(directory: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())
}

/// Whether a name means more than itself.
pub fn has_wildcard(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Refuses what Go calls a syntax error in pattern.
fn check(part: &[u8], pattern: &[u8]) -> Result<()> {
    let mut rest = part;
    while let Some((&letter, more)) = rest.split_first() {
        rest = match letter {
            b'\\' if more.is_empty() => None,
            b'\\' => Some(&more[1..]),
            b'[' => class(more, 0).map(|(_, after)| after),
            _ => Some(more),
        }
        .ok_or_else(|| {
            Error::invalid("read pattern", String::from_utf8_lossy(pattern).into_owned(), "syntax error in pattern")
        })?;
    }
    Ok(())
}

/// Whether a name matches a pattern without slashes.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let Some((&letter, rest)) = pattern.split_first() else { return name.is_empty() };
    if letter == b'*' {
        return (0..=name.len()).any(|skipped| matches(rest, &name[skipped..]));
    }
    let Some((character, size)) = character(name) else { return false };
    match letter {
        b'?' => matches(rest, &name[size..]),
        b'[' => class(rest, character).is_some_and(|(is_in, after)| is_in && matches(after, &name[size..])),
        b'\\' if !rest.is_empty() => rest[0] == name[0] && matches(&rest[1..], &name[1..]),
        _ => letter == name[0] && matches(rest, &name[1..]),
    }
}

/// A name's first character and its length in bytes; a byte that is no UTF-8 stands for itself.
fn character(name: &[u8]) -> Option<(u32, usize)> {
    let first = *name.first()?;
    let length = name.len().min(4);
    let valid = match std::str::from_utf8(&name[..length]) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&name[..error.valid_up_to()]).unwrap_or_default(),
    };
    Some(valid.chars().next().map_or((u32::from(first), 1), |found| (u32::from(found), found.len_utf8())))
}

/// Whether a character is in the class that begins behind `[`, and what follows the class; None if it has no end.
fn class(mut rest: &[u8], wanted: u32) -> Option<(bool, &[u8])> {
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = &rest[1..];
    }
    let (mut is_in, mut ranges) = (false, 0);
    loop {
        if rest.first() == Some(&b']') && ranges > 0 {
            return Some((is_in != negated, &rest[1..]));
        }
        let (low, after) = class_member(rest)?;
        let (high, after) = match after.split_first() {
            Some((b'-', more)) => class_member(more)?,
            _ => (low, after),
        };
        is_in |= (low..=high).contains(&wanted);
        ranges += 1;
        rest = after;
    }
}

fn class_member(rest: &[u8]) -> Option<(u32, &[u8])> {
    let rest = match rest.split_first()? {
        (b'-' | b']', _) => return None,
        (b'\\', more) => more,
        _ => rest,
    };
    let (found, size) = character(rest)?;
    Some((found, &rest[size..]))
}
