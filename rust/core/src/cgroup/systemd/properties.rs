//! What a specification's resources are as properties of a systemd unit (systemd.resource-control(5)). Pure.
//!
//! systemd must know them, or it would write its own values over ours at the next daemon-reload. What it has no property for is set in
//! the control-group files alone.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::message::{Property, Value};
use crate::Result;
use crate::cgroup::cpu::shares_to_weight;
use crate::cgroup::device_rules::{self, Kind, List};
use crate::cgroup::memory::swap_to_v2;
use crate::cgroup::path::is_slice;
use crate::cgroup::stats::parse_list;

/// No limit.
const INFINITY: u64 = u64::MAX;
/// The kernel's default period, in µs.
const DEFAULT_PERIOD_US: u64 = 100_000;

/// Properties of a new scope, without its resources.
pub(super) fn scope(name: &str, slice: &str, pid: u32, v2: bool) -> Vec<Property> {
    let mut properties = vec![("Description", Value::Text(format!("pyctr container {name}")))];
    if is_slice(name) {
        properties.push(("Wants", Value::Texts(vec![slice.to_owned()])));
    } else {
        properties.push(("Slice", Value::Text(slice.to_owned())));
        properties.push(("Delegate", Value::Bool(true)));
        properties.push(("PIDs", Value::Numbers(vec![pid])));
    }
    let io = if v2 { "IOAccounting" } else { "BlockIOAccounting" };
    for accounting in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
        properties.push((accounting, Value::Bool(true)));
    }
    properties.push(("DefaultDependencies", Value::Bool(false)));
    properties
}

/// The resources, for a systemd of this version.
pub(super) fn resources(resources: &LinuxResources, v2: bool, systemd: u32, fresh: bool) -> Result<Vec<Property>> {
    let mut properties = Vec::new();
    if fresh || resources.devices().is_some() {
        devices(resources, systemd, &mut properties)?;
    }
    if let Some(given) = resources.memory() {
        memory(given, v2, &mut properties)?;
    }
    if let Some(given) = resources.cpu() {
        cpu(given, v2, systemd, &mut properties);
    }
    if let Some(limit) = resources.pids().map(|pids| pids.limit()).filter(|limit| *limit != 0) {
        properties.push(("TasksMax", Value::U64(u64::try_from(limit).unwrap_or(INFINITY))));
    }
    let weight =
        resources.block_io().as_ref().and_then(oci_spec::runtime::LinuxBlockIo::weight).filter(|weight| *weight != 0);
    if let Some(weight) = weight {
        properties.push(if v2 {
            ("IOWeight", Value::U64(crate::cgroup::blkio::weight_to_v2(weight)))
        } else {
            ("BlockIOWeight", Value::U64(u64::from(weight)))
        });
    }
    Ok(properties)
}

fn memory(given: &LinuxMemory, v2: bool, properties: &mut Vec<Property>) -> Result<()> {
    let bytes = |value: i64| Value::U64(u64::try_from(value).unwrap_or(INFINITY));
    let limit = given.limit().filter(|limit| *limit != 0);
    if let Some(limit) = limit {
        properties.push((if v2 { "MemoryMax" } else { "MemoryLimit" }, bytes(limit)));
    }
    if !v2 {
        return Ok(());
    }
    if let Some(reservation) = given.reservation().filter(|bytes| *bytes != 0) {
        properties.push(("MemoryLow", bytes(reservation)));
    }
    if let Some(swap) = swap_to_v2(limit.unwrap_or(0), given.swap().unwrap_or(0))? {
        properties.push(("MemorySwapMax", bytes(swap)));
    }
    Ok(())
}

fn cpu(given: &LinuxCpu, v2: bool, systemd: u32, properties: &mut Vec<Property>) {
    let idle = v2 && given.idle() == Some(1) && systemd >= 252;
    match given.shares().filter(|shares| *shares != 0) {
        // A weight of 0 is systemd's word for cpu.idle.
        _ if idle => properties.push(("CPUWeight", Value::U64(0))),
        Some(shares) if v2 => properties.push(("CPUWeight", Value::U64(shares_to_weight(shares)))),
        Some(shares) => properties.push(("CPUShares", Value::U64(shares))),
        None => {}
    }
    let (quota, period) = (given.quota().unwrap_or(0), given.period().unwrap_or(0));
    if period != 0 && systemd >= 242 {
        properties.push(("CPUQuotaPeriodUSec", Value::U64(period)));
    }
    if quota != 0 || period != 0 {
        properties.push(("CPUQuotaPerSecUSec", Value::U64(quota_a_second(quota, period))));
    }
    for (list, name) in [(given.cpus(), "AllowedCPUs"), (given.mems(), "AllowedMemoryNodes")] {
        // Before 244 systemd leaves cpusets alone.
        let list = list.as_deref().filter(|list| !list.is_empty() && systemd >= 244);
        if let Some(numbers) = list.and_then(parse_list) {
            properties.push((name, Value::Bytes(bits(&numbers))));
        }
    }
}

/// systemd counts whole percents of a processor: rounded up, so that what we write to the group's own file fits below.
fn quota_a_second(quota_us: i64, period_us: u64) -> u64 {
    let Ok(quota_us) = u64::try_from(quota_us) else {
        return INFINITY;
    };
    if quota_us == 0 {
        return INFINITY;
    }
    let period_us = if period_us == 0 { DEFAULT_PERIOD_US } else { period_us };
    quota_us.saturating_mul(1_000_000).div_euclid(period_us).next_multiple_of(10_000)
}

/// Numbers as a bit field, the lowest eight in the first byte.
fn bits(numbers: &[u16]) -> Vec<u8> {
    let mut bytes = vec![0_u8; numbers.iter().max().map_or(0, |most| usize::from(*most) / 8 + 1)];
    for number in numbers {
        bytes[usize::from(*number) / 8] |= 1 << (number % 8);
    }
    bytes
}

/// systemd knows lists of what is allowed only; the group itself gets the exact rules afterwards, stricter or not.
fn devices(resources: &LinuxResources, systemd: u32, properties: &mut Vec<Property>) -> Result<()> {
    let rules = device_rules::parse(resources.devices().as_deref().unwrap_or_default())?;
    let list = List::from_rules(&rules)?;
    let policy = if list.allows_all() { "auto" } else { "strict" };
    properties.push(("DevicePolicy", Value::Text(policy.to_owned())));
    properties.push(("DeviceAllow", Value::Pairs(Vec::new())));
    let Some(allowed) = list.allowed() else {
        return Ok(());
    };
    let mut pairs = Vec::new();
    for (device, access) in allowed {
        let (word, directory) = if device.kind == Kind::Block { ("block", "block") } else { ("char", "char") };
        let path = match (device.major, device.minor) {
            (None, None) => format!("{word}-*"),
            // By number since 240; older ones want a driver's name, and get the rule from the file.
            (Some(major), None) if systemd >= 240 => format!("{word}-{major}"),
            (Some(major), Some(minor)) => format!("/dev/{directory}/{major}:{minor}"),
            _ => continue,
        };
        pairs.push((path, access.to_string()));
    }
    properties.push(("DeviceAllow", Value::Pairs(pairs)));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(json: &serde_json::Value, v2: bool) -> Vec<Property> {
        resources(&serde_json::from_value(json.clone()).unwrap(), v2, 252, false).unwrap()
    }

    #[test]
    fn test_resources_on_v2_are_todays_properties() {
        let given = serde_json::json!({
            "memory": {"limit": 100, "swap": 300, "reservation": 50},
            "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000, "cpus": "0,9"},
            "pids": {"limit": -1}, "blockIO": {"weight": 1000}
        });
        assert_eq!(
            of(&given, true),
            [
                ("MemoryMax", Value::U64(100)),
                ("MemoryLow", Value::U64(50)),
                ("MemorySwapMax", Value::U64(200)),
                ("CPUWeight", Value::U64(100)),
                ("CPUQuotaPeriodUSec", Value::U64(100_000)),
                ("CPUQuotaPerSecUSec", Value::U64(500_000)),
                ("AllowedCPUs", Value::Bytes(vec![1, 2])),
                ("TasksMax", Value::U64(INFINITY)),
                ("IOWeight", Value::U64(10_000)),
            ]
        );
    }

    #[test]
    fn test_resources_on_v1_are_the_older_properties() {
        let given = serde_json::json!({"memory": {"limit": 100}, "cpu": {"shares": 512}, "blockIO": {"weight": 10}});
        assert_eq!(
            of(&given, false),
            [("MemoryLimit", Value::U64(100)), ("CPUShares", Value::U64(512)), ("BlockIOWeight", Value::U64(10))]
        );
    }

    #[test]
    fn test_quota_a_second_rounds_up_to_whole_percents() {
        assert_eq!(quota_a_second(-1, 100_000), INFINITY);
        assert_eq!(quota_a_second(12_345, 100_000), 130_000);
        assert_eq!(quota_a_second(50_000, 0), 500_000);
    }

    #[test]
    fn test_devices_are_paths_and_groups() {
        let rules = serde_json::json!({"devices": [
            {"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"}
        ]});
        let properties = of(&rules, true);
        let Value::Pairs(pairs) = &properties[2].1 else { panic!("{properties:?}") };
        assert!(pairs.contains(&("/dev/block/8:0".to_owned(), "r".to_owned())));
        assert!(pairs.contains(&("char-136".to_owned(), "rwm".to_owned())));
        assert!(pairs.contains(&("char-*".to_owned(), "m".to_owned())));
        let all = of(&serde_json::json!({"devices": [{"allow": true, "access": "rwm"}]}), true);
        assert_eq!(all, [("DevicePolicy", Value::Text("auto".into())), ("DeviceAllow", Value::Pairs(Vec::new()))]);
    }
}
