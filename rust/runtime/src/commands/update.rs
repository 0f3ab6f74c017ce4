//! `update`.

use std::path::Path;

use oci_spec::runtime::LinuxResources;
use pyctr_core::{Error, Result, spec};
use serde_json::{Map, Value};

use super::Context;
use crate::args::Parsed;
use crate::container::Status;
use crate::{cgroups, files, process};

/// Changes limits of a container that is not stopped.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    for option in ["l3-cache-schema", "mem-bw-schema"] {
        if parsed.text(option)?.is_some() {
            return Err(Error::invalid(format!("option --{option} is not supported (Intel RDT)"), "", ""));
        }
    }
    let resources = match parsed.path("resources") {
        Some(path) => spec::load_resources(&read(path)?)?,
        None => from_options(parsed)?,
    };
    let (directory, state) = context.locked(parsed)?;
    if matches!(process::status(&directory, &state)?, Status::Stopped | Status::Creating) {
        return Err(super::kill::not_running());
    }
    cgroups::update(&state, &resources).map(|()| 0)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        return files::read_all(&mut std::io::stdin(), spec::MAX_BYTES)
            .map_err(|error| Error::io("read", "standard input", &error));
    }
    files::read_bounded(path, spec::MAX_BYTES)
}

/// Option, section and field of the resources document, and how the value is written.
const FIELDS: [(&str, &str, &str, Form); 14] = [
    ("blkio-weight", "blockIO", "weight", Form::Unsigned),
    ("cpu-period", "cpu", "period", Form::Unsigned),
    ("cpu-quota", "cpu", "quota", Form::Signed),
    ("cpu-burst", "cpu", "burst", Form::Unsigned),
    ("cpu-share", "cpu", "shares", Form::Unsigned),
    ("cpu-rt-period", "cpu", "realtimePeriod", Form::Unsigned),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", Form::Signed),
    ("cpu-idle", "cpu", "idle", Form::Signed),
    ("cpuset-cpus", "cpu", "cpus", Form::Text),
    ("cpuset-mems", "cpu", "mems", Form::Text),
    ("memory", "memory", "limit", Form::Bytes),
    ("memory-reservation", "memory", "reservation", Form::Bytes),
    ("memory-swap", "memory", "swap", Form::Bytes),
    ("pids-limit", "pids", "limit", Form::Signed),
];

#[derive(Debug, Clone, Copy)]
enum Form {
    Unsigned,
    Signed,
    Text,
    /// A number of bytes, perhaps with a suffix, or -1.
    Bytes,
}

fn from_options(parsed: &Parsed) -> Result<LinuxResources> {
    let mut document = Map::new();
    for (option, section, field, form) in FIELDS {
        let Some(text) = parsed.text(option)? else { continue };
        let value = match form {
            Form::Unsigned => parsed.number::<u64>(option)?.map(Value::from),
            Form::Signed => parsed.number::<i64>(option)?.map(Value::from),
            Form::Text => Some(Value::from(text)),
            Form::Bytes => Some(Value::from(parse_bytes(option, text)?)),
        };
        let section = document.entry(section).or_insert_with(|| Value::Object(Map::new()));
        section[field] = value.unwrap_or_default();
    }
    spec::load_resources(Value::Object(document).to_string().as_bytes())
}

/// go-units' `RAMInBytes`: a number, perhaps with a fraction, a binary suffix k m g t p, and `b` or `ib` after it.
fn parse_bytes(option: &str, text: &str) -> Result<i64> {
    let fail = || Error::invalid("parse", format!("--{option}"), format!("invalid size {text:?}"));
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = lower[digits.len()..].trim();
    let digits = digits.trim_end();
    let shift = match suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(suffix) {
        "" if suffix != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(fail()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let numeric = |part: &str| !part.is_empty() && part.len() <= 18 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !numeric(whole) || !numeric(fraction) {
        return Err(fail());
    }
    let whole = i128::from(whole.parse::<i64>().map_err(|_| fail())?) << shift;
    let scale = 10_i128.pow(u32::try_from(fraction.len()).map_err(|_| fail())?);
    let part = (i128::from(fraction.parse::<i64>().map_err(|_| fail())?) << shift) / scale;
    i64::try_from(whole + part).map_err(|_| fail())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args;

    #[test]
    fn test_from_options_every_option_reaches_its_field() {
        let arguments = [
            "--blkio-weight=100",
            "--cpu-period=1000",
            "--cpu-quota=-1",
            "--cpu-burst=5",
            "--cpu-share=512",
            "--cpu-rt-period=10",
            "--cpu-rt-runtime=9",
            "--cpu-idle=1",
            "--cpuset-cpus=0-1",
            "--cpuset-mems=0",
            "--memory=1g",
            "--memory-reservation=512m",
            "--memory-swap=-1",
            "--pids-limit=7",
            "c",
        ];
        let parsed = Parsed::of(args::find("update").unwrap(), arguments.iter().map(std::ffi::OsString::from)).unwrap();
        let resources = from_options(&parsed).unwrap();
        let cpu = resources.cpu().as_ref().unwrap();
        assert_eq!((cpu.period(), cpu.quota(), cpu.burst(), cpu.shares()), (Some(1000), Some(-1), Some(5), Some(512)));
        assert_eq!((cpu.realtime_period(), cpu.realtime_runtime(), cpu.idle()), (Some(10), Some(9), Some(1)));
        assert_eq!((cpu.cpus().as_deref(), cpu.mems().as_deref()), (Some("0-1"), Some("0")));
        let memory = resources.memory().unwrap();
        assert_eq!((memory.limit(), memory.reservation(), memory.swap()), (Some(1 << 30), Some(512 << 20), Some(-1)));
        assert_eq!(resources.pids().unwrap().limit(), 7);
        assert_eq!(resources.block_io().as_ref().unwrap().weight(), Some(100));
    }

    #[test]
    fn test_parse_bytes_reads_what_go_units_reads() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("1k", 1024),
            ("1K", 1024),
            ("1kb", 1024),
            ("1KiB", 1024),
            ("1.5m", 3 << 19),
            ("2g", 2 << 30),
            ("5b", 5),
            ("-1", -1),
            ("3 mb", 3 << 20),
        ] {
            assert_eq!(parse_bytes("memory", text).unwrap(), bytes, "{text}");
        }
        for text in ["", "-2", "x", "1x", "1ib", "1.m", ".5m", "1e3", "9999999999999999999", "9000000p", "1 2", "k"] {
            assert!(parse_bytes("memory", text).is_err(), "{text}");
        }
    }
}
