//! The pids controller: how many tasks.

use oci_spec::runtime::LinuxResources;

use super::controller::{Asked, Controller, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::Stats;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Pids;

impl Controller for Pids {
    fn name(&self, _version: Version) -> &'static str {
        "pids"
    }

    fn always(&self) -> bool {
        true
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        match resources.pids().map_or(0, |pids| pids.limit()) {
            0 => Asked::Nothing,
            limit if limit < 0 => Asked::Unlimited,
            _ => Asked::Limit("pids limit"),
        }
    }

    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        Ok(match resources.pids().map_or(0, |pids| pids.limit()) {
            // Zero is unset, as for runc and Docker.
            0 => Vec::new(),
            -1 if target.fresh => Vec::new(),
            -1 => vec![Write::new("pids limit", "pids.max", "max")],
            limit if limit < 0 => {
                return Err(Error::invalid("set pids limit to", limit.to_string(), "neither a number of tasks nor -1"));
            }
            limit => vec![Write::new("pids limit", "pids.max", limit)],
        })
    }

    fn stats(&self, _version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        stats.pids.current = file::read_number(&format!("{directory}/pids.current"))?.unwrap_or_default();
        // runc shows no limit as 0.
        let limit = file::read_number(&format!("{directory}/pids.max"))?.unwrap_or_default();
        stats.pids.limit = if limit == u64::MAX { 0 } else { limit };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxPidsBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_plan_of_each_kind_of_limit() {
        let plan = |limit: i64, fresh: bool| {
            let pids = LinuxPidsBuilder::default().limit(limit).build().unwrap();
            let resources = LinuxResourcesBuilder::default().pids(pids).build().unwrap();
            Pids.plan(Target { version: Version::V1, path: "/x", fresh }, &resources)
        };
        assert_eq!(plan(0, false).unwrap(), []);
        assert_eq!(plan(-1, true).unwrap(), []);
        assert_eq!(plan(-1, false).unwrap(), [Write::new("pids limit", "pids.max", "max")]);
        assert_eq!(plan(7, true).unwrap(), [Write::new("pids limit", "pids.max", 7)]);
        assert!(plan(-2, true).is_err());
    }
}
