//! Deletions: how a layer says them (image-spec, "Layer", "Whiteouts") and how overlay is told.

use std::os::fd::OwnedFd;

use rustix::fs::XattrFlags;

use super::digest::corrupt;
use crate::Result;

const PREFIX: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How overlay is told of deletions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// `trusted.overlay.*` attributes; needs CAP_SYS_ADMIN in the initial user namespace.
    Trusted,
    /// `user.overlay.*` attributes, for a mount with `userxattr` in a user namespace (Linux 5.11).
    User,
}

impl Whiteouts {
    /// What this process can write: `Trusted` for root of the initial user namespace.
    pub fn of_this_process() -> Self {
        // user_namespaces(7): the initial namespace maps every id to itself.
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let is_initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
        if is_initial && rustix::process::geteuid().is_root() { Self::Trusted } else { Self::User }
    }

    /// Hides what lower layers have in a directory.
    pub(super) fn make_opaque(self, directory: &OwnedFd) -> rustix::io::Result<()> {
        let name = match self {
            Self::Trusted => c"trusted.overlay.opaque",
            Self::User => c"user.overlay.opaque",
        };
        rustix::fs::fsetxattr(directory, name, b"y", XattrFlags::empty())
    }
}

/// Whether an attribute would speak to overlay in the layer's name; such are dropped.
pub fn is_overlays(attribute: &[u8]) -> bool {
    attribute.starts_with(b"trusted.overlay.") || attribute.starts_with(b"user.overlay.")
}

/// What a member's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// A member like any other.
    Plain,
    /// What has this name in lower layers is gone.
    Gone(&'a [u8]),
    /// All that lower layers have in this directory is gone.
    Opaque,
    /// Bookkeeping of aufs, which Docker skips too.
    Skipped,
}

/// The meaning of a name, given as its components. Fails for names that begin like a whiteout and are none.
pub fn meaning<'a>(parts: &[&'a [u8]]) -> Result<Meaning<'a>> {
    let Some((name, parents)) = parts.split_last() else { return Ok(Meaning::Plain) };
    let odd = || {
        let shown = String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
        Err(corrupt("archive", format!("odd whiteout {shown:?}")))
    };
    for parent in parents {
        if is_meta(parent) {
            return Ok(Meaning::Skipped);
        }
        if parent.starts_with(PREFIX) {
            return odd();
        }
    }
    let Some(hidden) = name.strip_prefix(PREFIX) else { return Ok(Meaning::Plain) };
    match hidden {
        _ if *name == OPAQUE => Ok(Meaning::Opaque),
        _ if is_meta(name) => Ok(Meaning::Skipped),
        b"" | b"." | b".." => odd(),
        _ if hidden.starts_with(PREFIX) => odd(),
        _ => Ok(Meaning::Gone(hidden)),
    }
}

fn is_meta(name: &[u8]) -> bool {
    name.starts_with(META) && name.len() > META.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(path: &'static str) -> Result<Meaning<'static>> {
        meaning(&path.split('/').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn names_have_their_meaning() {
        assert_eq!(of("a/b").unwrap(), Meaning::Plain);
        assert_eq!(of("a/.whb").unwrap(), Meaning::Plain);
        assert_eq!(of("a/.wh.b").unwrap(), Meaning::Gone(b"b"));
        assert_eq!(of(".wh..b").unwrap(), Meaning::Gone(b".b"));
        assert_eq!(of("a/.wh..wh..opq").unwrap(), Meaning::Opaque);
        assert_eq!(of(".wh..wh.plnk").unwrap(), Meaning::Skipped);
        assert_eq!(of(".wh..wh.plnk/1.2").unwrap(), Meaning::Skipped);
    }

    #[test]
    fn odd_names_are_refused() {
        for bad in [".wh.", ".wh..", ".wh...", "a/.wh..", ".wh.a/b", ".wh..wh.", ".wh.a/.wh.b", ".wh./x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
