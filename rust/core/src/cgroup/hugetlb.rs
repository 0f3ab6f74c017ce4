//! The hugetlb controller: huge pages by size.

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::controller::{Asked, Controller, OnError, Target, Write};
use super::file;
use super::hierarchy::Version;
use super::stats::{Hugetlb as Counters, Stats};
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct Hugetlb;

impl Controller for Hugetlb {
    fn name(&self, _version: Version) -> &'static str {
        "hugetlb"
    }

    fn asked(&self, resources: &LinuxResources) -> Asked {
        let given = resources.hugepage_limits().as_deref().is_some_and(|limits| !limits.is_empty());
        Asked::first(&[(given, "hugepage limit")])
    }

    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>> {
        let word = if target.version == Version::V1 { "limit_in_bytes" } else { "max" };
        let mut writes = Vec::new();
        for limit in resources.hugepage_limits().as_deref().unwrap_or_default() {
            let size = limit.page_size();
            if !is_page_size(size) {
                return Err(Error::invalid("set hugepage limit of", size, "not a page size like 2MB or 1GB"));
            }
            let value = match (limit.limit(), target.version) {
                (-1, Version::V2) => "max".to_owned(),
                (bytes, _) if bytes < -1 => {
                    return Err(Error::invalid("set hugepage limit to", bytes.to_string(), "neither a size nor -1"));
                }
                (bytes, _) => bytes.to_string(),
            };
            writes.push(Write::new("hugepage limit", format!("hugetlb.{size}.{word}"), &value));
            // The specification prefers reservation limits where the kernel (5.7) has them; runc sets both.
            let reservation = Write::new("hugepage limit", format!("hugetlb.{size}.rsvd.{word}"), value);
            writes.push(reservation.on_error(OnError::IgnoreMissing));
        }
        Ok(writes)
    }

    fn hint(&self, _target: Target<'_>, _write: &Write, errno: Errno) -> Option<String> {
        (errno == Errno::NOENT).then(|| "the page sizes this machine has are in /sys/kernel/mm/hugepages".to_owned())
    }

    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()> {
        for size in page_sizes() {
            let read = |name: &str| file::read_number(&format!("{directory}/hugetlb.{size}.{name}"));
            let counters = match version {
                Version::V1 => {
                    let Some(usage) = read("usage_in_bytes")? else { continue };
                    let max = read("max_usage_in_bytes")?.unwrap_or_default();
                    Counters { usage, max, failcnt: read("failcnt")?.unwrap_or_default() }
                }
                Version::V2 => {
                    let Some(usage) = read("current")? else { continue };
                    let events =
                        file::read_optional(&format!("{directory}/hugetlb.{size}.events"))?.unwrap_or_default();
                    Counters { usage, max: 0, failcnt: file::keyed_number(&events, "max").unwrap_or_default() }
                }
            };
            stats.hugetlb.insert(size, counters);
        }
        Ok(())
    }
}

/// The form the kernel names its files in: a number and KB, MB or GB.
fn is_page_size(size: &str) -> bool {
    ["KB", "MB", "GB"].iter().any(|unit| {
        size.strip_suffix(unit)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The page sizes of this machine, named as the controller names them (mm/hugetlb_cgroup.c, `mem_fmt`).
fn page_sizes() -> Vec<String> {
    let Ok(directory) = std::fs::read_dir("/sys/kernel/mm/hugepages") else {
        return Vec::new();
    };
    directory.filter_map(|entry| page_size_name(entry.ok()?.file_name().to_str()?)).collect()
}

fn page_size_name(directory: &str) -> Option<String> {
    let kilobytes: u64 = directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kilobytes {
        size if size >= 1 << 20 => format!("{}GB", size >> 20),
        size if size >= 1 << 10 => format!("{}MB", size >> 10),
        size => format!("{size}KB"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxHugepageLimitBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_page_size_name_of_directory() {
        assert_eq!(page_size_name("hugepages-2048kB").as_deref(), Some("2MB"));
        assert_eq!(page_size_name("hugepages-1048576kB").as_deref(), Some("1GB"));
        assert_eq!(page_size_name("hugepages-64kB").as_deref(), Some("64KB"));
        assert_eq!(page_size_name("x"), None);
    }

    #[test]
    fn test_plan_writes_limit_and_reservation() {
        let plan = |version, size: &str, bytes: i64| {
            let limit = LinuxHugepageLimitBuilder::default().page_size(size).limit(bytes).build().unwrap();
            let resources = LinuxResourcesBuilder::default().hugepage_limits(vec![limit]).build().unwrap();
            Hugetlb.plan(Target { version, path: "/x", fresh: true }, &resources)
        };
        let writes = plan(Version::V2, "2MB", 4_194_304).unwrap();
        assert_eq!(writes[0], Write::new("hugepage limit", "hugetlb.2MB.max", 4_194_304));
        assert_eq!(writes[1].choices[0].0, "hugetlb.2MB.rsvd.max");
        assert_eq!(plan(Version::V1, "1GB", 0).unwrap()[0].choices[0].0, "hugetlb.1GB.limit_in_bytes");
        assert!(plan(Version::V2, "../2MB", 1).is_err());
        assert!(plan(Version::V2, "MB", 1).is_err());
    }
}
