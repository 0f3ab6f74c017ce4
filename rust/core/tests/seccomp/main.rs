//! The seccomp compiler against a plain reading of profiles, against libseccomp and against the kernel.
#![allow(clippy::unwrap_used, missing_docs)]

mod bpf;
mod default;
mod generate;
mod json;
mod kernel;
mod oracle;
mod property;
mod reference;
mod runc;
