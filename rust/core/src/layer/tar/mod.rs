//! tar: v7, ustar, GNU and PAX (POSIX.1-2024 pax, "GNU tar internals") read strictly, PAX written; what lies behind the
//! entries is elsewhere.

mod header;
mod pax;
mod reader;
mod sparse;
pub mod write;

pub use header::Kind;
pub use reader::{Entry, TarReader};
pub use sparse::Segment;
