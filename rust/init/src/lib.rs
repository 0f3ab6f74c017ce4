//! What runs between a container's clone and its exec: the operations, their flat encoding, and their interpreter.
//!
//! Nothing here allocates, locks, logs or links libc, so the whole of it may run in a process that shares nothing but
//! descriptors with its parent.
#![cfg_attr(not(test), no_std)]

pub mod apply;
pub mod codec;
pub mod op;
pub mod sys;

pub use op::{Message, SetupOp};
