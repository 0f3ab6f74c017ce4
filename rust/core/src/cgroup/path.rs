//! A container's place in the hierarchies: the OCI `linux.cgroupsPath` in both drivers' forms.

use super::hierarchy::{Hierarchies, Hierarchy};
use crate::{Error, Result};

/// A checked `cgroupsPath` of the cgroupfs driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// Relative to the top of each hierarchy's mount, as runc does it; begins with `/`.
    Absolute(String),
    /// Relative to the group this process is in; begins with `/`.
    Relative(String),
}

impl Location {
    /// Parses a path; `.` and doubled slashes vanish, `..` is refused: a group must not leave the one it was asked to be in.
    pub(super) fn parse(path: &str) -> Result<Self> {
        let refuse = |reason: &str| Error::invalid("use cgroupsPath", path, reason);
        if path.contains(['\0', '\n']) {
            return Err(refuse("contains a control character"));
        }
        let mut clean = String::with_capacity(path.len() + 1);
        for component in path.split('/').filter(|component| !component.is_empty() && *component != ".") {
            if component == ".." {
                return Err(refuse("contains .."));
            }
            if component.len() > 255 {
                return Err(refuse("has a component of more than 255 bytes"));
            }
            clean.push('/');
            clean.push_str(component);
        }
        if clean.is_empty() {
            return Err(refuse("names no control group of its own"));
        }
        Ok(if path.starts_with('/') { Self::Absolute(clean) } else { Self::Relative(clean) })
    }

    /// The directory in a hierarchy.
    pub(super) fn directory(&self, hierarchies: &Hierarchies, hierarchy: &Hierarchy) -> Result<String> {
        let mount_point = hierarchy.mount_point.trim_end_matches('/');
        Ok(match self {
            Self::Absolute(path) => format!("{mount_point}{path}"),
            Self::Relative(path) => format!("{mount_point}{}{path}", hierarchies.own_directory(hierarchy)?),
        })
    }
}

/// A `cgroupsPath` of the systemd driver, `slice:prefix:name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// The slice it lies in, `system.slice`.
    pub(super) slice: String,
    /// The unit's own name: `prefix-name.scope`, or `name` where that is a slice.
    pub(super) name: String,
}

impl Unit {
    /// Parses `slice:prefix:name`; an empty slice is `system.slice`, or `user.slice` without root.
    pub(super) fn parse(path: &str, rootless: bool) -> Result<Self> {
        let refuse = |reason: &str| {
            Error::invalid("use cgroupsPath", path, reason)
                .with_hint("with the systemd driver it has the form slice:prefix:name")
        };
        let parts: Vec<&str> = path.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            return Err(refuse("not of the form slice:prefix:name"));
        };
        if name.is_empty() {
            return Err(refuse("has no name"));
        }
        if path.contains(['/', '\0', '\n']) {
            return Err(refuse("contains a character no unit name has"));
        }
        let slice = match (slice, rootless) {
            ("", false) => "system.slice",
            ("", true) => "user.slice",
            (given, _) => given,
        };
        let name = if is_slice(name) { name.to_owned() } else { format!("{prefix}-{name}.scope") };
        let unit = Self { slice: slice.to_owned(), name };
        unit.directory()?;
        Ok(unit)
    }

    /// Where systemd puts it, relative to its own top.
    pub(super) fn directory(&self) -> Result<String> {
        let slice = expand_slice(&self.slice)?;
        Ok(format!("{}/{}", slice.trim_end_matches('/'), self.name))
    }
}

/// Whether a unit's name says that it is a slice.
pub(super) fn is_slice(name: &str) -> bool {
    name.strip_suffix(".slice").is_some()
}

/// systemd.slice(5): dashes are levels, so `a-b.slice` lies in `/a.slice/a-b.slice`; `-.slice` is the top.
pub(super) fn expand_slice(slice: &str) -> Result<String> {
    let refuse = || Error::invalid("use systemd slice", slice, "not a slice's name");
    let stem =
        slice.strip_suffix(".slice").filter(|stem| !stem.is_empty() && !slice.contains('/')).ok_or_else(refuse)?;
    if stem == "-" {
        return Ok("/".to_owned());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for component in stem.split('-') {
        if component.is_empty() {
            return Err(refuse());
        }
        path.extend(["/", &prefix, component, ".slice"]);
        prefix.push_str(component);
        prefix.push('-');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_location_of_odd_paths_is_cleaned_or_refused() {
        assert_eq!(Location::parse("/pyctr//a/./b/").unwrap(), Location::Absolute("/pyctr/a/b".into()));
        assert_eq!(Location::parse("a/b").unwrap(), Location::Relative("/a/b".into()));
        for bad in ["", "/", ".", "/../x", "a/../../b", "a\nb", "a\0b"] {
            assert!(Location::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn test_location_relative_lies_in_this_process_group() {
        let hierarchies =
            Hierarchies::parse("1 0 0:1 / /cg/memory rw - cgroup cgroup rw,memory\n", "4:memory:/api/one\n", "");
        let hierarchy = hierarchies.iter().next().unwrap();
        let at = |path: &str| Location::parse(path).unwrap().directory(&hierarchies, hierarchy).unwrap();
        assert_eq!(at("/pyctr/x"), "/cg/memory/pyctr/x");
        assert_eq!(at("pyctr/x"), "/cg/memory/api/one/pyctr/x");
    }

    #[test]
    fn test_expand_slice_makes_a_level_a_dash() {
        assert_eq!(expand_slice("test-a-b.slice").unwrap(), "/test.slice/test-a.slice/test-a-b.slice");
        assert_eq!(expand_slice("-.slice").unwrap(), "/");
        for bad in ["", ".slice", "a", "a--b.slice", "-a.slice", "a-.slice", "a/b.slice"] {
            assert!(expand_slice(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn test_unit_parse_gives_scope_in_slice() {
        let unit = Unit::parse("machine-x.slice:pyctr:abc", false).unwrap();
        assert_eq!(unit.name, "pyctr-abc.scope");
        assert_eq!(unit.directory().unwrap(), "/machine.slice/machine-x.slice/pyctr-abc.scope");
        assert_eq!(Unit::parse(":pyctr:abc", false).unwrap().slice, "system.slice");
        assert_eq!(Unit::parse(":pyctr:abc", true).unwrap().slice, "user.slice");
        assert_eq!(Unit::parse("a.slice::a-b.slice", false).unwrap().directory().unwrap(), "/a.slice/a-b.slice");
        for bad in ["/pyctr/abc", "a:b", "a.slice:b:", "a:b:c", "a.slice:b:c/d"] {
            assert!(Unit::parse(bad, false).is_err(), "{bad:?}");
        }
    }
}
