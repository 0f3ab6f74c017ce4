//! The contents of many files digested, on several processors where it is worth it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, Builder};

use super::Source;
use super::digest::{BUFFER_BYTES, Facts, file_content};
use super::node::{attributes, open_regular, read_all};
use super::path::failed;
use crate::Result;
use crate::layer::digest::Hasher;

/// Making a thread takes as long as reading some small files.
const FILES_A_THREAD: usize = 32;
const THREADS_MAX: usize = 4;

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
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = (files.len() / FILES_A_THREAD).min(processors).min(THREADS_MAX);
    if threads < 2 {
        return read_in_turn(source, files);
    }
    thread::scope(|scope| {
        let mut shares = files.chunks(files.len().div_ceil(threads));
        let first = shares.next().unwrap_or_default();
        // One that cannot be made is no reason to fail: this thread does its work.
        let start = |share| (share, Builder::new().spawn_scoped(scope, move || read_in_turn(source, share)));
        let others: Vec<_> = shares.map(start).collect();
        let mut contents = read_in_turn(source, first)?;
        for (share, thread) in others {
            contents.extend(match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(read)) => read?,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => read_in_turn(source, share)?,
            });
        }
        Ok(contents)
    })
}

fn read_in_turn(source: Source<'_>, files: &[File]) -> Result<Vec<Content>> {
    let mut buffer = vec![0; BUFFER_BYTES];
    files.iter().map(|file| read(source, file, &mut buffer)).collect()
}

fn read(source: Source<'_>, file: &File, buffer: &mut [u8]) -> Result<Content> {
    let (opened, stat) = open_regular(file.directory.as_fd(), &file.name).map_err(failed("read", &file.whole))?;
    let mut hasher = Hasher::default();
    read_all(&opened, &stat, &file.whole, buffer, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    let size = hasher.length;
    let attributes = attributes(&opened).map_err(failed("read the attributes of", &file.whole))?;
    Ok((Facts::new(source, &stat, &file.whole), file_content(size, &hasher.finish(), &attributes)))
}
