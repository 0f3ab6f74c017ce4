//! The specification's `unified`: v2 files by name.

use oci_spec::runtime::LinuxResources;

use super::controller::{OnError, Target, Write, run};
use crate::{Error, Result};

/// Files of v2's core that only shape the group; the others (`cgroup.procs`, `cgroup.kill`, …) act, and on the host's processes.
const CORE: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// The controllers the keys belong to, each once.
pub(super) fn controllers(resources: &LinuxResources) -> Vec<&str> {
    let keys = resources.unified().iter().flatten().map(|(key, _)| key.as_str());
    let mut names: Vec<&str> =
        keys.filter_map(|key| key.split_once('.')).map(|(name, _)| name).filter(|name| *name != "cgroup").collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The files to write, in the order of their names.
pub(super) fn plan(resources: &LinuxResources) -> Result<Vec<Write>> {
    let mut entries: Vec<_> = resources.unified().iter().flatten().collect();
    entries.sort();
    let mut writes = Vec::new();
    for (key, value) in entries {
        let refuse = |reason: &str| Err(Error::invalid("set unified resource", key, reason));
        match key.split_once('.') {
            _ if key.contains(['/', '\0']) => return refuse("must be a file name"),
            None | Some(("" | ".", _)) => return refuse("must be of the form CONTROLLER.PARAMETER"),
            Some(("cgroup", _)) if !CORE.contains(&key.as_str()) => return refuse("not a resource"),
            Some(_) => {}
        }
        // One line a write: the kernel's handlers of keyed files (io.max) take one.
        for line in value.lines().filter(|line| !line.trim().is_empty()) {
            writes.push(Write::new("unified resource", key.clone(), line.trim()).on_error(OnError::RetryLast));
        }
    }
    Ok(writes)
}

/// Writes them.
pub(super) fn apply(target: Target<'_>, resources: &LinuxResources) -> Result<()> {
    run(target, &plan(resources)?, |_, _| None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use oci_spec::runtime::LinuxResourcesBuilder;

    use super::*;

    fn resources(entries: &[(&str, &str)]) -> LinuxResources {
        let map: HashMap<String, String> = entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LinuxResourcesBuilder::default().unified(map).build().unwrap()
    }

    #[test]
    fn test_plan_writes_a_line_each_sorted() {
        let given = resources(&[("memory.high", "100"), ("io.max", "8:0 rbps=1\n8:16 rbps=2\n")]);
        let writes: Vec<_> = plan(&given).unwrap().into_iter().map(|write| write.choices[0].clone()).collect();
        assert_eq!(
            writes,
            [
                ("io.max".into(), "8:0 rbps=1".to_owned()),
                ("io.max".into(), "8:16 rbps=2".to_owned()),
                ("memory.high".into(), "100".to_owned())
            ]
        );
        assert_eq!(controllers(&given), ["io", "memory"]);
    }

    #[test]
    fn test_plan_of_keys_that_act_or_leave_is_refused() {
        for key in ["cgroup.procs", "cgroup.kill", "cgroup.freeze", "../x.y", "a/b.c", "memory", ".max"] {
            assert!(plan(&resources(&[(key, "1")])).is_err(), "{key}");
        }
        assert!(plan(&resources(&[("cgroup.max.depth", "1")])).is_ok());
    }
}
