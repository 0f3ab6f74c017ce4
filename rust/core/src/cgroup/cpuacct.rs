//! The cpuacct controller of v1: processor time used. v2 counts it in `cpu.stat` of every group.

use oci_spec::runtime::LinuxResources;

use super::controller::{Asked, Controller, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::Stats;
use crate::Result;

#[derive(Debug)]
pub(super) struct Cpuacct;

/// `cpuacct.stat` counts in USER_HZ, which is 100 on every architecture Linux has been ported to since 2.6.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

impl Controller for Cpuacct {
    fn name(&self, _version: Version) -> &'static str {
        "cpuacct"
    }

    fn always(&self) -> bool {
        true
    }

    fn is_core_of_v2(&self) -> bool {
        true
    }

    fn asked(&self, _resources: &LinuxResources) -> Asked {
        Asked::Nothing
    }

    fn plan(&self, _target: Target<'_>, _resources: &LinuxResources) -> Result<Vec<Write>> {
        Ok(Vec::new())
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        if version == Version::V2 {
            return Ok(()); // The cpu controller reads the file.
        }
        let usage = &mut stats.cpu.usage;
        usage.total = file::read_number(&format!("{directory}/cpuacct.usage"))?.unwrap_or_default();
        if let Some(text) = file::read_optional(&format!("{directory}/cpuacct.stat"))? {
            usage.user = file::keyed_number(&text, "user").unwrap_or_default() * NANOSECONDS_PER_TICK;
            usage.kernel = file::keyed_number(&text, "system").unwrap_or_default() * NANOSECONDS_PER_TICK;
        }
        if let Some(text) = file::read_optional(&format!("{directory}/cpuacct.usage_percpu"))? {
            usage.percpu = text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect();
        }
        if let Some(text) = file::read_optional(&format!("{directory}/cpuacct.usage_all"))? {
            (usage.percpu_user, usage.percpu_kernel) = parse_usage_all(&text);
        }
        Ok(())
    }
}

/// `cpu user system` under a heading.
fn parse_usage_all(text: &str) -> (Vec<u64>, Vec<u64>) {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            Some((fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?))
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_stats_v1_from_files() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpuacct.usage", "12345\n"),
            ("cpuacct.stat", "user 3\nsystem 2\n"),
            ("cpuacct.usage_percpu", "12000 345 \n"),
            ("cpuacct.usage_all", "cpu user system\n0 7 8\n1 9 10\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut stats = Stats::default();
        Cpuacct.stats(Version::V1, dir.path().to_str().unwrap(), &mut stats).unwrap();
        let usage = stats.cpu.usage;
        assert_eq!((usage.total, usage.user, usage.kernel), (12345, 30_000_000, 20_000_000));
        assert_eq!((usage.percpu, usage.percpu_user, usage.percpu_kernel), (vec![12000, 345], vec![7, 9], vec![8, 10]));
    }
}
