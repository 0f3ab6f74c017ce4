//! The cpu controller: shares, quota, burst, idle, real-time.

use oci_spec::runtime::{LinuxCpu, LinuxResources};
use rustix::io::Errno;

use super::controller::{Asked, Controller, OnError, Target, Write, run};
use super::file;
use super::hierarchy::Version;
use super::stats::{Stats, read_pressure};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Cpu;

/// What the kernel takes for shares (kernel/sched/sched.h: `MIN_SHARES`, `MAX_SHARES`); it would silently clamp others.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

impl Controller for Cpu {
    fn name(&self, _version: Version) -> &'static str {
        "cpu"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let Some(cpu) = resources.cpu() else {
            return Asked::Nothing;
        };
        let asked = Asked::first(&[
            (shares(cpu).is_some(), "cpu shares"),
            (cpu.quota().is_some_and(|us| us > 0), "cpu quota"),
            (period(cpu).is_some(), "cpu period"),
            (cpu.burst().is_some(), "cpu burst"),
            (cpu.idle().is_some_and(|idle| idle != 0), "cpu idle"),
            (cpu.realtime_runtime().is_some_and(|us| us != 0), "realtime runtime"),
            (cpu.realtime_period().is_some_and(|us| us != 0), "realtime period"),
        ]);
        match asked {
            Asked::Nothing if cpu.quota().is_some_and(|us| us != 0) || cpu.idle().is_some() => Asked::Unlimited,
            asked => asked,
        }
    }

    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let Some(cpu) = resources.cpu() else {
            return Ok(Vec::new());
        };
        check(cpu)?;
        match target.version {
            Version::V1 => Ok(plan_v1(cpu)),
            Version::V2 => plan_v2(cpu, None),
        }
    }

    fn apply(&self, target: Target<'_>, resources: &LinuxResources) -> Result<()> {
        let writes = match resources.cpu() {
            // cpu.max holds both: a new period alone must carry the quota that is set.
            Some(cpu)
                if target.version == Version::V2 && !target.fresh && quota(cpu).is_none() && period(cpu).is_some() =>
            {
                check(cpu)?;
                let current = file::read_optional(&format!("{}/cpu.max", target.path))?;
                plan_v2(cpu, current.as_deref())?
            }
            _ => self.plan(target, resources)?,
        };
        run(target, &writes, |write, errno| self.hint(target, write, errno))
    }

    fn hint(&self, _target: Target<'_>, write: &Write, errno: Errno) -> Option<String> {
        match (write.option, errno) {
            ("cpu quota" | "cpu period", Errno::INVAL) => {
                Some("quota and period are 1000 to 1000000 µs, and no more than the parent group has".into())
            }
            ("realtime runtime" | "realtime period", Errno::NOENT) => {
                Some("the kernel has no real-time group scheduling".into())
            }
            ("cpu burst", Errno::INVAL) => Some("the burst must not exceed the quota".into()),
            ("cpu shares", Errno::INVAL) => Some("an idle group has no shares".into()),
            _ => None,
        }
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        let Some(text) = file::read_optional(&format!("{directory}/cpu.stat"))? else {
            return Ok(());
        };
        let number = |key: &str| file::keyed_number(&text, key).unwrap_or_default();
        let throttling = &mut stats.cpu.throttling;
        throttling.periods = number("nr_periods");
        throttling.throttled_periods = number("nr_throttled");
        match version {
            Version::V1 => throttling.throttled_time = number("throttled_time"),
            Version::V2 => {
                throttling.throttled_time = number("throttled_usec") * 1000;
                stats.cpu.usage.total = number("usage_usec") * 1000;
                stats.cpu.usage.user = number("user_usec") * 1000;
                stats.cpu.usage.kernel = number("system_usec") * 1000;
                stats.cpu.psi = read_pressure(&format!("{directory}/cpu.pressure"))?;
            }
        }
        Ok(())
    }
}

/// Zero means unset, as for runc.
fn shares(cpu: &LinuxCpu) -> Option<u64> {
    cpu.shares().filter(|shares| *shares != 0)
}

fn quota(cpu: &LinuxCpu) -> Option<i64> {
    cpu.quota().filter(|us| *us != 0)
}

fn period(cpu: &LinuxCpu) -> Option<u64> {
    cpu.period().filter(|us| *us != 0)
}

fn check(cpu: &LinuxCpu) -> Result<()> {
    if let Some(shares) = shares(cpu).filter(|shares| !SHARES.contains(shares)) {
        return Err(Error::invalid("set cpu shares to", shares.to_string(), "valid range is 2 to 262144"));
    }
    if let Some(quota) = cpu.quota().filter(|us| *us < -1) {
        return Err(Error::invalid("set cpu quota to", quota.to_string(), "neither a time nor -1"));
    }
    if let Some(idle) = cpu.idle().filter(|idle| !(0..=1).contains(idle)) {
        return Err(Error::invalid("set cpu idle to", idle.to_string(), "neither 0 nor 1"));
    }
    Ok(())
}

/// Period against quota against parent, burst against quota, shares against idle: each order is wrong for some update.
fn plan_v1(cpu: &LinuxCpu) -> Vec<Write> {
    let mut writes = Vec::new();
    // Before the first process joins: a SCHED_RR task cannot enter a group without real-time budget.
    if let Some(us) = cpu.realtime_period().filter(|us| *us != 0) {
        writes.push(Write::new("realtime period", "cpu.rt_period_us", us).on_error(OnError::RetryLast));
    }
    if let Some(us) = cpu.realtime_runtime().filter(|us| *us != 0) {
        writes.push(Write::new("realtime runtime", "cpu.rt_runtime_us", us));
    }
    if let Some(shares) = shares(cpu) {
        writes.push(Write::new("cpu shares", "cpu.shares", shares).on_error(OnError::RetryLast));
    }
    if let Some(us) = period(cpu) {
        writes.push(Write::new("cpu period", "cpu.cfs_period_us", us).on_error(OnError::RetryLast));
    }
    if let Some(us) = cpu.burst() {
        writes.push(Write::new("cpu burst", "cpu.cfs_burst_us", us).on_error(OnError::RetryLast));
    }
    if let Some(us) = quota(cpu) {
        writes.push(Write::new("cpu quota", "cpu.cfs_quota_us", us).on_error(OnError::RetryLast));
    }
    if let Some(idle) = cpu.idle() {
        writes.push(Write::new("cpu idle", "cpu.idle", idle));
    }
    writes
}

fn plan_v2(cpu: &LinuxCpu, current_max: Option<&str>) -> Result<Vec<Write>> {
    for (value, option) in [
        (cpu.realtime_runtime().is_some_and(|us| us != 0), "realtime runtime"),
        (cpu.realtime_period().is_some_and(|us| us != 0), "realtime period"),
    ] {
        if value {
            return Err(Error::invalid("set", option, "control groups v2 have no real-time limits"));
        }
    }
    let mut writes = Vec::new();
    if let Some(shares) = shares(cpu) {
        writes.push(Write::new("cpu shares", "cpu.weight", shares_to_weight(shares)).on_error(OnError::RetryLast));
    }
    if let Some(us) = cpu.burst() {
        writes.push(Write::new("cpu burst", "cpu.max.burst", us).on_error(OnError::RetryLast));
    }
    let quota_text = |us: i64| if us == -1 { "max".to_owned() } else { us.to_string() };
    match (quota(cpu), period(cpu)) {
        (None, None) => {}
        // Alone it leaves the period as it is.
        (Some(quota), None) => writes.push(max_write("cpu quota", quota_text(quota))),
        (Some(quota), Some(period)) => writes.push(max_write("cpu quota", format!("{} {period}", quota_text(quota)))),
        (None, Some(period)) => {
            let quota = current_max.and_then(|text| text.split_ascii_whitespace().next()).unwrap_or("max");
            writes.push(max_write("cpu period", format!("{quota} {period}")));
        }
    }
    if let Some(idle) = cpu.idle() {
        writes.push(Write::new("cpu idle", "cpu.idle", idle));
    }
    Ok(writes)
}

fn max_write(option: &'static str, value: String) -> Write {
    Write::new(option, "cpu.max", value).on_error(OnError::RetryLast)
}

/// v1 shares as a v2 weight: the quadratic runc and crun agreed on, exact at 2 → 1, 1024 → 100 and 262144 → 10000.
///
/// The linear map they had before gave the default share 39, a third of what the kernel gives by default.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 1 to 262144
pub fn shares_to_weight(shares: u64) -> u64 {
    if shares <= *SHARES.start() {
        return 1;
    }
    if shares >= *SHARES.end() {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Rounded up, but not over an error of the last bits.
    (10_f64.powf(exponent) - 1e-9).ceil() as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxResourcesBuilder};

    use super::*;

    fn plan(version: Version, cpu: LinuxCpuBuilder) -> Result<Vec<String>> {
        let resources = LinuxResourcesBuilder::default().cpu(cpu.build().unwrap()).build().unwrap();
        let writes = Cpu.plan(Target { version, path: "/x", fresh: true }, &resources)?;
        Ok(writes.into_iter().map(|write| format!("{}={}", write.choices[0].0, write.choices[0].1)).collect())
    }

    #[test]
    fn test_shares_to_weight_at_the_fixed_points_is_exact_and_it_never_falls() {
        assert_eq!([0, 1, 2, 1024, 262_144, 300_000].map(shares_to_weight), [1, 1, 1, 100, 10_000, 10_000]);
        let weights: Vec<u64> = (2..262_144).step_by(97).map(shares_to_weight).collect();
        assert!(weights.is_sorted());
        assert!(weights.iter().all(|weight| (1..=10_000).contains(weight)));
    }

    #[test]
    fn test_plan_v1_of_all_options() {
        let cpu = LinuxCpuBuilder::default().shares(512_u64).quota(50_000).period(100_000_u64).burst(10_u64).idle(0);
        assert_eq!(
            plan(Version::V1, cpu).unwrap(),
            [
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_burst_us=10",
                "cpu.cfs_quota_us=50000",
                "cpu.idle=0"
            ]
        );
    }

    #[test]
    fn test_plan_v2_quota_and_period_are_one_file() {
        let of = |cpu: LinuxCpuBuilder| plan(Version::V2, cpu).unwrap();
        assert_eq!(of(LinuxCpuBuilder::default().quota(5000).period(10_000_u64)), ["cpu.max=5000 10000"]);
        assert_eq!(of(LinuxCpuBuilder::default().quota(-1)), ["cpu.max=max"]);
        assert_eq!(of(LinuxCpuBuilder::default().period(10_000_u64)), ["cpu.max=max 10000"]);
        assert_eq!(of(LinuxCpuBuilder::default().shares(1024_u64)), ["cpu.weight=100"]);
        assert_eq!(of(LinuxCpuBuilder::default().quota(0).shares(0_u64)), [""; 0]);
        let kept =
            plan_v2(&LinuxCpuBuilder::default().period(20_000_u64).build().unwrap(), Some("7000 100000\n")).unwrap();
        assert_eq!(kept[0].choices[0].1, "7000 20000");
    }

    #[test]
    fn test_plan_of_values_out_of_range_is_refused() {
        let cpus: [fn() -> LinuxCpuBuilder; 4] = [
            || LinuxCpuBuilder::default().shares(1_u64),
            || LinuxCpuBuilder::default().shares(262_145_u64),
            || LinuxCpuBuilder::default().quota(-5),
            || LinuxCpuBuilder::default().idle(2),
        ];
        for cpu in cpus {
            assert!(plan(Version::V1, cpu()).is_err());
            assert!(plan(Version::V2, cpu()).is_err());
        }
        let realtime = || LinuxCpuBuilder::default().realtime_runtime(1000);
        assert!(plan(Version::V1, realtime()).is_ok());
        assert!(plan(Version::V2, realtime()).unwrap_err().to_string().contains("realtime runtime"));
    }
}
