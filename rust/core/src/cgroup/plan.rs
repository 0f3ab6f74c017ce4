//! What a specification asks of the controllers: purely, for both versions.

use oci_spec::runtime::LinuxResources;

use super::{Hierarchies, Setting, blkio, cpu, cpuset, devices, hugetlb, memory, network, pids};
use crate::{Error, Result};

/// A cgroupsPath as a path below a mount point: no leading slash, nothing that leads out.
pub fn relative(path: &str) -> Result<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() || parts.contains(&"..") || path.contains('\0') {
        return Err(Error::invalid("read linux.cgroupsPath", path, "not a path below the hierarchy"));
    }
    Ok(parts.join("/"))
}

/// The controllers of which something is asked, each with the option that asks.
#[derive(Debug, Default)]
pub struct Wants {
    wanted: Vec<(&'static str, &'static str)>,
}

impl Wants {
    /// What these resources ask for.
    pub fn of(resources: &LinuxResources) -> Self {
        let mut wants = Self::default();
        let mut want = |asked: bool, controller: &'static str, option: &'static str| {
            if asked {
                wants.wanted.push((controller, option));
            }
        };
        if let Some(memory) = resources.memory() {
            want(!memory::v1(memory, None).is_empty(), "memory", "linux.resources.memory");
        }
        if let Some(cpu) = resources.cpu() {
            want(!cpu::v1(cpu).is_empty(), "cpu", "linux.resources.cpu");
            want(!cpuset::settings(cpu).is_empty(), "cpuset", "linux.resources.cpu.cpus");
        }
        if let Some(pids) = resources.pids() {
            want(!pids::settings(*pids).is_empty(), "pids", "linux.resources.pids");
        }
        if let Some(io) = resources.block_io() {
            want(!blkio::v1(io).is_empty(), "blkio", "linux.resources.blockIO");
        }
        want(
            resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()),
            "hugetlb",
            "linux.resources.hugepageLimits",
        );
        if let Some(network) = resources.network() {
            want(network.class_id().is_some(), "net_cls", "linux.resources.network.classID");
            want(network.priorities().is_some(), "net_prio", "linux.resources.network.priorities");
        }
        wants
    }

    /// Whether something is asked of a controller, by its v1 or v2 name.
    pub fn has(&self, controller: &str) -> bool {
        let v1 = if controller == "io" { "blkio" } else { controller };
        self.wanted.iter().any(|(wanted, _)| *wanted == v1)
    }

    /// Whether anything is asked.
    pub fn any(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// A limit whose controller the host lacks is an error that names both.
    pub fn check(&self, hierarchies: &Hierarchies) -> Result<()> {
        for (controller, option) in &self.wanted {
            let v2 = if *controller == "blkio" { "io" } else { controller };
            let on_v2 = hierarchies.is_unified() || hierarchies.v2_controllers.iter().any(|name| name == v2);
            if !hierarchies.v1.contains_key(*controller) && !on_v2 {
                return Err(Error::invalid(
                    "apply",
                    *option,
                    format!("this host has no {controller} controller on cgroup v1 or v2"),
                ));
            }
        }
        Ok(())
    }
}

/// Settings by v1 controller. `current_swap` is asked only where the order of two writes depends on it.
pub fn v1(
    resources: &LinuxResources,
    current_swap: impl Fn() -> Option<i64>,
    fresh: bool,
) -> Result<Vec<(&'static str, Vec<Setting>)>> {
    let mut plans = Vec::new();
    if let Some(memory) = resources.memory() {
        let swap = if fresh { None } else { current_swap() };
        plans.push(("memory", memory::v1(memory, swap)));
    }
    if let Some(cpu) = resources.cpu() {
        plans.push(("cpu", cpu::v1(cpu)));
        plans.push(("cpuset", cpuset::settings(cpu)));
    }
    if let Some(pids) = resources.pids() {
        plans.push(("pids", pids::settings(*pids)));
    }
    if let Some(io) = resources.block_io() {
        plans.push(("blkio", blkio::v1(io)));
    }
    if let Some(limits) = resources.hugepage_limits() {
        plans.push(("hugetlb", hugetlb::v1(limits)));
    }
    if let Some(network) = resources.network() {
        plans.push(("net_cls", network::classes(network)));
        plans.push(("net_prio", network::priorities(network)));
    }
    if let Some(rules) = resources.devices().as_deref().filter(|rules| !rules.is_empty()) {
        plans.push(("devices", devices::Policy::fold(rules)?.v1()));
    }
    Ok(plans)
}

/// Settings for the v2 directory, of those controllers that `here` says live there.
pub fn v2(resources: &LinuxResources, here: impl Fn(&str) -> bool) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory().as_ref().filter(|_| here("memory")) {
        settings.extend(memory::v2(memory)?);
    }
    if let Some(cpu) = resources.cpu() {
        if here("cpu") {
            settings.extend(cpu::v2(cpu));
        }
        if here("cpuset") {
            settings.extend(cpuset::settings(cpu));
        }
    }
    if let Some(pids) = resources.pids().as_ref().filter(|_| here("pids")) {
        settings.extend(pids::settings(*pids));
    }
    if let Some(io) = resources.block_io().as_ref().filter(|_| here("blkio")) {
        settings.extend(blkio::v2(io));
    }
    if let Some(limits) = resources.hugepage_limits().as_ref().filter(|_| here("hugetlb")) {
        settings.extend(hugetlb::v2(limits));
    }
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (file, value) in unified {
        if file.contains('/') || file.starts_with("cgroup.") {
            return Err(Error::invalid("read linux.resources.unified", file, "not a controller's file"));
        }
        settings.push(Setting::new(file, value));
    }
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn path_that_leads_out_is_refused() {
        assert!(relative("/a/../../b").is_err());
        assert!(relative("/").is_err());
        assert_eq!(relative("//pyctr/./x/").unwrap(), "pyctr/x");
    }

    #[test]
    fn missing_controller_is_named_with_its_option() {
        let memory = LinuxMemoryBuilder::default().limit(1).build().unwrap();
        let resources = LinuxResourcesBuilder::default().memory(memory).build().unwrap();
        let error = Wants::of(&resources).check(&Hierarchies::default()).unwrap_err().to_string();
        assert!(error.contains("memory controller") && error.contains("linux.resources.memory"), "{error}");
    }
}
