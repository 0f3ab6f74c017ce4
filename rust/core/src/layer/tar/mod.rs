//! Reading tar: v7, ustar, GNU and PAX (POSIX.1-2024 pax, "GNU tar internals"), strictly; extraction is elsewhere.

mod header;
mod pax;
mod reader;
mod sparse;

pub use header::Kind;
pub use reader::{Entry, TarReader};
pub use sparse::Segment;
