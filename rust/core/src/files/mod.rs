//! Files on the host: atomic writes, removal of trees. By descriptor, without following what a name leads to.

mod journal;
mod read;
mod remove;
mod watch;
mod write;

use std::hash::{BuildHasher, RandomState};

pub use journal::append_journal;
pub use read::Reader;
pub use remove::{remove_entry, remove_tree};
pub use watch::watch_directory;
pub use write::write_atomic;

/// A name beside which no other process makes the same; hidden, and recognisable as rubbish after a crash.
pub(crate) fn temporary_name() -> String {
    format!(".{:016x}.tmp", RandomState::new().hash_one(std::process::id()))
}
