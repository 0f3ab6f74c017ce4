//! The cpuset controller: which processors and memory nodes.

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::controller::{Asked, Controller, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::{Stats, parse_list};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Cpuset;

impl Controller for Cpuset {
    fn name(&self, _version: Version) -> &'static str {
        "cpuset"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let given = |text: &Option<String>| text.as_deref().is_some_and(|list| !list.is_empty());
        resources.cpu().as_ref().map_or(Asked::Nothing, |cpu| {
            Asked::first(&[(given(cpu.cpus()), "cpuset cpus"), (given(cpu.mems()), "cpuset mems")])
        })
    }

    fn plan(&self, _target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let Some(cpu) = resources.cpu() else {
            return Ok(Vec::new());
        };
        let mut writes = Vec::new();
        for (list, option, name) in
            [(cpu.cpus(), "cpuset cpus", "cpuset.cpus"), (cpu.mems(), "cpuset mems", "cpuset.mems")]
        {
            let Some(list) = list.as_deref().filter(|list| !list.is_empty()) else {
                continue;
            };
            if parse_list(list).is_none() {
                return Err(Error::invalid(format!("set {option} to"), list, "not a list like 0-2,7"));
            }
            writes.push(Write::new(option, name, list));
        }
        Ok(writes)
    }

    fn hint(&self, target: Target<'_>, write: &Write, errno: Errno) -> Option<String> {
        // EACCES: not a subset of the parent's (v1); ERANGE: beyond the kernel's maximum.
        if !matches!(errno, Errno::INVAL | Errno::ACCESS | Errno::RANGE | Errno::NOSPC) {
            return None;
        }
        let (parent, _) = target.path.rsplit_once('/')?;
        let effective = if target.version == Version::V2 { ".effective" } else { "" };
        let available = file::read(&format!("{parent}/{}{effective}", write.choices[0].0)).ok()?;
        Some(format!("available: {}", available.trim()))
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        let list = |names: [&str; 2]| -> Result<Vec<u16>> {
            let name = names[usize::from(version == Version::V2)];
            let text = file::read_optional(&format!("{directory}/{name}"))?;
            Ok(text.and_then(|text| parse_list(&text)).unwrap_or_default())
        };
        let set = &mut stats.cpuset;
        set.cpus = list(["cpuset.cpus", "cpuset.cpus.effective"])?;
        set.mems = list(["cpuset.mems", "cpuset.mems.effective"])?;
        if version == Version::V2 {
            return Ok(());
        }
        let number = |name: &str| Ok(file::read_number(&format!("{directory}/cpuset.{name}"))?.unwrap_or_default());
        set.cpu_exclusive = number("cpu_exclusive")?;
        set.mem_hardwall = number("mem_hardwall")?;
        set.mem_exclusive = number("mem_exclusive")?;
        set.memory_migrate = number("memory_migrate")?;
        set.memory_spread_page = number("memory_spread_page")?;
        set.memory_spread_slab = number("memory_spread_slab")?;
        set.memory_pressure = number("memory_pressure")?;
        set.sched_load_balance = number("sched_load_balance")?;
        let level = file::read_optional(&format!("{directory}/cpuset.sched_relax_domain_level"))?;
        set.sched_relax_domain_level = level.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        Ok(())
    }
}

/// Gives a v1 group, and every group above it, the processors and nodes of its parent where it has none yet.
///
/// A new v1 cpuset is empty and takes no process (kernel documentation, admin-guide/cgroup-v1/cpusets, section 1.1).
pub(super) fn inherit(mount_point: &str, path: &str) -> Result<()> {
    let Some(relative) = path.strip_prefix(mount_point) else {
        return Ok(());
    };
    let mut current = mount_point.to_owned();
    for component in relative.split('/').filter(|component| !component.is_empty()) {
        let parent = current.clone();
        current.push('/');
        current.push_str(component);
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let own = format!("{current}/{name}");
            let read = |path: &str| file::read(path).map_err(|errno| Error::kernel("read", path, errno));
            if read(&own)?.trim().is_empty() {
                let value = read(&format!("{parent}/{name}"))?;
                file::write(&own, value.trim())
                    .map_err(|errno| Error::kernel("copy the parent's value to", &own, errno))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_inherit_fills_only_empty_levels() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().to_str().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (level, cpus) in [("", "0-3\n"), ("a", "1-2\n"), ("a/b", "\n")] {
            std::fs::write(dir.path().join(level).join("cpuset.cpus"), cpus).unwrap();
            let mems = if level.is_empty() { "0\n" } else { "\n" };
            std::fs::write(dir.path().join(level).join("cpuset.mems"), mems).unwrap();
        }
        inherit(top, &format!("{top}/a/b")).unwrap();
        let read = |path: &str| std::fs::read_to_string(dir.path().join(path)).unwrap().trim().to_owned();
        assert_eq!((read("a/cpuset.cpus"), read("a/cpuset.mems")), ("1-2".into(), "0".into()));
        assert_eq!((read("a/b/cpuset.cpus"), read("a/b/cpuset.mems")), ("1-2".into(), "0".into()));
    }

    #[test]
    fn test_plan_of_a_malformed_list_is_refused() {
        let plan = |cpus: &str| {
            let cpu = LinuxCpuBuilder::default().cpus(cpus).build().unwrap();
            let resources = LinuxResourcesBuilder::default().cpu(cpu).build().unwrap();
            Cpuset.plan(Target { version: Version::V1, path: "/x", fresh: true }, &resources)
        };
        assert_eq!(plan("0-1,3").unwrap(), [Write::new("cpuset cpus", "cpuset.cpus", "0-1,3")]);
        assert!(plan("1-0").is_err());
        assert!(plan("all").is_err());
    }
}
