//! cargo-fuzz target: any bytes as a layer.
#![no_main]

use std::os::fd::AsFd;

use libfuzzer_sys::fuzz_target;
use pyctr_core::layer::digest::Expected;
use pyctr_core::layer::{Limits, Whiteouts, extract};

fuzz_target!(|bytes: &[u8]| {
    let Ok(directory) = tempfile::tempdir() else { return };
    let flags = rustix::fs::OFlags::DIRECTORY;
    let Ok(root) = rustix::fs::open(directory.path(), flags, rustix::fs::Mode::empty()) else { return };
    let limits = Limits { max_bytes: 1 << 20, max_entries: 1000 };
    let _ = extract(bytes, root.as_fd(), Expected::default(), None, limits, Whiteouts::User);
});
