//! The rdma controller: handles and objects of each device.

use std::fmt::Write as _;

use oci_spec::runtime::LinuxResources;

use super::controller::{Asked, Controller, Target, Write};
use super::hierarchy::Version;
use super::stats::Stats;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Rdma;

impl Controller for Rdma {
    fn name(&self, _version: Version) -> &'static str {
        "rdma"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        Asked::first(&[(resources.rdma().as_ref().is_some_and(|devices| !devices.is_empty()), "rdma limit")])
    }

    fn plan(&self, _target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let Some(devices) = resources.rdma() else {
            return Ok(Vec::new());
        };
        let mut names: Vec<_> = devices.iter().collect();
        names.sort_by_key(|(name, _)| *name);
        let mut writes = Vec::new();
        for (name, limits) in names {
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(Error::invalid("set rdma limit of", name, "not a device's name"));
            }
            let mut value = name.clone();
            for (key, limit) in [("hca_handle", limits.hca_handles()), ("hca_object", limits.hca_objects())] {
                if let Some(limit) = limit {
                    let _ = write!(value, " {key}={limit}"); // a String takes all
                }
            }
            if value.len() > name.len() {
                writes.push(Write::new("rdma limit", "rdma.max", value));
            }
        }
        Ok(writes)
    }

    fn stats(&self, _version: Version, _directory: &str, _stats: &mut Stats) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use oci_spec::runtime::{LinuxRdmaBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_plan_writes_a_line_a_device() {
        let limits = LinuxRdmaBuilder::default().hca_handles(3_u32).build().unwrap();
        let resources =
            LinuxResourcesBuilder::default().rdma(HashMap::from([("mlx5_1".to_owned(), limits)])).build().unwrap();
        let target = Target { version: Version::V2, path: "/x", fresh: true };
        assert_eq!(
            Rdma.plan(target, &resources).unwrap(),
            [Write::new("rdma limit", "rdma.max", "mlx5_1 hca_handle=3")]
        );
    }
}
