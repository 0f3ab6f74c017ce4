//! What the host has: where which controller is mounted (cgroups(7), Documentation/admin-guide/cgroup-v1 and -v2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// cgroup2 file systems say this of themselves in statfs(2).
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;
const DEFAULT_MOUNT: &str = "/sys/fs/cgroup";

/// v1 controllers a container gets a directory in, wherever the host has them: what limits, device rules, the freezer and
/// statistics need. net_cls and net_prio only where something is asked of them.
const ALWAYS: [&str; 10] =
    ["memory", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio", "pids", "hugetlb", "perf_event"];

/// The host's control group hierarchies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// v1: controller → mount point. Co-mounted controllers share one.
    pub v1: BTreeMap<String, PathBuf>,
    /// v2: mount point.
    pub v2: Option<PathBuf>,
    /// Controllers v2 has at its root; empty on a pure v2 host until someone asks.
    pub v2_controllers: Vec<String>,
}

impl Hierarchies {
    /// Asks the kernel. A pure v2 host is known by one statfs(2); any other by the mount table.
    pub fn detect() -> Result<Self> {
        if rustix::fs::statfs(DEFAULT_MOUNT).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(CGROUP2_SUPER_MAGIC)) {
            return Ok(Self { v1: BTreeMap::new(), v2: Some(DEFAULT_MOUNT.into()), v2_controllers: Vec::new() });
        }
        let path = "/proc/self/mountinfo";
        let table = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
        let mut found = Self::parse(&table);
        if let Some(mount) = &found.v2 {
            let file = mount.join("cgroup.controllers");
            let text = std::fs::read_to_string(&file).map_err(|error| Error::io("read", &file, &error))?;
            found.v2_controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        Ok(found)
    }

    /// Reads a mount table (proc_pid_mountinfo(5)). The first mount of a controller counts.
    pub fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((head, tail)) = line.split_once(" - ") else { continue };
            let Some(mount) = head.split(' ').nth(4) else { continue };
            let mut tail = tail.split(' ');
            let (fstype, options) = (tail.next().unwrap_or_default(), tail.nth(1).unwrap_or_default());
            let mount = PathBuf::from(mount.replace("\\040", " "));
            match fstype {
                "cgroup2" if found.v2.is_none() => found.v2 = Some(mount),
                "cgroup" => {
                    for option in options.split(',').filter(|option| known(option)) {
                        found.v1.entry(option.to_owned()).or_insert_with(|| mount.clone());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Every controller lives on v2.
    pub fn is_unified(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }

    /// The v1 mount points a container is put into, each once, with a controller that lives there.
    pub fn v1_mounts(&self, wanted: impl Fn(&str) -> bool) -> Vec<(&str, &Path)> {
        let mut mounts: Vec<(&str, &Path)> = Vec::new();
        for (controller, mount) in &self.v1 {
            let always = ALWAYS.contains(&controller.as_str());
            if (always || wanted(controller)) && mounts.iter().all(|(_, other)| *other != mount.as_path()) {
                mounts.push((controller, mount));
            }
        }
        mounts
    }
}

fn known(option: &str) -> bool {
    ALWAYS.contains(&option) || matches!(option, "net_cls" | "net_prio" | "rdma" | "misc")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
28 24 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_host_has_both() {
        let found = Hierarchies::parse(HYBRID);
        assert_eq!(found.v2.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(found.v1.keys().collect::<Vec<_>>(), ["cpu", "cpuacct", "memory"]);
        assert!(!found.is_unified());
    }

    #[test]
    fn co_mounted_controllers_are_one_directory() {
        let found = Hierarchies::parse(HYBRID);
        assert_eq!(found.v1_mounts(|_| false).len(), 2);
    }

    #[test]
    fn pure_v2_host_is_unified() {
        assert!(Hierarchies::parse("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n").is_unified());
    }

    #[test]
    fn malformed_lines_are_passed_over() {
        assert_eq!(Hierarchies::parse("nonsense\n- cgroup\n1 2 - cgroup x rw,memory\n"), Hierarchies::default());
    }
}
