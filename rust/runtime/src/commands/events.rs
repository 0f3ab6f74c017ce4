//! `events`.

use std::time::{Duration, Instant};

use pyctr_core::{Error, Kind, Result};
use serde_json::{Value, json};

use super::{Context, print};
use crate::args::Parsed;
use crate::container::{State, Status};
use crate::{cgroups, process};

/// How often the kernel is asked whether something happened between two reports.
const TICK: Duration = Duration::from_millis(200);

/// Prints figures once (`--stats`) or every interval, and out-of-memory kills, until the container stops.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.container(parsed)?;
    let interval = parse_duration(parsed.text("interval")?.unwrap_or("5s"))?;
    if process::status(&directory, &state)? == Status::Stopped {
        let message = format!("container with id {} is not running", state.id);
        return Err(Error::new(Kind::State, message, "", ""));
    }
    if parsed.is_set("stats") {
        return report(&state, "stats", Some(cgroups::stats(&state)?));
    }
    let mut kills = cgroups::oom_kills(&state)?;
    let mut next = Instant::now() + interval;
    while process::status(&directory, &state)? != Status::Stopped {
        let now = cgroups::oom_kills(&state).unwrap_or(kills);
        for _ in kills..now {
            report(&state, "oom", None)?;
        }
        kills = now;
        if Instant::now() >= next {
            // The container may have gone since it was asked.
            if let Ok(stats) = cgroups::stats(&state) {
                report(&state, "stats", Some(stats))?;
            }
            next = Instant::now() + interval;
        }
        std::thread::sleep(TICK.min(interval));
    }
    Ok(0)
}

fn report(state: &State, kind: &str, data: Option<Value>) -> Result<u8> {
    let mut event = json!({"type": kind, "id": state.id});
    if let Some(data) = data {
        event["data"] = data;
    }
    print(&format!("{event}\n"))
}

/// Go's time.ParseDuration, for what is greater than nothing: `300ms`, `1.5h`, `2h45m`.
fn parse_duration(text: &str) -> Result<Duration> {
    let fail = |reason: &str| Error::invalid("parse", "--interval", format!("{text:?} {reason}"));
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (value, tail) = rest.split_at(number);
        let unit = tail.len() - tail.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.').len();
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(fail("is not a duration")),
        };
        let value: f64 = value.parse().map_err(|_| fail("is not a duration"))?;
        let part = Duration::try_from_secs_f64(value * seconds).map_err(|_| fail("is too long"))?;
        total = total.checked_add(part).ok_or_else(|| fail("is too long"))?;
        rest = tail;
    }
    if total.is_zero() { Err(fail("is not greater than 0")) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_parse_duration_reads_gos_form() {
        for (text, milliseconds) in [("5s", 5000), ("300ms", 300), ("1.5h", 5_400_000), ("2h45m", 9_900_000)] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(milliseconds));
        }
        for text in ["", "0s", "5", "s", "5x", "-5s", "1..5s", "1e400h", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
