//! Layers: extraction and packing, digests, codecs, whiteouts, and the blobs they come from.

mod attributes;
pub mod blob;
mod chunks;
pub mod codec;
pub mod digest;
pub mod extract;
pub mod growing;
pub mod pack;
pub mod tar;
mod tree;
mod unpack;
mod whiteout;
mod write;

pub use extract::{Extracted, Limits, extract};
pub(crate) use tree::path_of;
pub use unpack::unpack;
pub use whiteout::Whiteouts;
