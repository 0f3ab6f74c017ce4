//! The memory controller: limit, reservation, swap, swappiness, OOM killer.

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use rustix::io::Errno;

use super::controller::{Asked, Controller, OnError, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::{MemoryEntry, Stats, read_pressure};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Memory;

/// The options' names in messages.
const LIMIT: &str = "memory limit";
const SWAP: &str = "memory swap limit";

impl Controller for Memory {
    fn name(&self, _version: Version) -> &'static str {
        "memory"
    }

    fn always(&self) -> bool {
        true
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let Some(memory) = resources.memory() else {
            return Asked::Nothing;
        };
        let limits = [(memory.limit(), LIMIT), (memory.swap(), SWAP), (memory.reservation(), "memory reservation")];
        if let Some((_, name)) = limits.iter().find(|(value, _)| value.is_some_and(|bytes| bytes > 0)) {
            return Asked::Limit(name);
        }
        match Asked::first(&[
            (memory.swappiness().is_some(), "memory swappiness"),
            (memory.disable_oom_killer() == Some(true), "oom-kill-disable"),
        ]) {
            Asked::Nothing if limits.iter().any(|(value, _)| value.is_some_and(|bytes| bytes != 0)) => Asked::Unlimited,
            asked => asked,
        }
    }

    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let Some(memory) = resources.memory() else {
            return Ok(Vec::new());
        };
        check(memory)?;
        match target.version {
            Version::V1 => Ok(plan_v1(target, memory)),
            Version::V2 => plan_v2(memory),
        }
    }

    fn apply(&self, target: Target<'_>, resources: &LinuxResources) -> Result<()> {
        if let Some(memory) = resources.memory() {
            check_usage(target, memory)?;
        }
        let writes = self.plan(target, resources)?;
        super::controller::run(target, &writes, |write, errno| self.hint(target, write, errno))
    }

    fn hint(&self, target: Target<'_>, write: &Write, errno: Errno) -> Option<String> {
        match (write.option, errno) {
            (SWAP, Errno::NOENT) => Some("the kernel does not account swap; boot it with swapaccount=1".into()),
            (LIMIT | SWAP, Errno::BUSY) => {
                let usage = file::read_number(&format!("{}/memory.usage_in_bytes", target.path)).ok().flatten()?;
                Some(format!("{usage} bytes are in use and cannot be reclaimed"))
            }
            (LIMIT | SWAP, Errno::INVAL) => Some("memory and swap together must be at least the memory limit".into()),
            _ => None,
        }
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        let Some(text) = file::read_optional(&format!("{directory}/memory.stat"))? else {
            return Ok(());
        };
        let memory = &mut stats.memory;
        memory.raw = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?)))
            .collect();
        match version {
            Version::V1 => {
                memory.cache = memory.raw.get("cache").copied().unwrap_or_default();
                memory.usage = entry_v1(directory, "memory")?;
                memory.swap = entry_v1(directory, "memory.memsw")?;
                memory.kernel = entry_v1(directory, "memory.kmem")?;
                memory.kernel_tcp = entry_v1(directory, "memory.kmem.tcp")?;
            }
            Version::V2 => {
                memory.cache = memory.raw.get("file").copied().unwrap_or_default();
                memory.usage = entry_v2(directory, "memory")?;
                memory.swap = entry_v2(directory, "memory.swap")?;
                // runc reports memory and swap together, as v1 counts; the two peaks need not have been at one time.
                memory.swap.usage += memory.usage.usage;
                memory.swap.limit = memory.swap.limit.saturating_add(memory.usage.limit);
                memory.swap.max = 0;
                memory.psi = read_pressure(&format!("{directory}/memory.pressure"))?;
            }
        }
        Ok(())
    }
}

fn check(memory: &LinuxMemory) -> Result<()> {
    for (value, option) in
        [(memory.limit(), LIMIT), (memory.swap(), SWAP), (memory.reservation(), "memory reservation")]
    {
        if value.is_some_and(|bytes| bytes < -1) {
            return Err(Error::invalid(
                format!("set {option} to"),
                value.unwrap_or_default().to_string(),
                "neither a size nor -1",
            ));
        }
    }
    if memory.swappiness().is_some_and(|percent| percent > 100) {
        let value = memory.swappiness().unwrap_or_default().to_string();
        return Err(Error::invalid("set memory swappiness to", value, "valid range is 0 to 100"));
    }
    let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    if limit > 0 && swap > 0 && swap < limit {
        return Err(Error::invalid(
            "set memory swap limit to",
            swap.to_string(),
            format!("less than the memory limit {limit}"),
        ));
    }
    Ok(())
}

/// A limit below what is used makes v2 kill; with checkBeforeUpdate the specification wants it refused. v1 refuses by itself.
fn check_usage(target: Target<'_>, memory: &LinuxMemory) -> Result<()> {
    let limit = u64::try_from(memory.limit().unwrap_or(0)).unwrap_or(0);
    if memory.check_before_update() != Some(true) || target.fresh || target.version == Version::V1 || limit == 0 {
        return Ok(());
    }
    let usage = file::read_number(&format!("{}/memory.current", target.path))?.unwrap_or(0);
    if usage > limit {
        return Err(Error::invalid("set memory limit to", limit.to_string(), format!("{usage} bytes are in use")));
    }
    Ok(())
}

/// The kernel keeps limit ≤ memsw.limit. Lowering both, the limit goes first; raising both, it is refused first and goes last.
fn plan_v1(target: Target<'_>, memory: &LinuxMemory) -> Vec<Write> {
    let mut writes = Vec::new();
    let limit = memory.limit().unwrap_or(0);
    if limit != 0 {
        writes.push(Write::new(LIMIT, "memory.limit_in_bytes", limit).on_error(OnError::RetryLast));
    }
    match memory.swap().unwrap_or(0) {
        // Unlimited memory means unlimited swap too, where the kernel counts it.
        0 if limit == -1 => {
            writes.push(Write::new(SWAP, "memory.memsw.limit_in_bytes", -1).on_error(OnError::IgnoreMissing));
        }
        0 => {}
        swap => writes.push(Write::new(SWAP, "memory.memsw.limit_in_bytes", swap)),
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        writes.push(Write::new("memory reservation", "memory.soft_limit_in_bytes", reservation));
    }
    match memory.disable_oom_killer() {
        Some(true) => writes.push(Write::new("oom-kill-disable", "memory.oom_control", 1)),
        Some(false) if !target.fresh => writes.push(Write::new("oom-kill-disable", "memory.oom_control", 0)),
        _ => {}
    }
    if let Some(swappiness) = memory.swappiness() {
        writes.push(Write::new("memory swappiness", "memory.swappiness", swappiness));
    }
    writes
}

fn plan_v2(memory: &LinuxMemory) -> Result<Vec<Write>> {
    let mut writes = Vec::new();
    let bytes = |value: i64| if value == -1 { "max".to_owned() } else { value.to_string() };
    if let Some(swap) = swap_to_v2(memory.limit().unwrap_or(0), memory.swap().unwrap_or(0))? {
        // Without swap in the kernel there is none to forbid, and none to limit.
        let harmless = swap == -1 || swap == 0;
        let on_error = if harmless { OnError::IgnoreMissing } else { OnError::Fail };
        writes.push(Write::new(SWAP, "memory.swap.max", bytes(swap)).on_error(on_error));
    }
    if let Some(limit) = memory.limit().filter(|bytes| *bytes != 0) {
        writes.push(Write::new(LIMIT, "memory.max", bytes(limit)));
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        writes.push(Write::new("memory reservation", "memory.low", bytes(reservation)));
    }
    Ok(writes)
}

/// The OCI (v1) sum of memory and swap as v2's swap alone, as runc converts it; None leaves it alone, -1 is no limit.
pub(super) fn swap_to_v2(limit: i64, swap: i64) -> Result<Option<i64>> {
    match (limit, swap) {
        (-1, 0) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (_, -1) => Ok(Some(-1)),
        (-1, swap) => Ok(Some(swap)),
        (0, _) => Err(Error::invalid("set memory swap limit to", swap.to_string(), "not without a memory limit")),
        (limit, swap) => Ok(Some(swap - limit)),
    }
}

fn entry_v1(directory: &str, prefix: &str) -> Result<MemoryEntry> {
    let read = |name: &str| file::read_number(&format!("{directory}/{prefix}.{name}"));
    // Swap and kernel memory are options of the kernel.
    let Some(usage) = read("usage_in_bytes")? else {
        return Ok(MemoryEntry::default());
    };
    Ok(MemoryEntry {
        usage,
        max: read("max_usage_in_bytes")?.unwrap_or_default(),
        failcnt: read("failcnt")?.unwrap_or_default(),
        limit: read("limit_in_bytes")?.unwrap_or_default(),
    })
}

fn entry_v2(directory: &str, prefix: &str) -> Result<MemoryEntry> {
    let read = |name: &str| file::read_number(&format!("{directory}/{prefix}.{name}"));
    let Some(usage) = read("current")? else {
        return Ok(MemoryEntry::default());
    };
    let events = file::read_optional(&format!("{directory}/{prefix}.events"))?.unwrap_or_default();
    Ok(MemoryEntry {
        usage,
        limit: read("max")?.unwrap_or_default(),
        // memory.peak came with Linux 5.19, memory.swap.peak with 6.5.
        max: read("peak")?.unwrap_or_default(),
        failcnt: file::keyed_number(&events, "max").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    use super::*;

    fn plan(version: Version, fresh: bool, memory: LinuxMemoryBuilder) -> Result<Vec<(String, String)>> {
        let resources = LinuxResourcesBuilder::default().memory(memory.build().unwrap()).build().unwrap();
        let writes = Memory.plan(Target { version, path: "/x", fresh }, &resources)?;
        Ok(writes.into_iter().map(|write| (write.choices[0].0.to_string(), write.choices[0].1.clone())).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn test_plan_v1_of_all_options_writes_limit_before_swap() {
        let memory = LinuxMemoryBuilder::default()
            .limit(100)
            .swap(200)
            .reservation(50)
            .swappiness(7_u64)
            .disable_oom_killer(true);
        assert_eq!(
            plan(Version::V1, true, memory).unwrap(),
            pairs(&[
                ("memory.limit_in_bytes", "100"),
                ("memory.memsw.limit_in_bytes", "200"),
                ("memory.soft_limit_in_bytes", "50"),
                ("memory.oom_control", "1"),
                ("memory.swappiness", "7"),
            ])
        );
        let unlimited = LinuxMemoryBuilder::default().limit(-1);
        assert_eq!(
            plan(Version::V1, true, unlimited).unwrap(),
            pairs(&[("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")])
        );
    }

    #[test]
    fn test_plan_v1_oom_killer_is_switched_on_again_only_by_update() {
        let memory = || LinuxMemoryBuilder::default().disable_oom_killer(false);
        assert_eq!(plan(Version::V1, true, memory()).unwrap(), []);
        assert_eq!(plan(Version::V1, false, memory()).unwrap(), pairs(&[("memory.oom_control", "0")]));
    }

    #[test]
    fn test_plan_v2_converts_swap() {
        let memory = LinuxMemoryBuilder::default().limit(100).swap(300).reservation(50);
        assert_eq!(
            plan(Version::V2, true, memory).unwrap(),
            pairs(&[("memory.swap.max", "200"), ("memory.max", "100"), ("memory.low", "50")])
        );
        let none = LinuxMemoryBuilder::default().limit(100).swap(100);
        assert_eq!(plan(Version::V2, true, none).unwrap(), pairs(&[("memory.swap.max", "0"), ("memory.max", "100")]));
        let unlimited = LinuxMemoryBuilder::default().limit(-1);
        assert_eq!(
            plan(Version::V2, true, unlimited).unwrap(),
            pairs(&[("memory.swap.max", "max"), ("memory.max", "max")])
        );
        let swap_alone = LinuxMemoryBuilder::default().swap(100);
        assert!(plan(Version::V2, true, swap_alone).is_err());
    }

    #[test]
    fn test_plan_of_values_out_of_range_is_refused() {
        let memories: [fn() -> LinuxMemoryBuilder; 3] = [
            || LinuxMemoryBuilder::default().limit(-2),
            || LinuxMemoryBuilder::default().limit(100).swap(99),
            || LinuxMemoryBuilder::default().swappiness(101_u64),
        ];
        for memory in memories {
            assert!(plan(Version::V1, true, memory()).is_err());
            assert!(plan(Version::V2, true, memory()).is_err());
        }
    }

    #[test]
    fn test_stats_v2_from_files_combines_memory_and_swap() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("memory.stat", "anon 10\nfile 20\n"),
            ("memory.current", "30\n"),
            ("memory.max", "max\n"),
            ("memory.peak", "40\n"),
            ("memory.events", "low 0\nhigh 0\nmax 6\noom 0\noom_kill 0\n"),
            ("memory.swap.current", "5\n"),
            ("memory.swap.max", "100\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut stats = Stats::default();
        Memory.stats(Version::V2, dir.path().to_str().unwrap(), &mut stats).unwrap();
        assert_eq!(stats.memory.cache, 20);
        assert_eq!(stats.memory.usage, MemoryEntry { limit: u64::MAX, usage: 30, max: 40, failcnt: 6 });
        assert_eq!((stats.memory.swap.usage, stats.memory.swap.limit), (35, u64::MAX));
    }
}
