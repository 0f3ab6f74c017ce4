//! Archives byte by byte, and a place to unpack them in.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::large_types_passed_by_value)]

use std::os::fd::AsFd;

use pyctr_core::layer::digest::{Digest, Expected};
use pyctr_core::layer::{Extracted, Limits, Whiteouts, extract};
use pyctr_core::{Error, Kind};

pub fn octal(field: &mut [u8], value: u64) {
    let text = format!("{value:0width$o}\0", width = field.len() - 1);
    field.copy_from_slice(text.as_bytes());
}

pub fn header(name: &str, kind: u8, size: u64, link: &str) -> [u8; 512] {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    octal(&mut block[100..108], 0o644);
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], 1_000_000);
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

pub fn seal(block: &mut [u8; 512]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn raw(mut self, block: [u8; 512], data: &[u8]) -> Self {
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(header(name, b'0', data.len() as u64, ""), data)
    }
    pub fn dir(self, name: &str) -> Self {
        self.raw(header(name, b'5', 0, ""), b"")
    }
    pub fn link(self, name: &str, target: &str) -> Self {
        self.raw(header(name, b'2', 0, target), b"")
    }
    pub fn hard(self, name: &str, target: &str) -> Self {
        self.raw(header(name, b'1', 0, target), b"")
    }
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let data = records
            .iter()
            .map(|(key, value)| {
                let body = key.len() + value.len() + 3;
                let mut length = body + 1;
                while length.to_string().len() + body != length {
                    length = length.to_string().len() + body;
                }
                format!("{length} {key}={value}\n")
            })
            .collect::<Vec<_>>()
            .concat();
        self.raw(header("pax", b'x', data.len() as u64, ""), data.as_bytes())
    }
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub fn unpack_with(
    bytes: &[u8],
    expected: Expected,
    diff_id: Option<Digest>,
    limits: Limits,
) -> (tempfile::TempDir, Result<Extracted, Error>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("root")).unwrap();
    let result = extract_at(&dir, bytes, expected, diff_id, limits);
    (dir, result)
}

/// Unpacks below a directory that has a `root`.
pub fn unpack_at(dir: &tempfile::TempDir, bytes: &[u8], limits: Limits) -> Result<Extracted, Error> {
    extract_at(dir, bytes, Expected::default(), None, limits)
}

fn extract_at(
    dir: &tempfile::TempDir,
    bytes: &[u8],
    expected: Expected,
    diff_id: Option<Digest>,
    limits: Limits,
) -> Result<Extracted, Error> {
    let flags = rustix::fs::OFlags::DIRECTORY;
    let root = rustix::fs::open(dir.path().join("root"), flags, rustix::fs::Mode::empty()).unwrap();
    let whiteouts = if rustix::process::geteuid().is_root() { Whiteouts::Trusted } else { Whiteouts::User };
    extract(bytes, root.as_fd(), expected, diff_id, limits, whiteouts)
}

pub fn unpack(bytes: &[u8]) -> (tempfile::TempDir, Result<Extracted, Error>) {
    unpack_with(bytes, Expected::default(), None, Limits::default())
}

/// What lies outside the root must be as before: nothing but the root itself.
pub fn nothing_outside(dir: &tempfile::TempDir) {
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["root"]);
}

pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

pub fn refused(bytes: &[u8]) {
    let (dir, result) = unpack(bytes);
    assert_eq!(result.unwrap_err().kind, Kind::Corrupt);
    nothing_outside(&dir);
}
