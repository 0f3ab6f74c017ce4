//! net_cls and net_prio of v1; v2 has neither.

use oci_spec::runtime::{LinuxNetwork, LinuxResources};

use super::controller::{Asked, Controller, Target, Write};
use super::hierarchy::Version;
use super::stats::Stats;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct NetClass;

#[derive(Debug)]
pub(super) struct NetPriority;

fn class_id(network: &LinuxNetwork) -> Option<u32> {
    network.class_id().filter(|id| *id != 0)
}

impl Controller for NetClass {
    fn name(&self, _version: Version) -> &'static str {
        "net_cls"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let given = resources.network().as_ref().is_some_and(|network| class_id(network).is_some());
        Asked::first(&[(given, "network class id")])
    }

    fn plan(&self, _target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let id = resources.network().as_ref().and_then(class_id);
        Ok(id.map(|id| Write::new("network class id", "net_cls.classid", id)).into_iter().collect())
    }

    fn stats(&self, _version: Version, _directory: &str, _stats: &mut Stats) -> Result<()> {
        Ok(())
    }
}

impl Controller for NetPriority {
    fn name(&self, _version: Version) -> &'static str {
        "net_prio"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let list = resources.network().as_ref().and_then(|network| network.priorities().as_deref());
        Asked::first(&[(list.is_some_and(|list| !list.is_empty()), "network priority")])
    }

    fn plan(&self, _target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let list = resources.network().as_ref().and_then(|network| network.priorities().as_deref()).unwrap_or_default();
        list.iter()
            .map(|priority| {
                let name = priority.name();
                if name.is_empty() || name.len() > 15 || name.contains(|c: char| c.is_whitespace() || c == '/') {
                    return Err(Error::invalid("set network priority of", name, "not an interface's name"));
                }
                Ok(Write::new("network priority", "net_prio.ifpriomap", format!("{name} {}", priority.priority())))
            })
            .collect()
    }

    fn stats(&self, _version: Version, _directory: &str, _stats: &mut Stats) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxInterfacePriorityBuilder, LinuxNetworkBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_plan_of_class_and_priorities() {
        let target = Target { version: Version::V1, path: "/x", fresh: true };
        let resources = |name: &str| {
            let priority = LinuxInterfacePriorityBuilder::default().name(name).priority(5_u32).build().unwrap();
            let network =
                LinuxNetworkBuilder::default().class_id(0x10_0001_u32).priorities(vec![priority]).build().unwrap();
            LinuxResourcesBuilder::default().network(network).build().unwrap()
        };
        assert_eq!(NetClass.plan(target, &resources("eth0")).unwrap()[0].choices[0].1, "1048577");
        assert_eq!(NetPriority.plan(target, &resources("eth0")).unwrap()[0].choices[0].1, "eth0 5");
        assert!(NetPriority.plan(target, &resources("a b")).is_err());
    }
}
