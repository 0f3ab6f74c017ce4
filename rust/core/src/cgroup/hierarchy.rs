//! What control-group hierarchies the host has. Parsing is pure; [`Hierarchies::detect`] alone reads the host.

use std::sync::OnceLock;

use rustix::io::Errno;

use super::file;
use crate::{Error, Kind, Result};

/// Which of the two control-group interfaces a hierarchy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller (or a few), `tasks` files.
    V1,
    /// The unified hierarchy.
    V2,
}

/// Controllers that a v1 hierarchy may carry; what else stands in its mount options is an option.
const V1_CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
];

/// One mounted hierarchy.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// v1: the controllers mounted together, or `name=…` of a hierarchy without one. v2: empty, see [`Hierarchies::v2_controllers`].
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount_point: String,
    /// Which of its directories is mounted there; `/` but inside a container.
    pub root: String,
}

/// Every hierarchy of the host.
#[derive(Debug, Clone, Default)]
pub struct Hierarchies {
    list: Vec<Hierarchy>,
    systemd: bool,
    own: OnceLock<String>,
    v2_controllers: OnceLock<Vec<String>>,
}

/// Where a v2-only host has its hierarchy.
const MOUNT_POINT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC`, linux/magic.h.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

impl Hierarchies {
    /// Looks at the host: one statfs(2) on a v2-only host, else /proc/self/mountinfo.
    ///
    /// What only some need (this process's own groups, the v2 controllers) is read when first asked for.
    pub fn detect() -> Result<Self> {
        let systemd = super::systemd::is_running();
        let unified = rustix::fs::statfs(MOUNT_POINT);
        if unified.is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(CGROUP2_SUPER_MAGIC)) {
            let hierarchy = Hierarchy {
                version: Version::V2,
                controllers: Vec::new(),
                mount_point: MOUNT_POINT.to_owned(),
                root: "/".to_owned(),
            };
            return Ok(Self { list: vec![hierarchy], systemd, ..Self::default() });
        }
        let path = "/proc/self/mountinfo";
        let mountinfo = file::read(path).map_err(|errno| Error::kernel("read", path, errno))?;
        Ok(Self { list: parse_mountinfo(&mountinfo), systemd, ..Self::default() })
    }

    /// The same from text: `/proc/self/mountinfo`, `/proc/self/cgroup` and the v2 mount's `cgroup.controllers`.
    pub fn parse(mountinfo: &str, own: &str, v2_controllers: &str) -> Self {
        Self {
            list: parse_mountinfo(mountinfo),
            systemd: false,
            own: OnceLock::from(own.to_owned()),
            v2_controllers: OnceLock::from(split_controllers(v2_controllers)),
        }
    }

    /// Every hierarchy.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.list.iter()
    }

    /// The v2 hierarchy, if it is mounted.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.list.iter().find(|hierarchy| hierarchy.version == Version::V2)
    }

    /// Nothing but v2 is mounted.
    pub fn is_v2_only(&self) -> bool {
        self.v2().is_some() && self.list.len() == 1
    }

    /// systemd is the host's init (sd_booted(3)).
    pub fn has_systemd(&self) -> bool {
        self.systemd
    }

    /// The controllers the v2 hierarchy has to give, from its top `cgroup.controllers`.
    pub fn v2_controllers(&self) -> Result<&[String]> {
        if let Some(known) = self.v2_controllers.get() {
            return Ok(known);
        }
        let Some(v2) = self.v2() else {
            return Ok(&[]);
        };
        let path = format!("{}/cgroup.controllers", v2.mount_point);
        let text = file::read(&path).map_err(|errno| Error::kernel("read", &path, errno))?;
        Ok(self.v2_controllers.get_or_init(|| split_controllers(&text)))
    }

    /// Whether a controller can be had, under either name (`blkio`, `io`).
    pub fn has(&self, controller: &str) -> Result<bool> {
        let (v1, v2) = match controller {
            "io" | "blkio" => ("blkio", "io"),
            other => (other, other),
        };
        if self.list.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == v1)) {
            return Ok(true);
        }
        Ok(match v2 {
            // Of v2's core, not controllers.
            "devices" | "freezer" | "cpuacct" => self.v2().is_some(),
            _ => self.v2_controllers()?.iter().any(|name| name == v2),
        })
    }

    /// The directory of this process in a hierarchy, relative to its mount point; empty for the top.
    pub(super) fn own_directory(&self, hierarchy: &Hierarchy) -> Result<String> {
        let text = if let Some(known) = self.own.get() {
            known
        } else {
            let path = "/proc/self/cgroup";
            let text = file::read(path).map_err(|errno| Error::kernel("read", path, errno))?;
            self.own.get_or_init(|| text)
        };
        let key = hierarchy.controllers.first().map_or("", String::as_str);
        let own = parse_own(text, key).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                "find this process's control group in",
                &hierarchy.mount_point,
                "not in /proc/self/cgroup",
            )
        })?;
        let root = hierarchy.root.trim_end_matches('/');
        // Outside what is mounted here: nothing of ours can be a child of it, so the top of the mount serves.
        Ok(own
            .strip_prefix(root)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or("")
            .trim_end_matches('/')
            .to_owned())
    }
}

fn split_controllers(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// proc_pid_cgroup(5): `hierarchy-ID:controller-list:cgroup-path`; the v2 line has an empty list.
fn parse_own<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// proc_pid_mountinfo(5): `id parent major:minor root mount-point options [tags] - type source super-options`.
fn parse_mountinfo(text: &str) -> Vec<Hierarchy> {
    let mut list: Vec<Hierarchy> = Vec::new();
    for hierarchy in text.lines().filter_map(parse_mount) {
        let same =
            |known: &&mut Hierarchy| known.version == hierarchy.version && known.controllers == hierarchy.controllers;
        match list.iter_mut().find(same) {
            // Mounted twice: the usual place wins, then the first.
            Some(known)
                if !known.mount_point.starts_with(MOUNT_POINT) && hierarchy.mount_point.starts_with(MOUNT_POINT) =>
            {
                *known = hierarchy;
            }
            Some(_) => {}
            None => list.push(hierarchy),
        }
    }
    list
}

fn parse_mount(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut file_system = file_system.split(' ');
    let version = match file_system.next()? {
        "cgroup" => Version::V1,
        "cgroup2" => Version::V2,
        _ => return None,
    };
    let mut mount = mount.split(' ').skip(3);
    let (root, mount_point) = (unescape(mount.next()?), unescape(mount.next()?));
    let options = file_system.nth(1).unwrap_or_default();
    let controllers: Vec<String> = match version {
        Version::V2 => Vec::new(),
        Version::V1 => options
            .split(',')
            .filter(|option| V1_CONTROLLERS.contains(option) || option.starts_with("name="))
            .map(str::to_owned)
            .collect(),
    };
    Some(Hierarchy { version, controllers, mount_point, root })
}

/// Undoes mountinfo's octal escapes of blank, tab, newline and backslash.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Whether an error says that this user may not, rather than that something is wrong.
pub(super) fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM | Errno::ROFS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:32 / /mnt/with\\040blank rw,relatime - cgroup cgroup rw,memory
37 31 0:33 / /other/devices rw,relatime - cgroup cgroup rw,devices
38 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";
    const OWN: &str = "9:name=systemd:/\n4:memory:/api/one\n2:cpu,cpuacct:/\n5:devices:/\n0::/\n";

    #[test]
    fn test_parse_hybrid_finds_every_hierarchy_once() {
        let hierarchies = Hierarchies::parse(HYBRID, OWN, "hugetlb\n");
        let points: Vec<_> = hierarchies.iter().map(|h| h.mount_point.as_str()).collect();
        assert_eq!(
            points,
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/devices",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert!(!hierarchies.is_v2_only());
        assert!(hierarchies.has("cpuacct").unwrap());
        assert!(hierarchies.has("hugetlb").unwrap());
        assert!(!hierarchies.has("pids").unwrap());
        assert!(!hierarchies.has("io").unwrap());
    }

    #[test]
    fn test_own_directory_is_relative_to_the_mount() {
        let hierarchies = Hierarchies::parse(HYBRID, OWN, "");
        let of = |name: &str| {
            let hierarchy = hierarchies.iter().find(|h| h.mount_point.ends_with(name)).unwrap();
            hierarchies.own_directory(hierarchy).unwrap()
        };
        assert_eq!(of("memory"), "/api/one");
        assert_eq!(of("devices"), "");
        assert_eq!(of("unified"), "");
        let nested = "1 0 0:1 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let hierarchies = Hierarchies::parse(nested, "4:memory:/docker/abc/inner\n", "");
        assert_eq!(hierarchies.own_directory(&hierarchies.list[0]).unwrap(), "/inner");
        let hierarchies = Hierarchies::parse(nested, "4:memory:/docker/abcdef\n", "");
        assert_eq!(hierarchies.own_directory(&hierarchies.list[0]).unwrap(), "");
    }

    #[test]
    fn test_parse_v2_only_lists_controllers() {
        let hierarchies = Hierarchies::parse(
            "25 1 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
            "0::/user.slice\n",
            "cpuset cpu io memory hugetlb pids rdma misc\n",
        );
        assert!(hierarchies.is_v2_only());
        for name in ["blkio", "io", "devices", "freezer", "memory", "cpuacct"] {
            assert!(hierarchies.has(name).unwrap(), "{name}");
        }
        assert!(!hierarchies.has("net_cls").unwrap());
    }
}
