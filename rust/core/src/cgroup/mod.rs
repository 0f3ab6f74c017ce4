//! Control groups: one trait, v1, v2 and hybrid behind it, one file a controller.
//!
//! Owns a container's directories in every hierarchy, from making to removing. Plans are pure (`controller::Controller::plan`); the
//! files are written here. `docs/cgroups.md` says which option becomes which file.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

mod blkio;
mod controller;
mod cpu;
mod cpuacct;
mod cpuset;
mod create;
mod device_program;
mod device_rules;
mod devices;
mod file;
mod freezer;
mod group;
mod hierarchy;
mod hugetlb;
mod memory;
mod net;
mod oom;
mod path;
mod pids;
mod processes;
mod rdma;
pub mod stats;
pub mod systemd;
mod unified;
mod warnings;

use controller::{Controller, Target};
use group::{Group, Undo};

pub use cpu::shares_to_weight;
pub use hierarchy::{Hierarchies, Hierarchy, Version};
pub use oom::OomWatch;
pub use stats::Stats;
pub use warnings::warnings;

use crate::{Error, Kind, Result};

/// Every controller. cpuset is first: whatever fails there fails before anything else was set.
static CONTROLLERS: [&dyn Controller; 12] = [
    &cpuset::Cpuset,
    &cpu::Cpu,
    &cpuacct::Cpuacct,
    &memory::Memory,
    &pids::Pids,
    &blkio::Blkio,
    &devices::Devices,
    &hugetlb::Hugetlb,
    &freezer::Freezer,
    &net::NetClass,
    &net::NetPriority,
    &rdma::Rdma,
];

/// How often SIGKILL is repeated where nothing can be frozen, a millisecond apart.
const KILL_ROUNDS: u32 = 1000;

/// Who makes the directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// We do.
    Cgroupfs,
    /// systemd does, as a transient scope.
    Systemd,
}

/// A container's control group in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {
    groups: Vec<Group>,
    v2_controllers: Vec<String>,
    unit: Option<systemd::Scope>,
    /// Nobody knew of the group before it was first joined: what was left out until then does not exist.
    fresh: AtomicBool,
}

/// What a child needs to join.
#[derive(Debug, Default)]
pub struct Join {
    /// The v2 directory, for `CLONE_INTO_CGROUP`.
    pub v2_dir: Option<OwnedFd>,
    /// v1 `tasks` files: the child writes "0" to each, forty times cheaper than a pid in `cgroup.procs`, which waits for RCU.
    pub v1_tasks: Vec<OwnedFd>,
    /// v2 `cgroup.procs`, for a process that exists already: it writes "0".
    pub v2_procs: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes a container's group and sets the limits asked for; on failure what was made is removed again.
    ///
    /// `path` is the specification's `cgroupsPath`: with the cgroupfs driver a path relative to the top of each hierarchy's mount (with a
    /// leading slash) or to this process's own group (without), with systemd `slice:prefix:name`. Every container gets device rules, the
    /// specification's followed by runc's defaults. `rootless` forgives what this user may not do as long as no limit depends on it.
    ///
    /// # Errors
    /// `InvalidArgument` for values that cannot be right and limits whose controller is missing, `Conflict` where the group exists and has
    /// processes, `Kernel` for what the kernel refuses.
    pub fn create(
        hierarchies: &Hierarchies,
        driver: Driver,
        path: &str,
        resources: Option<&LinuxResources>,
        rootless: bool,
    ) -> Result<Self> {
        let default = LinuxResources::default();
        create::create(hierarchies, driver, path, resources.unwrap_or(&default), rootless)
    }

    /// No group at all: what an ordinary user's container has (docs/rootless.md).
    ///
    /// # Errors
    /// `InvalidArgument` where a limit depends on one.
    pub fn none(resources: Option<&LinuxResources>) -> Result<Self> {
        let none = Self { groups: Vec::new(), v2_controllers: Vec::new(), unit: None, fresh: AtomicBool::new(false) };
        resources.map_or(Ok(()), |resources| create::check(&none, resources, true))?;
        Ok(none)
    }

    /// Finds the group of an existing container by the paths [`Cgroup::paths`] gave; without any it has none.
    ///
    /// # Errors
    /// `NotFound` where it is gone.
    pub fn open(hierarchies: &Hierarchies, paths: &BTreeMap<String, PathBuf>) -> Result<Self> {
        if paths.is_empty() {
            return Self::none(None);
        }
        let mut groups = Vec::new();
        for hierarchy in hierarchies.iter() {
            let keys = hierarchy
                .controllers
                .iter()
                .map(String::as_str)
                .chain((hierarchy.version == Version::V2).then_some(""));
            let Some(path) = keys.into_iter().find_map(|key| paths.get(key)) else { continue };
            let path = path.to_str().ok_or_else(|| Error::invalid("use control group", path, "not UTF-8"))?;
            groups.push(Group::new(hierarchy, path.to_owned()));
        }
        let exists = |group: &Group| rustix::fs::access(group.path.as_str(), rustix::fs::Access::EXISTS).is_ok();
        // Those made only when needed prove nothing by being absent.
        if !groups.iter().any(exists) {
            let object = groups.first().map_or("", |group| group.path.as_str());
            return Err(Error::new(Kind::NotFound, "open control group", object, "it does not exist"));
        }
        let unit = if hierarchies.has_systemd() { systemd::Scope::of_path(&groups[0].path) } else { None };
        let v2_controllers = hierarchies.v2_controllers()?.to_vec();
        Ok(Self { groups, v2_controllers, unit, fresh: AtomicBool::new(false) })
    }

    /// Controller → directory, v2 under the empty name: the `cgroup_paths` of runc's state.json.
    ///
    /// Some v1 directories (cpu, cpuset, freezer, …) are made when a limit or a pause first needs them and may not exist yet.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let mut paths = BTreeMap::new();
        for group in &self.groups {
            if group.version == Version::V2 {
                paths.insert(String::new(), PathBuf::from(&group.path));
            }
            for name in &group.controllers {
                paths.insert(name.clone(), PathBuf::from(&group.path));
            }
        }
        paths
    }

    /// v2 is all there is.
    pub fn is_unified(&self) -> bool {
        matches!(&self.groups[..], [only] if only.version == Version::V2)
    }

    /// What a container's cgroup mount shows on v1 and hybrid: name below the mount point, directory on the host.
    pub fn mount_view(&self) -> Vec<(String, PathBuf)> {
        let unified = self.is_unified();
        let shown = self.groups.iter().filter(|group| !unified && self.exists(group));
        let name = |group: &Group| match group.version {
            Version::V1 => group.controllers.join(",").trim_start_matches("name=").to_owned(),
            Version::V2 => "unified".to_owned(),
        };
        shown.map(|group| (name(group), PathBuf::from(&group.path))).collect()
    }

    /// Opens what a child needs to join.
    pub fn join(&self) -> Result<Join> {
        let mut join = Join::default();
        let fresh = self.fresh.swap(false, Ordering::Relaxed);
        for group in self.groups.iter().filter(|group| !(fresh && group.is_absent())) {
            let fail = |errno| Err(Error::kernel("open control group", &group.path, errno));
            let opened = match group.version {
                Version::V1 => group.open("tasks").map(|tasks| join.v1_tasks.push(tasks)),
                Version::V2 => rustix::fs::open(
                    group.path.as_str(),
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .and_then(|directory| {
                    join.v2_procs = Some(group.open("cgroup.procs")?);
                    join.v2_dir = Some(directory);
                    Ok(())
                }),
            };
            match opened {
                Ok(()) => {}
                Err(Errno::NOENT) if !self.is_needed(group) => {}
                Err(errno) => return fail(errno),
            }
        }
        Ok(join)
    }

    /// What a kernel's refusal to let a process join means: of `CLONE_INTO_CGROUP`, or of writing to a descriptor of [`Join`].
    pub fn join_error(&self, errno: Errno) -> Error {
        let path = self.groups.iter().find(|group| group.version == Version::V2).or(self.groups.first());
        let path = path.map_or("", |group| group.path.as_str());
        let error = Error::kernel("join control group", path, errno);
        match errno {
            Errno::BUSY => {
                error.with_hint("a v2 group whose controllers are handed down to groups below it takes no processes")
            }
            Errno::OPNOTSUPP => {
                error.with_hint("the group is threaded, or below a threaded one, and takes no process as a whole")
            }
            Errno::NOSPC => error.with_hint("its cpuset has no processors or memory nodes"),
            Errno::AGAIN => error.with_hint("a pids limit is reached"),
            Errno::INVAL => error.with_hint("a real-time process needs a group with real-time budget"),
            _ => error,
        }
    }

    /// Whether a directory is made with the container, not later.
    fn is_needed(&self, group: &Group) -> bool {
        (group.version == Version::V2 && self.is_unified())
            || CONTROLLERS.iter().any(|one| one.always() && group.has(one.name(Version::V1)))
    }

    /// Whether a directory is there; asked of the kernel only where another process may have made it.
    fn exists(&self, group: &Group) -> bool {
        if self.is_needed(group) || self.fresh.load(Ordering::Relaxed) {
            return !group.is_absent();
        }
        rustix::fs::access(group.path.as_str(), rustix::fs::Access::EXISTS).is_ok()
    }

    /// The directory a controller has, and by which interface.
    fn group_of(&self, controller: &dyn Controller) -> Option<&Group> {
        let (v1, v2) = (controller.name(Version::V1), controller.name(Version::V2));
        self.groups.iter().find(|group| group.has(v1)).or_else(|| {
            let offered = controller.is_core_of_v2() || self.v2_controllers.iter().any(|name| name == v2);
            self.groups.iter().find(|group| group.version == Version::V2 && offered)
        })
    }

    /// Changes limits of a running container. What is not given stays; a failure leaves what was set before it.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        create::check(self, resources, false)?;
        if let Some(unit) = &self.unit {
            unit.update(self, resources)?;
        }
        if self.is_unified() {
            // The directory is there, files of a controller nobody needed so far may not be.
            create::hand_down(self, &self.groups[0], resources)?;
        }
        for controller in CONTROLLERS {
            if controller.asked(resources) == controller::Asked::Nothing {
                continue;
            }
            if let Some(group) = self.group_of(controller) {
                self.materialise(group, controller)?;
                let target = Target { version: group.version, path: &group.path, fresh: false };
                controller.apply(target, resources)?;
            }
        }
        create::apply_unified(self, resources, false)
    }

    /// Makes a directory that was not needed so far and moves the container's processes there.
    fn materialise(&self, group: &Group, controller: &dyn Controller) -> Result<()> {
        if controller.always() || (group.version == Version::V2 && self.is_unified()) {
            return Ok(());
        }
        let fail = |errno| Error::kernel("make control group", &group.path, errno);
        if !group.make(&mut Undo::new()).map_err(fail)? && controller.name(Version::V1) != "freezer" {
            return Ok(());
        }
        group.prepare()?;
        if group.version == Version::V2 {
            group::enable_controllers(group, &[], &[controller.name(Version::V2)])?;
        }
        match self.members() {
            Some(members) if members.path != group.path => processes::gather(&members.path, &group.path),
            _ => Ok(()),
        }
    }

    /// A directory that has all processes.
    fn members(&self) -> Option<&Group> {
        self.groups.iter().find(|group| self.is_needed(group)).or_else(|| self.groups.first())
    }

    /// Stops every process. If that does not come about they run again.
    pub fn freeze(&self) -> Result<()> {
        let group = self.freezer("pause")?;
        // Who joined since the last time is gathered again.
        self.materialise(group, &freezer::Freezer)?;
        freezer::freeze(group.version, &group.path)
    }

    /// Lets every process go on.
    pub fn thaw(&self) -> Result<()> {
        let group = self.freezer("resume")?;
        match freezer::thaw(group.version, &group.path) {
            Err(error) if error.errno == Some(Errno::NOENT) => Ok(()), // it was never frozen
            result => result,
        }
    }

    /// Whether the processes are stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        let group = self.group_of(&freezer::Freezer);
        group.map_or(Ok(false), |group| freezer::is_frozen(group.version, &group.path))
    }

    fn freezer(&self, operation: &str) -> Result<&Group> {
        self.group_of(&freezer::Freezer).ok_or_else(|| {
            let reason = match self.groups[..] {
                [] => "the container has none",
                _ => "this host has no freezer controller, on cgroup v1 or v2",
            };
            Error::new(Kind::State, operation, "control group", reason)
        })
    }

    /// All processes, those of nested groups too, without order.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = self.members().map_or(Ok(Vec::new()), |group| processes::list(&group.path))?;
        if let Some(waiting) = self.unit.as_ref().and_then(systemd::Scope::placeholder) {
            pids.retain(|pid| *pid != waiting);
        }
        Ok(pids)
    }

    /// Sends a signal to every process; SIGKILL in one stroke where the kernel offers it (v2, Linux 5.14).
    ///
    /// Otherwise they are frozen meanwhile, so that none forks away, and thawed whatever happens; SIGKILL is repeated until none is left.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL
            && self.is_unified()
            && file::write(&format!("{}/cgroup.kill", self.groups[0].path), "1").is_ok()
        {
            return Ok(());
        }
        if self.pids()?.is_empty() {
            return Ok(());
        }
        // A container that is paused stays so for any signal but SIGKILL.
        let was_frozen = self.is_frozen()?;
        let froze = !was_frozen && self.freeze().is_ok();
        let result = self.pids().and_then(|pids| processes::signal(&pids, signal));
        let thawed = if froze || (was_frozen && signal == libc::SIGKILL) { self.thaw() } else { Ok(()) };
        result.and(thawed)?;
        // Nothing held the children of a process that forked meanwhile: again, until there are none.
        for _ in 0..KILL_ROUNDS {
            if froze || was_frozen || signal != libc::SIGKILL {
                break;
            }
            let left = self.pids()?;
            if left.is_empty() {
                break;
            }
            processes::signal(&left, signal)?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Reads all counters; what this host does not count is zero.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for controller in CONTROLLERS {
            if let Some(group) = self.group_of(controller) {
                controller.stats(group.version, &group.path, &mut stats)?;
            }
        }
        Ok(stats)
    }

    /// How often the kernel killed a process of the group for lack of memory; None where that is not counted.
    pub fn oom_kills(&self) -> Option<u64> {
        let group = self.group_of(&memory::Memory)?;
        oom::kills(group.version, &group.path).ok().flatten()
    }

    /// Has the kernel tell when memory runs out.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let group =
            self.group_of(&memory::Memory).ok_or_else(|| controller::missing("memory", "an out-of-memory watch"))?;
        OomWatch::new(group.version, &group.path)
    }

    /// The container's first process has joined: what held its place with systemd until then is let go.
    ///
    /// Without this it stays until the [`Cgroup`] is dropped, which keeps the scope between restarts. Nothing for cgroupfs.
    pub fn settled(&self) {
        if let Some(unit) = &self.unit {
            unit.release();
        }
    }

    /// Removes the group and what is nested in it; waits up to a second for processes that are still dying.
    ///
    /// Goes on after an error and reports the first. Directories above the container's stay, for its siblings.
    pub fn remove(&self) -> Result<()> {
        let mut result = match &self.unit {
            Some(unit) => unit.stop(),
            None => Ok(()),
        };
        for group in self.groups.iter().rev() {
            result = result.and(file::remove_tree(&group.path));
        }
        result
    }
}

#[cfg(test)]
mod tests;
