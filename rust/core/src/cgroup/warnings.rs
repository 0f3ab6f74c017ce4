//! What is accepted and then does nothing, said aloud. Pure.

use oci_spec::runtime::LinuxResources;

use super::Hierarchies;
use crate::Result;

/// One line for each option the kernel of this host discards, in the words Docker's daemon uses where it has some.
///
/// These are no errors because they are none for Docker and runc. Everything else that cannot work is refused by [`super::Cgroup::create`].
pub fn warnings(hierarchies: &Hierarchies, resources: &LinuxResources) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let Some(memory) = resources.memory() else {
        return Ok(lines);
    };
    #[allow(deprecated)] // asked for all the same
    let kernel = memory.kernel();
    if kernel.is_some_and(|bytes| bytes != 0) {
        lines.push("Kernel memory limits are obsolete since Linux 5.4. Kernel memory limit discarded.".to_owned());
    }
    if memory.kernel_tcp().is_some_and(|bytes| bytes != 0) {
        lines.push("Kernel memory TCP limits are obsolete. Kernel memory TCP limit discarded.".to_owned());
    }
    let on_v1 = hierarchies.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| name == "memory"));
    if on_v1 || !hierarchies.has("memory")? {
        return Ok(lines);
    }
    let discarded = |what: &str, name: &str| {
        format!("Your kernel does not support {what} capabilities or the cgroup is not mounted. {name} discarded.")
    };
    if memory.swappiness().is_some() {
        lines.push(discarded("memory swappiness", "Memory swappiness"));
    }
    if memory.disable_oom_killer() == Some(true) {
        lines.push(discarded("OomKillDisable", "OomKillDisable"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    use super::*;

    #[test]
    fn test_warnings_name_what_v2_discards() {
        #[allow(deprecated)]
        let memory =
            LinuxMemoryBuilder::default().swappiness(10_u64).disable_oom_killer(true).kernel(1).build().unwrap();
        let resources = LinuxResourcesBuilder::default().memory(memory).build().unwrap();
        let v2 = Hierarchies::parse("1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "memory\n");
        assert_eq!(warnings(&v2, &resources).unwrap().len(), 3);
        let v1 =
            Hierarchies::parse("1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "1:memory:/\n", "");
        assert_eq!(warnings(&v1, &resources).unwrap().len(), 1);
        assert!(warnings(&v1, &LinuxResources::default()).unwrap().is_empty());
    }
}
