//! The cpuset controller.

use std::os::fd::AsFd;

use oci_spec::runtime::LinuxCpu;

use super::Setting;
use super::setting::{read_file, write_file};

/// Files, the same on v1 and v2.
pub fn settings(cpu: &LinuxCpu) -> Vec<Setting> {
    let cpus = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()).map(|cpus| Setting::new("cpuset.cpus", cpus));
    let mems = cpu.mems().as_ref().filter(|mems| !mems.is_empty()).map(|mems| Setting::new("cpuset.mems", mems));
    cpus.into_iter().chain(mems).collect()
}

/// A new v1 cpuset is empty, and nobody may join an empty one: it gets what its parent has, unless the kernel cloned it
/// already (cgroup.clone_children).
pub fn inherit_v1(parent: impl AsFd, child: impl AsFd) -> rustix::io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read_file(&child, file)?.trim().is_empty() {
            write_file(&child, file, read_file(&parent, file)?.trim().as_bytes())?;
        }
    }
    Ok(())
}
