//! `ps`.

use std::process::Command;

use pyctr_core::{Error, Kind, Result};

use super::{Context, print};
use crate::args::Parsed;
use crate::cgroups;

/// Prints the container's processes: pids as JSON, or the lines of the host's ps(1) that are theirs.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (_, state) = context.container(parsed)?;
    let pids = cgroups::pids(&state)?;
    match parsed.text("format")?.unwrap_or("table") {
        "table" => {}
        "json" => return print(&format!("{}\n", serde_json::Value::from(pids))),
        other => return Err(Error::invalid(format!("invalid format option {other:?}"), "", "")),
    }
    let mut options = parsed.arguments[1..].to_vec();
    if options.is_empty() {
        options.push("-ef".into());
    }
    let output = Command::new("ps").args(&options).output().map_err(|error| Error::io("run", "ps", &error))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(Kind::InvalidArgument, "run", "ps", reason));
    }
    print(&filter(&String::from_utf8_lossy(&output.stdout), &pids)?)
}

fn filter(output: &str, pids: &[i32]) -> Result<String> {
    let head = output.lines().next().unwrap_or_default();
    let Some(column) = head.split_ascii_whitespace().position(|field| field == "PID") else {
        return Err(Error::new(Kind::InvalidArgument, "couldn't find PID field in ps output", "", ""));
    };
    let mut text = format!("{head}\n");
    for line in output.lines().skip(1) {
        let pid = line.split_ascii_whitespace().nth(column).and_then(|field| field.parse::<i32>().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_filter_keeps_the_head_and_the_containers_lines() {
        let output = "UID PID CMD\nroot 1 init\nroot 12 sleep 1\nroot 2 12\n";
        assert_eq!(filter(output, &[12]).unwrap(), "UID PID CMD\nroot 12 sleep 1\n");
        assert!(filter("UID CMD\n", &[]).is_err());
    }
}
