//! The one error type of the core: what was done, to what, and what the kernel said.

use std::fmt;
use std::path::Path;

use rustix::io::Errno;

/// Result of every fallible function of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of mistake it is; decides the Python exception and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A thing that was named does not exist.
    NotFound,
    /// The thing exists already, or is in use.
    Conflict,
    /// What was asked for is malformed or out of range.
    InvalidArgument,
    /// The thing is in a state that does not allow it.
    State,
    /// A system call failed.
    Kernel,
    /// Data does not have the digest, size or form it must have.
    Corrupt,
    /// The command to run was not found (exit code 127).
    CommandNotFound,
    /// The command to run cannot be executed (exit code 126).
    CommandNotExecutable,
}

/// An operation that failed, and why. Displays as `operation object: reason`, lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What was being done, an infinitive: `mount proc on`.
    pub operation: String,
    /// What it was done to: a path, a name.
    pub object: String,
    /// The kernel's word, if it had one.
    pub errno: Option<Errno>,
    /// Why, where the errno does not say it.
    pub reason: String,
    /// What kind of mistake it is.
    pub kind: Kind,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Error {
    /// A failed system call.
    #[allow(clippy::needless_pass_by_value)] // an object is a reference or a string that ends here
    pub fn kernel(operation: impl Into<String>, object: impl AsObject, errno: impl Into<Errno>) -> Self {
        Self {
            operation: operation.into(),
            object: object.as_object(),
            errno: Some(errno.into()),
            reason: String::new(),
            kind: Kind::Kernel,
            hint: None,
        }
    }

    /// A mistake of another kind than a failed system call.
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(kind: Kind, operation: impl Into<String>, object: impl AsObject, reason: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            object: object.as_object(),
            errno: None,
            reason: reason.into(),
            kind,
            hint: None,
        }
    }

    /// Malformed or out-of-range input.
    pub fn invalid(operation: impl Into<String>, object: impl AsObject, reason: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, operation, object, reason)
    }

    /// The same error as another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The same error with advice for the user.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failed `std` input/output call.
    pub fn io(operation: impl Into<String>, object: impl AsObject, error: &std::io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::kernel(operation, object, errno),
            None => Self::new(Kind::Corrupt, operation, object, error.to_string()),
        }
    }
}

/// Control characters escaped: what a name from an image or a document holds must not make two lines of one.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|letter| {
        if letter.is_control() { write!(f, "{}", letter.escape_default()) } else { fmt::Write::write_char(f, letter) }
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, &self.operation)?;
        if !self.object.is_empty() {
            f.write_str(" ")?;
            write_escaped(f, &self.object)?;
        }
        if !self.reason.is_empty() {
            f.write_str(": ")?;
            write_escaped(f, &self.reason)?;
        }
        if let Some(errno) = self.errno {
            write!(f, ": {}", std::io::Error::from(errno).to_string().split(" (os error").next().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// What an error can name as its object.
pub trait AsObject {
    /// The object as text for a message.
    fn as_object(&self) -> String;
}

impl AsObject for &str {
    fn as_object(&self) -> String {
        (*self).to_owned()
    }
}

impl AsObject for String {
    fn as_object(&self) -> String {
        self.clone()
    }
}

impl AsObject for &String {
    fn as_object(&self) -> String {
        (*self).clone()
    }
}

impl AsObject for &Path {
    fn as_object(&self) -> String {
        self.display().to_string()
    }
}

impl AsObject for &std::path::PathBuf {
    fn as_object(&self) -> String {
        self.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_operation_object_and_errno() {
        let error = Error::kernel("mount proc on", "/proc", Errno::PERM);
        assert_eq!(error.to_string(), "mount proc on /proc: Operation not permitted");
    }

    #[test]
    fn display_is_one_line_whatever_the_names_hold() {
        let error = Error::invalid("open", "a\nb", "bad\r\x1b[2J");
        assert_eq!(error.to_string(), "open a\\nb: bad\\r\\u{1b}[2J");
    }
}
