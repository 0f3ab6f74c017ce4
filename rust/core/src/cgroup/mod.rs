//! Control groups: one trait, v1, v2 and hybrid behind it, one file a controller.

/// A container's control group in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {}
/// Descriptors for joining.
#[derive(Debug)]
pub struct Join {
    /// v2 directory for CLONE_INTO_CGROUP.
    pub v2_dir: Option<std::os::fd::OwnedFd>,
    /// v1 `tasks` files.
    pub v1_tasks: Vec<std::os::fd::OwnedFd>,
    /// v2 `cgroup.procs`.
    pub v2_procs: Option<std::os::fd::OwnedFd>,
}
impl Cgroup {
    /// x
    pub fn join(&self) -> crate::Result<Join> {
        Ok(Join { v2_dir: None, v1_tasks: vec![], v2_procs: None })
    }
    /// x
    pub fn is_unified(&self) -> bool {
        false
    }
    /// x
    pub fn mount_view(&self) -> Vec<(String, std::path::PathBuf)> {
        vec![]
    }
}
