//! Which namespaces are made, which are joined, and in what order.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

/// clone(2)'s flag of a namespace type.
pub fn flag(kind: LinuxNamespaceType) -> u32 {
    kind as u32
}

/// clone flag of user namespaces.
pub const NEWUSER: u32 = 0x1000_0000;
/// clone flag of pid namespaces.
pub const NEWPID: u32 = 0x2000_0000;
/// clone flag of cgroup namespaces.
pub const NEWCGROUP: u32 = 0x0200_0000;
/// clone flag of mount namespaces.
pub const NEWNS: u32 = 0x0002_0000;
/// clone flag of network namespaces.
pub const NEWNET: u32 = 0x4000_0000;
/// clone flag of time namespaces.
pub const NEWTIME: u32 = 0x80;

/// What happens to each namespace of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespacePlan {
    /// Made by the one clone3.
    pub clone: u32,
    /// Joined by the child, in this order: the user namespace first, for it owns the right to join the others.
    pub join: Vec<(u32, PathBuf)>,
    /// Made by the child after the joins, because a joined user namespace must own them.
    pub unshare: u32,
    /// The child must fork once more: a pid or time namespace holds only children.
    pub fork: bool,
    /// A new cgroup namespace, made after the cgroup was joined so that its root is the container's own cgroup.
    pub cgroup: bool,
    /// A new time namespace, made by the parent (its clock offsets must be written while nobody lives in it).
    pub time: bool,
}

impl NamespacePlan {
    /// Plans for the namespaces of a specification.
    pub fn new(namespaces: &[LinuxNamespace]) -> Self {
        let mut plan = Self::default();
        let mut fresh = 0;
        for namespace in namespaces {
            match namespace.path() {
                Some(path) => plan.join.push((flag(namespace.typ()), path.clone())),
                None => fresh |= flag(namespace.typ()),
            }
        }
        plan.join.sort_by_key(|(kind, _)| *kind != NEWUSER);
        plan.cgroup = fresh & NEWCGROUP != 0;
        plan.time = fresh & NEWTIME != 0;
        fresh &= !(NEWCGROUP | NEWTIME);
        let joins_user = plan.join.iter().any(|(kind, _)| *kind == NEWUSER);
        if joins_user {
            plan.unshare = fresh;
        } else {
            plan.clone = fresh;
        }
        let joins_pid = plan.join.iter().any(|(kind, _)| kind & (NEWPID | NEWTIME) != 0);
        plan.fork = joins_pid || plan.unshare & NEWPID != 0;
        plan
    }

    /// Whether a namespace of this kind is made, by whatever step.
    pub fn makes(&self, kind: u32) -> bool {
        (self.clone | self.unshare) & kind != 0 || (kind == NEWCGROUP && self.cgroup) || (kind == NEWTIME && self.time)
    }

    /// Whether the container has its own namespace of this kind, made or joined.
    pub fn has(&self, kind: u32) -> bool {
        self.makes(kind) || self.join.iter().any(|(joined, _)| *joined == kind)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxNamespaceBuilder;

    use super::*;

    fn namespace(kind: LinuxNamespaceType, path: Option<&str>) -> LinuxNamespace {
        let builder = LinuxNamespaceBuilder::default().typ(kind);
        match path {
            Some(path) => builder.path(path).build().unwrap(),
            None => builder.build().unwrap(),
        }
    }

    #[test]
    fn new_namespaces_come_from_one_clone_but_cgroup_and_time() {
        let plan = NamespacePlan::new(&[
            namespace(LinuxNamespaceType::Pid, None),
            namespace(LinuxNamespaceType::Mount, None),
            namespace(LinuxNamespaceType::Cgroup, None),
            namespace(LinuxNamespaceType::Time, None),
        ]);
        assert_eq!(plan.clone, NEWPID | NEWNS);
        assert!(plan.cgroup && plan.time && !plan.fork);
    }

    #[test]
    fn joined_user_namespace_owns_what_is_made() {
        let plan = NamespacePlan::new(&[
            namespace(LinuxNamespaceType::Network, Some("/proc/1/ns/net")),
            namespace(LinuxNamespaceType::User, Some("/proc/1/ns/user")),
            namespace(LinuxNamespaceType::Pid, None),
        ]);
        assert_eq!(plan.join[0].0, NEWUSER);
        assert_eq!((plan.clone, plan.unshare), (0, NEWPID));
        assert!(plan.fork);
    }

    #[test]
    fn joined_pid_namespace_needs_a_fork() {
        let plan = NamespacePlan::new(&[
            namespace(LinuxNamespaceType::Pid, Some("/proc/1/ns/pid")),
            namespace(LinuxNamespaceType::Mount, None),
        ]);
        assert!(plan.fork && plan.clone == NEWNS);
    }
}
