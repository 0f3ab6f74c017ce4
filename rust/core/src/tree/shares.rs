//! Work on many files, on several processors where it is worth it.

use std::thread::{self, Builder};

use crate::Result;

/// Making a thread takes as long as reading some small files.
const FILES_A_THREAD: usize = 32;
const THREADS_MAX: usize = 4;
/// So many entries, or those of so many directories, wait for files to be worked on together: bounds on memory and descriptors.
pub const ENTRIES_WAITING: usize = 4096;
/// See [`ENTRIES_WAITING`].
pub const DIRECTORIES_OPEN: usize = 128;

/// What each of the items comes to, in their order; of several errors that of the first item.
///
/// `work` does some that follow one another; items of one directory should too: making files in it they wait for each other.
pub fn in_shares<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Result<Vec<R>> + Sync) -> Result<Vec<R>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = (items.len() / FILES_A_THREAD).min(processors).min(THREADS_MAX);
    if threads < 2 {
        return work(items);
    }
    let work = &work;
    thread::scope(|scope| {
        let mut shares = items.chunks(items.len().div_ceil(threads));
        let first = shares.next().unwrap_or_default();
        // One that cannot be made is no reason to fail: this thread does its work.
        let start = |share| (share, Builder::new().spawn_scoped(scope, move || work(share)));
        let others: Vec<_> = shares.map(start).collect();
        let mut results = work(first)?;
        for (share, thread) in others {
            results.extend(match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => done?,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => work(share)?,
            });
        }
        Ok(results)
    })
}
