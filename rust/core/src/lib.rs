//! Everything of pyctr that touches the kernel. Knows nothing of Python.
#![deny(clippy::undocumented_unsafe_blocks)]

pub mod cgroup;
pub mod error;
pub mod files;
#[cfg(feature = "layer")]
pub mod layer;
pub mod logs;
pub mod monitor;
pub mod net;
pub mod plan;
pub mod process;
pub mod rootfs;
pub mod rootless;
pub mod seccomp;
pub mod spec;
pub mod sys;
#[cfg(feature = "layer")]
pub mod tree;

pub use error::{Error, Kind, Result};
