//! Statistics in the form runc's `events --stats` prints them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cgroup;
use super::Group;
use super::setting::read_file;

/// Everything the controllers count. Times in nanoseconds, sizes in bytes.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    /// CPU time and throttling.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: Blkio,
    /// Huge pages by size.
    pub hugetlb: BTreeMap<String, HugePages>,
}

/// CPU time.
#[derive(Debug, Default, Serialize)]
pub struct Cpu {
    /// Used.
    pub usage: CpuUsage,
    /// Held back by the bandwidth limit.
    pub throttling: Throttling,
}

/// CPU time used, nanoseconds.
#[derive(Debug, Default, Serialize)]
pub struct CpuUsage {
    /// By all.
    pub total: u64,
    /// A CPU each (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// Bandwidth limit.
#[derive(Debug, Default, Serialize)]
pub struct Throttling {
    /// Periods that passed.
    pub periods: u64,
    /// Of them held back.
    #[serde(rename = "throttledPeriods")]
    pub throttled_periods: u64,
    /// For how long, nanoseconds.
    #[serde(rename = "throttledTime")]
    pub throttled_time: u64,
}

/// Memory.
#[derive(Debug, Default, Serialize)]
pub struct Memory {
    /// Page cache, bytes.
    pub cache: u64,
    /// Memory.
    pub usage: MemoryUsage,
    /// Memory and swap on v1, swap on v2.
    pub swap: MemoryUsage,
    /// memory.stat as it is.
    pub raw: BTreeMap<String, u64>,
}

/// Bytes in use.
#[derive(Debug, Default, Serialize)]
pub struct MemoryUsage {
    /// May be used.
    pub limit: u64,
    /// Is used.
    pub usage: u64,
    /// Was used at most.
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Processes.
#[derive(Debug, Default, Serialize)]
pub struct Pids {
    /// Now.
    pub current: u64,
    /// At most; 0 without limit.
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Default, Serialize)]
pub struct Blkio {
    /// Bytes by device and operation.
    #[serde(rename = "ioServiceBytesRecursive")]
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations by device and operation.
    #[serde(rename = "ioServicedRecursive")]
    pub serviced: Vec<BlkioEntry>,
}

/// One counter of one device.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct BlkioEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Read, Write, …
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Huge pages of one size, bytes.
#[derive(Debug, Default, Serialize)]
pub struct HugePages {
    /// In use.
    pub usage: u64,
    /// At most so far.
    pub max: u64,
    /// Refused.
    pub failcnt: u64,
}

impl Cgroup {
    /// Reads the counters; what a host does not count is zero.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        if let Some(group) = &self.v2 {
            self.read_v2(group, &mut stats);
        }
        if let Some(group) = self.with_controller("cpuacct") {
            read_cpuacct(group, &mut stats.cpu.usage);
        }
        if let Some(group) = self.with_controller("cpu") {
            stats.cpu.throttling = throttling(&keys(group, "cpu.stat"), "throttled_time", 1);
        }
        if let Some(group) = self.with_controller("memory") {
            stats.memory = memory_v1(group);
        }
        if let Some(group) = self.with_controller("pids") {
            stats.pids = pids(group);
        }
        if let Some(group) = self.with_controller("blkio") {
            stats.blkio.service_bytes = blkio_v1(&text(group, "blkio.throttle.io_service_bytes_recursive"));
            stats.blkio.serviced = blkio_v1(&text(group, "blkio.throttle.io_serviced_recursive"));
        }
        stats
    }

    fn read_v2(&self, group: &Group, stats: &mut Stats) {
        if self.with_controller("cpu").is_none() {
            let counters = keys(group, "cpu.stat");
            let nanoseconds = |key: &str| counters.get(key).map_or(0, |microseconds| microseconds * 1000);
            stats.cpu.usage.total = nanoseconds("usage_usec");
            stats.cpu.usage.user = nanoseconds("user_usec");
            stats.cpu.usage.kernel = nanoseconds("system_usec");
            stats.cpu.throttling = throttling(&counters, "throttled_usec", 1000);
        }
        if self.with_controller("memory").is_none() {
            stats.memory = memory_v2(group);
        }
        if self.with_controller("pids").is_none() {
            stats.pids = pids(group);
        }
        if self.with_controller("blkio").is_none() {
            (stats.blkio.service_bytes, stats.blkio.serviced) = io_v2(&text(group, "io.stat"));
        }
    }
}

fn text(group: &Group, file: &str) -> String {
    read_file(&group.directory, file).unwrap_or_default()
}

/// A number, or the largest one for `max`.
fn value(group: &Group, file: &str) -> u64 {
    match text(group, file).trim() {
        "max" => u64::MAX,
        number => number.parse().unwrap_or(0),
    }
}

/// A flat keyed file.
fn keys(group: &Group, file: &str) -> BTreeMap<String, u64> {
    text(group, file)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(key, number)| Some((key.to_owned(), number.trim().parse().ok()?)))
        .collect()
}

fn read_cpuacct(group: &Group, usage: &mut CpuUsage) {
    /// User and kernel time come in ticks of 1/100 s (USER_HZ on every architecture pyctr runs on).
    const TICK_NS: u64 = 10_000_000;
    usage.total = value(group, "cpuacct.usage");
    usage.percpu =
        text(group, "cpuacct.usage_percpu").split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let ticks = keys(group, "cpuacct.stat");
    usage.user = ticks.get("user").copied().unwrap_or(0) * TICK_NS;
    usage.kernel = ticks.get("system").copied().unwrap_or(0) * TICK_NS;
}

fn throttling(counters: &BTreeMap<String, u64>, time: &str, unit_ns: u64) -> Throttling {
    let get = |key: &str| counters.get(key).copied().unwrap_or(0);
    Throttling {
        periods: get("nr_periods"),
        throttled_periods: get("nr_throttled"),
        throttled_time: get(time) * unit_ns,
    }
}

fn memory_v1(group: &Group) -> Memory {
    let usage = |prefix: &str| MemoryUsage {
        limit: value(group, &format!("{prefix}.limit_in_bytes")),
        usage: value(group, &format!("{prefix}.usage_in_bytes")),
        max: value(group, &format!("{prefix}.max_usage_in_bytes")),
        failcnt: value(group, &format!("{prefix}.failcnt")),
    };
    let raw = keys(group, "memory.stat");
    let cache = raw.get("total_cache").copied().unwrap_or(0);
    Memory { cache, usage: usage("memory"), swap: usage("memory.memsw"), raw }
}

fn memory_v2(group: &Group) -> Memory {
    let usage = |prefix: &str| MemoryUsage {
        limit: value(group, &format!("{prefix}.max")),
        usage: value(group, &format!("{prefix}.current")),
        max: value(group, &format!("{prefix}.peak")),
        failcnt: 0,
    };
    let raw = keys(group, "memory.stat");
    let cache = raw.get("file").copied().unwrap_or(0);
    Memory { cache, usage: usage("memory"), swap: usage("memory.swap"), raw }
}

fn pids(group: &Group) -> Pids {
    let limit = value(group, "pids.max");
    Pids { current: value(group, "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } }
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn blkio_v1(text: &str) -> Vec<BlkioEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (major, minor) = device(words.next()?)?;
            Some(BlkioEntry { major, minor, op: words.next()?.to_owned(), value: words.next()?.parse().ok()? })
        })
        .collect()
}

fn io_v2(text: &str) -> (Vec<BlkioEntry>, Vec<BlkioEntry>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (key, number) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value: number.parse().unwrap_or(0) });
        }
    }
    (bytes, operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_stat_is_split_by_unit() {
        let (bytes, operations) = io_v2("8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0\n");
        assert_eq!(bytes[1], BlkioEntry { major: 8, minor: 0, op: "Write".into(), value: 20 });
        assert_eq!(operations.len(), 2);
    }

    #[test]
    fn blkio_total_line_is_passed_over() {
        assert_eq!(blkio_v1("8:0 Read 5\nTotal 5\n").len(), 1);
    }
}
