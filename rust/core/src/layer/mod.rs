//! Layers: extraction, digests, codecs, whiteouts, and the blobs they come from.

mod attributes;
pub mod blob;
pub mod codec;
pub mod digest;
pub mod extract;
pub mod growing;
pub mod tar;
mod tree;
mod whiteout;
mod write;

pub use extract::{Extracted, Limits, extract};
pub use whiteout::Whiteouts;
