//! The blkio controller of v1 and io of v2: weight and throttling by device.

use std::borrow::Cow;

use oci_spec::runtime::{LinuxBlockIo, LinuxResources, LinuxThrottleDevice};
use rustix::io::Errno;

use super::controller::{Asked, Controller, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::{BlkioEntry, Stats, read_pressure};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Blkio;

/// One kind of throttling: its name in messages, v1's file, v2's key.
struct Throttle {
    option: &'static str,
    v1: &'static str,
    v2: &'static str,
}

const THROTTLES: [Throttle; 4] = [
    Throttle { option: "device read bps", v1: "blkio.throttle.read_bps_device", v2: "rbps" },
    Throttle { option: "device write bps", v1: "blkio.throttle.write_bps_device", v2: "wbps" },
    Throttle { option: "device read iops", v1: "blkio.throttle.read_iops_device", v2: "riops" },
    Throttle { option: "device write iops", v1: "blkio.throttle.write_iops_device", v2: "wiops" },
];

fn throttled(block: &LinuxBlockIo) -> [&[LinuxThrottleDevice]; 4] {
    [
        block.throttle_read_bps_device().as_deref().unwrap_or_default(),
        block.throttle_write_bps_device().as_deref().unwrap_or_default(),
        block.throttle_read_iops_device().as_deref().unwrap_or_default(),
        block.throttle_write_iops_device().as_deref().unwrap_or_default(),
    ]
}

/// Zero means unset, as for runc.
fn given(weight: Option<u16>) -> Option<u16> {
    weight.filter(|weight| *weight != 0)
}

impl Controller for Blkio {
    fn name(&self, version: Version) -> &'static str {
        match version {
            Version::V1 => "blkio",
            Version::V2 => "io",
        }
    }

    fn always(&self) -> bool {
        true
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let Some(block) = resources.block_io() else {
            return Asked::Nothing;
        };
        let by_device = block.weight_device().as_deref().is_some_and(|list| !list.is_empty());
        let weight = Asked::first(&[
            (given(block.weight()).is_some(), "block io weight"),
            (given(block.leaf_weight()).is_some(), "block io leaf weight"),
            (by_device, "block io device weight"),
        ]);
        if weight != Asked::Nothing {
            return weight;
        }
        let lists = throttled(block);
        Asked::first(&std::array::from_fn::<_, 4, _>(|index| (!lists[index].is_empty(), THROTTLES[index].option)))
    }

    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let Some(block) = resources.block_io() else {
            return Ok(Vec::new());
        };
        let mut writes = plan_weights(target.version, block)?;
        for (throttle, devices) in THROTTLES.iter().zip(throttled(block)) {
            for device in devices {
                let (major, minor, rate) = (device.major(), device.minor(), device.rate());
                writes.push(match target.version {
                    Version::V1 => Write::new(throttle.option, throttle.v1, format!("{major}:{minor} {rate}")),
                    // No limit is 0 on v1 and `max` on v2.
                    Version::V2 if rate == 0 => {
                        Write::new(throttle.option, "io.max", format!("{major}:{minor} {}=max", throttle.v2))
                    }
                    Version::V2 => {
                        Write::new(throttle.option, "io.max", format!("{major}:{minor} {}={rate}", throttle.v2))
                    }
                });
            }
        }
        Ok(writes)
    }

    fn hint(&self, _target: Target<'_>, write: &Write, errno: Errno) -> Option<String> {
        match errno {
            Errno::NODEV | Errno::NXIO => {
                Some("there is no such block device, or it is a partition: name the whole disk".into())
            }
            Errno::NOENT if write.option.ends_with("weight") => {
                Some("weights need the bfq scheduler, or iocost on v2".into())
            }
            Errno::OPNOTSUPP => Some("the device's scheduler has no weights; choose bfq".into()),
            _ => None,
        }
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        let blkio = &mut stats.blkio;
        if version == Version::V2 {
            if let Some(text) = file::read_optional(&format!("{directory}/io.stat"))? {
                (blkio.io_service_bytes_recursive, blkio.io_serviced_recursive) = parse_io_stat(&text);
            }
            blkio.psi = read_pressure(&format!("{directory}/io.pressure"))?;
            return Ok(());
        }
        let read = |kind: &str| -> Result<Vec<BlkioEntry>> {
            // Devices scheduled by bfq are counted in its files, the others in the throttling layer's.
            for prefix in ["blkio.bfq", "blkio.throttle"] {
                let text = file::read_optional(&format!("{directory}/{prefix}.{kind}_recursive"))?.unwrap_or_default();
                let entries = parse_v1(&text);
                if !entries.is_empty() {
                    return Ok(entries);
                }
            }
            Ok(Vec::new())
        };
        blkio.io_service_bytes_recursive = read("io_service_bytes")?;
        blkio.io_serviced_recursive = read("io_serviced")?;
        Ok(())
    }
}

fn plan_weights(version: Version, block: &LinuxBlockIo) -> Result<Vec<Write>> {
    let check = |weight: u16| {
        if (10..=1000).contains(&weight) {
            return Ok(weight);
        }
        Err(Error::invalid("set block io weight to", weight.to_string(), "valid range is 10 to 1000"))
    };
    let mut writes = Vec::new();
    if let Some(weight) = given(block.weight()) {
        writes.push(weight_write(version, "block io weight", "", check(weight)?));
    }
    if let Some(weight) = given(block.leaf_weight()) {
        writes.push(leaf_write(version, "blkio.leaf_weight", check(weight)?.to_string())?);
    }
    for device in block.weight_device().as_deref().unwrap_or_default() {
        let name = format!("{}:{} ", device.major(), device.minor());
        if let Some(weight) = given(device.weight()) {
            writes.push(weight_write(version, "block io device weight", &name, check(weight)?));
        }
        if let Some(weight) = given(device.leaf_weight()) {
            writes.push(leaf_write(version, "blkio.leaf_weight_device", format!("{name}{}", check(weight)?))?);
        }
    }
    Ok(writes)
}

/// bfq's file where that scheduler is built in, the older or (v2) iocost's file otherwise.
fn weight_write(version: Version, option: &'static str, device: &str, weight: u16) -> Write {
    let value = format!("{device}{weight}");
    match version {
        Version::V1 if device.is_empty() => Write::new(option, "blkio.bfq.weight", &value).or("blkio.weight", value),
        Version::V1 => Write::new(option, "blkio.bfq.weight_device", &value).or("blkio.weight_device", value),
        Version::V2 => {
            Write::new(option, "io.bfq.weight", value).or("io.weight", format!("{device}{}", weight_to_v2(weight)))
        }
    }
}

fn leaf_write(version: Version, name: &'static str, value: String) -> Result<Write> {
    if version == Version::V2 {
        return Err(Error::invalid("set block io leaf weight to", value, "control groups v2 have no leaf weights"));
    }
    Ok(Write::new("block io leaf weight", Cow::Borrowed(name), value))
}

/// 10…1000 onto io.weight's 1…10000, linearly, as runc converts it.
pub(super) fn weight_to_v2(weight: u16) -> u64 {
    1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
}

fn parse_device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 Read 4096`; the last line `Total 4096` has no device.
fn parse_v1(text: &str) -> Vec<BlkioEntry> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (major, minor) = parse_device(fields.next()?)?;
            let (op, value) = (fields.next()?.to_owned(), fields.next()?.parse().ok()?);
            Some(BlkioEntry { major, minor, op, value })
        })
        .collect()
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`, in v1's two tables.
fn parse_io_stat(text: &str) -> (Vec<BlkioEntry>, Vec<BlkioEntry>) {
    let (mut bytes, mut requests) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some((major, minor)) = fields.next().and_then(parse_device) else {
            continue;
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (table, op) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "dbytes" => (&mut bytes, "Discard"),
                "rios" => (&mut requests, "Read"),
                "wios" => (&mut requests, "Write"),
                "dios" => (&mut requests, "Discard"),
                _ => continue,
            };
            let Ok(value) = value.parse() else { continue };
            table.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    (bytes, requests)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{
        LinuxBlockIoBuilder, LinuxResourcesBuilder, LinuxThrottleDeviceBuilder, LinuxWeightDeviceBuilder,
    };

    use super::*;

    fn plan(version: Version, block: LinuxBlockIoBuilder) -> Result<Vec<Write>> {
        let resources = LinuxResourcesBuilder::default().block_io(block.build().unwrap()).build().unwrap();
        Blkio.plan(Target { version, path: "/x", fresh: true }, &resources)
    }

    fn throttle(rate: u64) -> Vec<LinuxThrottleDevice> {
        vec![LinuxThrottleDeviceBuilder::default().major(8).minor(16).rate(rate).build().unwrap()]
    }

    #[test]
    fn test_plan_throttle_of_both_versions() {
        let block = || {
            LinuxBlockIoBuilder::default()
                .throttle_read_bps_device(throttle(1024))
                .throttle_write_iops_device(throttle(0))
        };
        assert_eq!(
            plan(Version::V1, block()).unwrap(),
            [
                Write::new("device read bps", "blkio.throttle.read_bps_device", "8:16 1024"),
                Write::new("device write iops", "blkio.throttle.write_iops_device", "8:16 0"),
            ]
        );
        assert_eq!(
            plan(Version::V2, block()).unwrap(),
            [
                Write::new("device read bps", "io.max", "8:16 rbps=1024"),
                Write::new("device write iops", "io.max", "8:16 wiops=max"),
            ]
        );
    }

    #[test]
    fn test_plan_weight_prefers_bfq_and_converts_for_iocost() {
        let device = LinuxWeightDeviceBuilder::default().major(8).minor(0).weight(1000_u16).build().unwrap();
        let block = || LinuxBlockIoBuilder::default().weight(500_u16).weight_device(vec![device]);
        let writes = plan(Version::V2, block()).unwrap();
        assert_eq!(writes[0], Write::new("block io weight", "io.bfq.weight", 500).or("io.weight", 4950));
        assert_eq!(
            writes[1],
            Write::new("block io device weight", "io.bfq.weight", "8:0 1000").or("io.weight", "8:0 10000")
        );
        let writes = plan(Version::V1, block()).unwrap();
        assert_eq!(writes[0], Write::new("block io weight", "blkio.bfq.weight", 500).or("blkio.weight", 500));
        assert!(plan(Version::V1, LinuxBlockIoBuilder::default().weight(9_u16)).is_err());
        assert!(plan(Version::V2, LinuxBlockIoBuilder::default().leaf_weight(100_u16)).is_err());
    }

    #[test]
    fn test_parse_io_stat_gives_v1s_tables() {
        let (bytes, requests) = parse_io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n");
        assert_eq!((bytes[0].value, bytes[1].value, requests[1].value), (1, 2, 4));
        assert_eq!(requests[0].op, "Read");
        assert_eq!(parse_v1("8:0 Read 5\nTotal 5\n").len(), 1);
    }
}
