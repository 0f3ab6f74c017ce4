//! The contents of many files digested.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType};

use super::Source;
use super::digest::{BUFFER_BYTES, Facts, file_content};
use super::node::{attributes, open_regular, read_all};
use super::path::failed;
use super::shares::in_shares;
use crate::Result;
use crate::layer::digest::Hasher;

/// A regular file that is to be read.
pub struct File {
    /// The directory that holds it, kept open.
    pub directory: Arc<OwnedFd>,
    /// Its name there.
    pub name: CString,
    /// Its path from the source's root.
    pub whole: Vec<u8>,
}

/// What of a file decides whether a copy would be the same.
pub type Content = (Facts, Vec<u8>);

/// What each of the files comes to, in their order; of several errors that of the first file.
pub fn read_files(source: Source<'_>, files: &[File]) -> Result<Vec<Content>> {
    in_shares(files, |share| {
        let mut buffer = vec![0; BUFFER_BYTES];
        share.iter().map(|file| read(source, file, &mut buffer)).collect()
    })
}

fn read(source: Source<'_>, file: &File, buffer: &mut [u8]) -> Result<Content> {
    if let Some(content) = known(source, file) {
        return Ok(content);
    }
    let since = SystemTime::now();
    let (opened, stat) = open_regular(file.directory.as_fd(), &file.name).map_err(failed("read", &file.whole))?;
    let mut hasher = Hasher::default();
    read_all(&opened, &stat, &file.whole, buffer, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    let size = hasher.length;
    let attributes = attributes(&opened).map_err(failed("read the attributes of", &file.whole))?;
    let digest = hasher.finish();
    if let Some(known) = source.known.filter(|_| attributes.is_empty()) {
        known.learn(&stat, &digest, since);
    }
    Ok((Facts::new(source, &stat, &file.whole), file_content(size, &digest, &attributes)))
}

/// What a file that was read before, and is as it was then, comes to.
fn known(source: Source<'_>, file: &File) -> Option<Content> {
    let known = source.known.filter(|known| !known.is_empty())?;
    // Whatever is wrong with it is told by who opens it.
    let stat = rustix::fs::statat(&file.directory, &file.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let (size, digest) = known.find(&stat)?;
    Some((Facts::new(source, &stat, &file.whole), file_content(size, &digest, &Vec::new())))
}
