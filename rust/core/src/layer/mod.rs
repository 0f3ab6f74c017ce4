//! Layers: extraction, digests, codecs, whiteouts, and the blobs they come from.

pub mod blob;
pub mod codec;
pub mod digest;
pub mod extract;
pub mod tar;
mod tree;

pub use extract::{Extracted, Limits, Whiteouts, extract};
