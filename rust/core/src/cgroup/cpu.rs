//! The cpu controller.

use oci_spec::runtime::LinuxCpu;

use super::Setting;

/// Default period of the bandwidth controller.
const PERIOD_US: u64 = 100_000;

/// v1 files; the period before the quota, which is judged against it.
pub fn v1(cpu: &LinuxCpu) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        settings.push(Setting::new("cpu.shares", shares));
    }
    if let Some(period_us) = cpu.period().filter(|period| *period != 0) {
        settings.push(Setting::new("cpu.cfs_period_us", period_us));
    }
    if let Some(quota_us) = cpu.quota().filter(|quota| *quota != 0) {
        settings.push(Setting::new("cpu.cfs_quota_us", quota_us));
    }
    if let Some(burst_us) = cpu.burst() {
        settings.push(Setting::new("cpu.cfs_burst_us", burst_us));
    }
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("cpu.idle", idle));
    }
    if let Some(period_us) = cpu.realtime_period().filter(|period| *period != 0) {
        settings.push(Setting::new("cpu.rt_period_us", period_us));
    }
    if let Some(runtime_us) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        settings.push(Setting::new("cpu.rt_runtime_us", runtime_us));
    }
    settings
}

/// v2 files.
pub fn v2(cpu: &LinuxCpu) -> Vec<Setting> {
    let mut settings = Vec::new();
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new("cpu.idle", idle));
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        settings.push(Setting::new("cpu.weight", weight(shares)));
    }
    if cpu.quota().is_some() || cpu.period().is_some() {
        let quota = match cpu.quota() {
            Some(quota_us) if quota_us > 0 => quota_us.to_string(),
            _ => "max".to_owned(),
        };
        let period_us = cpu.period().filter(|period| *period != 0).unwrap_or(PERIOD_US);
        settings.push(Setting::new("cpu.max", format!("{quota} {period_us}")));
    }
    if let Some(burst_us) = cpu.burst() {
        settings.push(Setting::new("cpu.max.burst", burst_us));
    }
    settings
}

/// v1 shares (2 to 262144, default 1024) as v2 weight (1 to 10000, default 100), linear in between as runc 1.1 has it:
/// containers of one host must weigh alike whoever started them.
pub fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxCpuBuilder;

    use super::*;

    #[test]
    fn weight_keeps_the_ends_of_the_range() {
        assert_eq!((weight(2), weight(1024), weight(262_144), weight(0)), (1, 39, 10_000, 1));
    }

    #[test]
    fn v2_period_alone_means_no_quota() {
        let cpu = LinuxCpuBuilder::default().period(50_000u64).build().unwrap();
        assert_eq!(v2(&cpu), [Setting::new("cpu.max", "max 50000")]);
    }

    #[test]
    fn v1_period_is_written_before_quota() {
        let cpu = LinuxCpuBuilder::default().period(50_000u64).quota(25_000).build().unwrap();
        assert_eq!(
            v1(&cpu).iter().map(|s| s.file.as_str()).collect::<Vec<_>>(),
            ["cpu.cfs_period_us", "cpu.cfs_quota_us"]
        );
    }
}
