//! The devices controller: a list on v1, a BPF program on v2.

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};

use super::controller::{Asked, Controller, Target, Write};
use super::device_rules::{self, List, Rule};
use super::hierarchy::Version;
use super::stats::Stats;
use super::{device_program, file};
use crate::{Error, Kind, Result};

#[derive(Debug)]
pub(super) struct Devices;

/// The name programs are loaded under, by which an update finds its predecessor.
const PROGRAM_NAME: &str = "pyctr_devices";

impl Controller for Devices {
    fn name(&self, _version: Version) -> &'static str {
        "devices"
    }

    fn always(&self) -> bool {
        true
    }

    fn is_core_of_v2(&self) -> bool {
        true
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        match resources.devices().as_deref().map(device_rules::parse) {
            None => Asked::Nothing,
            Some(Ok(rules)) if List::from_rules(&rules).is_ok_and(|list| list.allows_all()) => Asked::Unlimited,
            Some(_) => Asked::Limit("device rules"),
        }
    }

    fn plan(&self, _target: Target<'_>, _resources: &LinuxResources) -> Result<Vec<Write>> {
        Ok(Vec::new()) // apply does it: two files, many lines each
    }

    fn apply(&self, target: Target<'_>, resources: &LinuxResources) -> Result<()> {
        // A new container always has a list, if an empty one: see `create`.
        let Some(devices) = resources.devices() else {
            return Ok(());
        };
        let rules = device_rules::parse(devices)?;
        match target.version {
            Version::V1 => apply_v1(target, &rules),
            Version::V2 => apply_v2(target, &rules),
        }
    }

    fn stats(&self, _version: Version, _directory: &str, _stats: &mut Stats) -> Result<()> {
        Ok(())
    }
}

fn apply_v1(target: Target<'_>, rules: &[Rule]) -> Result<()> {
    let list = List::from_rules(rules)?;
    if target.fresh && list.allows_all() {
        return Ok(()); // It has what its parent has, and cannot have more.
    }
    let held = if target.fresh {
        None
    } else {
        let path = format!("{}/devices.list", target.path);
        let text = file::read(&path).map_err(|errno| Error::kernel("read", &path, errno))?;
        Some(List::parse(&text).ok_or_else(|| Error::new(Kind::Corrupt, "read", &path, "not a list of devices"))?)
    };
    // A fresh group copies its parent's list, whatever that is: it is reset, not compared.
    let transition = list.transition_from(&held.unwrap_or_else(|| list.opposite()));
    let mut files = [("devices.deny", transition.deny), ("devices.allow", transition.allow)];
    if transition.allow_first {
        files.reverse();
    }
    for (name, lines) in files.iter().filter(|(_, lines)| !lines.is_empty()) {
        let path = format!("{}/{name}", target.path);
        let open = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let open = open.map_err(|errno| Error::kernel("open", &path, errno))?;
        for line in lines {
            file::write_open(&open, line)
                .map_err(|errno| Error::kernel(format!("write device rule {line} to"), &path, errno))?;
        }
    }
    Ok(())
}

fn apply_v2(target: Target<'_>, rules: &[Rule]) -> Result<()> {
    if target.fresh && matches!(rules, [Rule::Everything { allow: true }, rest @ ..] if rest.iter().all(allows)) {
        return Ok(()); // Without a program everything is allowed.
    }
    let program = device_program::assemble(rules);
    let directory = rustix::fs::open(target.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(|errno| Error::kernel("open control group", target.path, errno))?;
    crate::sys::bpf::attach_device_program(&directory, &program, PROGRAM_NAME, target.fresh)
        .map_err(|errno| Error::kernel("attach device program to", target.path, errno))
}

fn allows(rule: &Rule) -> bool {
    matches!(rule, Rule::Everything { allow: true } | Rule::Some { allow: true, .. })
}
