//! Pure planning: a specification and facts about the host become the ordered list of operations the child interprets.
//!
//! No I/O, no clock, no environment: what a plan needs of the host comes in as a value, descriptors as plain numbers.

use std::ffi::{CStr, CString};
use std::path::{Component, Path, PathBuf};

use pyctr_init::SetupOp;
use pyctr_init::codec::{Reader, Strings};

use crate::{Error, Result};

mod attributes;
pub mod capability;
pub mod device;
pub mod mount;
pub mod namespace;
pub mod process;

/// The encoded list of operations, with what is needed to say which of them failed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SetupList {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl SetupList {
    /// Appends an operation.
    pub fn push(&mut self, op: &SetupOp<'_>) {
        self.starts.push(self.bytes.len());
        op.encode(&mut |part: &[u8]| self.bytes.extend_from_slice(part));
    }

    /// The encoded form, as `pyctr-init` reads it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The operations in order.
    pub fn ops(&self) -> Vec<SetupOp<'_>> {
        let mut reader = Reader::new(&self.bytes);
        std::iter::from_fn(|| if reader.is_empty() { None } else { SetupOp::decode(&mut reader).ok() }).collect()
    }

    /// The operation with this index.
    pub fn get(&self, index: usize) -> Option<SetupOp<'_>> {
        let start = *self.starts.get(index)?;
        SetupOp::decode(&mut Reader::new(&self.bytes[start..])).ok()
    }
}

/// Encoded strings, built from any strings.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct StringList {
    bytes: Vec<u8>,
}

impl StringList {
    /// The encoding of these strings; an interior NUL is an error naming `what`.
    pub fn new<S: AsRef<[u8]>>(what: &str, strings: impl IntoIterator<Item = S>) -> Result<Self> {
        let mut list = Self::default();
        for text in strings {
            list.push(&c_string(what, text.as_ref())?);
        }
        Ok(list)
    }

    /// Appends one.
    pub fn push(&mut self, text: &CStr) {
        Strings::push(text, &mut |part: &[u8]| self.bytes.extend_from_slice(part));
    }

    /// As an operation's field.
    pub fn as_strings(&self) -> Strings<'_> {
        Strings::new(&self.bytes)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// A C string, or an error that names what held the NUL.
pub fn c_string(what: &str, text: &[u8]) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::invalid("read", what, format!("NUL byte in {:?}", String::from_utf8_lossy(text))))
}

/// A path inside the root as a clean absolute C string: no `.`, `..`, doubled or trailing slashes.
///
/// `..` is resolved lexically, as the runtime-spec has destinations relative to the root and nothing above it.
pub fn clean_path(path: &Path) -> Result<CString> {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    c_string("path", std::os::unix::ffi::OsStrExt::as_bytes(clean.as_os_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn clean_path_never_leaves_the_root() {
        for (dirty, clean) in
            [("/a/../../b", c"/b"), ("a//b/./c/", c"/a/b/c"), ("/", c"/"), ("..", c"/"), ("/proc/../proc", c"/proc")]
        {
            assert_eq!(clean_path(Path::new(dirty)).unwrap().as_c_str(), clean);
        }
    }

    #[test]
    fn setup_list_gives_back_what_was_pushed() {
        let mut list = SetupList::default();
        list.push(&SetupOp::Hostname { name: c"one" });
        list.push(&SetupOp::LoopbackUp {});
        assert_eq!(list.ops(), [SetupOp::Hostname { name: c"one" }, SetupOp::LoopbackUp {}]);
        assert_eq!(list.get(1), Some(SetupOp::LoopbackUp {}));
        assert_eq!(list.get(2), None);
    }
}
