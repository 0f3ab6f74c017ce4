//! One value for one file of a control group, and how it gets there.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

/// A value a controller's file is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The file's name.
    pub file: String,
    /// What is written.
    pub value: String,
    /// A kernel without the file is no error (Docker discards such a value with a warning).
    pub optional: bool,
}

impl Setting {
    /// A value that must be taken.
    #[allow(clippy::needless_pass_by_value)] // numbers and strings alike
    pub fn new(file: impl Into<String>, value: impl ToString) -> Self {
        Self { file: file.into(), value: value.to_string(), optional: false }
    }

    /// A value that a kernel may not know.
    #[allow(clippy::needless_pass_by_value)]
    pub fn optional(file: impl Into<String>, value: impl ToString) -> Self {
        Self { optional: true, ..Self::new(file, value) }
    }
}

/// Writes one file below a cgroup's directory: all of the value in one write(2).
pub fn write(directory: impl AsFd, path: &str, setting: &Setting) -> Result<()> {
    match write_file(&directory, &setting.file, setting.value.as_bytes()) {
        Err(Errno::NOENT) if setting.optional => Ok(()),
        Err(errno) => {
            Err(Error::kernel(format!("write {} to", setting.value), format!("{path}/{}", setting.file), errno))
        }
        Ok(()) => Ok(()),
    }
}

/// Writes bytes to a file below a directory.
pub fn write_file(directory: impl AsFd, file: &str, value: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::openat(directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, value).map(drop)
}

/// Reads a small file below a directory as text.
pub fn read_file(directory: impl AsFd, file: &str) -> rustix::io::Result<String> {
    let file = rustix::fs::openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        match rustix::io::read(&file, &mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
}
