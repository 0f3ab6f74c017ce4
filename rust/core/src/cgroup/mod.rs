//! Control groups: one trait, v1, v2 and hybrid behind it, one file a controller.

/// A container's control group in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {}
