//! Makes, joins and removes a group with Docker's usual options once: for `strace -c`.
use oci_spec::runtime::LinuxResources;
use pyctr_core::cgroup::{Cgroup, Driver, Hierarchies};

fn main() -> pyctr_core::Result<()> {
    let json = std::env::args().nth(1).unwrap_or_else(|| "{}".to_owned());
    let resources: LinuxResources = serde_json::from_str(&json).unwrap_or_default();
    let hierarchies = Hierarchies::detect()?;
    let path = format!("/pyctr/calls-{}", std::process::id());
    let mark = || rustix::fs::access("/mark", rustix::fs::Access::EXISTS).is_ok();
    let _ = mark();
    let cgroup = Cgroup::create(&hierarchies, Driver::Cgroupfs, &path, Some(&resources), false)?;
    let _ = mark();
    let join = cgroup.join()?;
    let _ = mark();
    drop(join);
    let _ = mark();
    cgroup.remove()
}
