//! Control groups: v1, v2 and hybrid, one file a controller.
//!
//! A controller's file turns what the specification asks for into [`Setting`]s, purely; this module makes directories, writes
//! the settings, and looks after a container's groups until they are removed.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Kind, Result};

mod blkio;
mod cpu;
mod cpuset;
mod device_program;
mod devices;
mod freezer;
mod hierarchy;
mod hugetlb;
mod memory;
mod network;
mod oom;
mod pids;
mod plan;
mod setting;
pub mod stats;
pub mod systemd;

pub use hierarchy::Hierarchies;
pub use oom::OomWatch;
pub use setting::Setting;

/// Who makes the directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// We do.
    Cgroupfs,
    /// systemd does, as a transient scope.
    Systemd,
}

/// How often removing a busy group is tried again: processes that were killed take their time.
const REMOVE_ATTEMPTS: u32 = 60;

/// One directory of the container, in one hierarchy.
#[derive(Debug)]
struct Group {
    /// v1: the controllers there; v2: empty.
    controllers: Vec<String>,
    /// As the host sees it.
    path: PathBuf,
    directory: OwnedFd,
}

/// A container's control group in every hierarchy of the host.
#[derive(Debug)]
pub struct Cgroup {
    v1: Vec<Group>,
    v2: Option<Group>,
    unified: bool,
}

/// What a child needs to join.
#[derive(Debug, Default)]
pub struct Join {
    /// v2 directory, for CLONE_INTO_CGROUP.
    pub v2_dir: Option<OwnedFd>,
    /// v1 `tasks` files: writing "0" there is forty times cheaper than a pid in cgroup.procs, which waits for RCU.
    pub v1_tasks: Vec<OwnedFd>,
    /// v2 `cgroup.procs`, for a process that exists already.
    pub v2_procs: Option<OwnedFd>,
}

impl Cgroup {
    /// Makes the group at `path` (OCI cgroupsPath, below each hierarchy's mount point) and sets the limits asked for.
    ///
    /// On failure what was made is removed again. `rootless` forgives hierarchies that cannot be written to, unless a limit
    /// was asked for there.
    pub fn create(
        hierarchies: &Hierarchies,
        driver: Driver,
        path: &str,
        resources: Option<&LinuxResources>,
        rootless: bool,
    ) -> Result<Self> {
        let default = LinuxResources::default();
        let resources = resources.unwrap_or(&default);
        let relative = match driver {
            Driver::Cgroupfs => plan::relative(path)?,
            Driver::Systemd => systemd::start_scope(path, resources)?,
        };
        let wants = plan::Wants::of(resources);
        wants.check(hierarchies)?;
        let mut cgroup = Self { v1: Vec::new(), v2: None, unified: hierarchies.is_unified() };
        let result = cgroup.make(hierarchies, &relative, &wants, rootless).and_then(|()| cgroup.apply(resources, true));
        match result {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                let _ = cgroup.remove();
                Err(error)
            }
        }
    }

    fn make(&mut self, hierarchies: &Hierarchies, relative: &str, wants: &plan::Wants, rootless: bool) -> Result<()> {
        for (first, mount) in hierarchies.v1_mounts(|controller| wants.has(controller)) {
            let path = mount.join(relative);
            match make_v1(mount, &path, first == "cpuset") {
                Ok(directory) => {
                    let controllers = hierarchies.v1.iter().filter(|(_, other)| other.as_path() == mount);
                    let controllers = controllers.map(|(name, _)| name.clone()).collect();
                    self.v1.push(Group { controllers, path, directory });
                }
                Err(error) if rootless && forgivable(&error) && !wants.has(first) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(mount) = &hierarchies.v2 else { return Ok(()) };
        if !hierarchies.is_unified() && !hierarchies.v2_controllers.iter().any(|controller| wants.has(controller)) {
            return Ok(());
        }
        let path = mount.join(relative);
        let wanted = |controller: &str| hierarchies.is_unified() || wants.has(controller);
        match make_v2(mount, relative, wanted) {
            Ok(directory) => self.v2 = Some(Group { controllers: Vec::new(), path, directory }),
            Err(error) if rootless && forgivable(&error) && !wants.any() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Opens the group of an existing container by the paths [`Cgroup::paths`] gave.
    pub fn open(hierarchies: &Hierarchies, paths: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let mut cgroup = Self { v1: Vec::new(), v2: None, unified: hierarchies.is_unified() };
        for (controller, path) in paths {
            if let Some(group) = cgroup.v1.iter_mut().find(|group| group.path == *path) {
                group.controllers.push(controller.clone());
                continue;
            }
            let directory = open_directory(path)?;
            let group = Group { controllers: vec![controller.clone()], path: path.clone(), directory };
            if controller.is_empty() {
                cgroup.v2 = Some(Group { controllers: Vec::new(), ..group });
            } else {
                cgroup.v1.push(group);
            }
        }
        Ok(cgroup)
    }

    /// Controller → directory, v2 under the empty name: runc's `cgroup_paths`.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let v1 =
            self.v1.iter().flat_map(|group| group.controllers.iter().map(|name| (name.clone(), group.path.clone())));
        v1.chain(self.v2.iter().map(|group| (String::new(), group.path.clone()))).collect()
    }

    /// Every controller lives on v2.
    pub fn is_unified(&self) -> bool {
        self.unified
    }

    /// What a container's cgroup mount shows on v1 and hybrid: name below the mount point, directory on the host.
    pub fn mount_view(&self) -> Vec<(String, PathBuf)> {
        let v1 = self.v1.iter().map(|group| (group.controllers.join(","), group.path.clone()));
        let v2 = self.v2.iter().filter(|_| !self.unified).map(|group| ("unified".to_owned(), group.path.clone()));
        v1.chain(v2).collect()
    }

    /// Opens what a child needs to join.
    pub fn join(&self) -> Result<Join> {
        let open = |group: &Group, file: &str| {
            rustix::fs::openat(&group.directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| Error::kernel("open", &group.path.join(file), errno))
        };
        let mut join = Join::default();
        for group in &self.v1 {
            join.v1_tasks.push(open(group, "tasks")?);
        }
        if let Some(group) = &self.v2 {
            let copy = rustix::io::fcntl_dupfd_cloexec(&group.directory, 0)
                .map_err(|errno| Error::kernel("copy descriptor of", &group.path, errno))?;
            join.v2_dir = Some(copy);
            join.v2_procs = Some(open(group, "cgroup.procs")?);
        }
        Ok(join)
    }

    /// Changes limits of a running container.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        let mut found = Hierarchies { v2: self.v2.as_ref().map(|group| group.path.clone()), ..Hierarchies::default() };
        found.v1 = self
            .v1
            .iter()
            .flat_map(|group| group.controllers.iter().map(|name| (name.clone(), group.path.clone())))
            .collect();
        if let Some(group) = &self.v2 {
            let text = setting::read_file(&group.directory, "cgroup.controllers").unwrap_or_default();
            found.v2_controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        plan::Wants::of(resources).check(&found)?;
        self.apply(resources, false)
    }

    fn apply(&self, resources: &LinuxResources, fresh: bool) -> Result<()> {
        for (controller, settings) in plan::v1(resources, || self.current_swap(fresh), fresh)? {
            if let Some(group) = self.with_controller(controller) {
                write_all(group, &settings)?;
            }
        }
        let Some(group) = &self.v2 else { return Ok(()) };
        write_all(group, &plan::v2(resources, |controller| self.with_controller(controller).is_none())?)?;
        if self.unified && resources.devices().is_some() {
            load_device_program(group, resources)?;
        }
        Ok(())
    }

    fn with_controller(&self, controller: &str) -> Option<&Group> {
        self.v1.iter().find(|group| group.controllers.iter().any(|name| name == controller))
    }

    fn current_swap(&self, fresh: bool) -> Option<i64> {
        if fresh {
            return None;
        }
        let group = self.with_controller("memory")?;
        setting::read_file(&group.directory, "memory.memsw.limit_in_bytes").ok()?.trim().parse().ok()
    }

    /// All processes, those of nested groups too, without order.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let group = self.with_controller("devices").or(self.v1.first()).or(self.v2.as_ref());
        let mut pids = Vec::new();
        if let Some(group) = group {
            collect_pids(&group.path, &mut pids)?;
        }
        Ok(pids)
    }

    /// Sends a signal to every process; SIGKILL in one stroke where the kernel offers it (v2, Linux 5.14).
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if let (libc::SIGKILL, true, Some(group)) = (signal, self.unified, &self.v2)
            && setting::write_file(&group.directory, "cgroup.kill", b"1").is_ok()
        {
            return Ok(());
        }
        // Frozen, so that nothing forks away in between; thawed whatever happens.
        let frozen = self.freeze().is_ok();
        let result = self.pids().map(|pids| {
            for pid in pids {
                if let (Some(pid), Some(signal)) =
                    (rustix::process::Pid::from_raw(pid), rustix::process::Signal::from_named_raw(signal))
                {
                    let _ = rustix::process::kill_process(pid, signal);
                }
            }
        });
        if frozen {
            self.thaw()?;
        }
        result
    }

    /// Removes the group and what is nested in it; waits a little for processes that are still dying.
    pub fn remove(&self) -> Result<()> {
        let mut first_error = None;
        for group in self.v1.iter().chain(&self.v2) {
            if let Err(error) = remove_tree(&group.path) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// The new program first, then the old ones go: at no moment is there none.
fn load_device_program(group: &Group, resources: &LinuxResources) -> Result<()> {
    use crate::sys::bpf;
    let fail = |errno| Error::kernel("set device rules of", &group.path, errno);
    let policy = devices::Policy::fold(resources.devices().as_deref().unwrap_or_default())?;
    let program = bpf::load_device_program(&device_program::compile(&policy)).map_err(fail)?;
    let old = bpf::device_programs(&group.directory).map_err(fail)?;
    bpf::attach_device_program(&group.directory, &program).map_err(fail)?;
    old.iter().try_for_each(|old| bpf::detach_device_program(&group.directory, old)).map_err(fail)
}

fn write_all(group: &Group, settings: &[Setting]) -> Result<()> {
    let path = group.path.to_string_lossy();
    settings.iter().try_for_each(|setting| setting::write(&group.directory, &path, setting))
}

fn forgivable(error: &Error) -> bool {
    matches!(error.errno, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::NOENT))
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let error = Error::kernel("open cgroup", path, errno);
        if errno == Errno::NOENT { error.with_kind(Kind::NotFound) } else { error }
    })
}

fn make_directory(path: &Path) -> Result<bool> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::kernel("make cgroup", path, errno)),
    }
}

/// Makes a v1 group: the leaf first, its parents only if that fails.
fn make_v1(mount: &Path, path: &Path, cpuset: bool) -> Result<OwnedFd> {
    match make_directory(path) {
        Err(error) if error.errno == Some(Errno::NOENT) => {
            let parent = path.parent().filter(|parent| parent.starts_with(mount) && *parent != mount);
            let Some(parent) = parent else { return Err(error) };
            make_v1(mount, parent, cpuset)?;
            if cpuset {
                // Leaves made later are cloned by the kernel, which saves reading and writing at each start.
                let parent = open_directory(parent)?;
                let _ = setting::write_file(&parent, "cgroup.clone_children", b"1");
            }
            make_directory(path)?;
        }
        other => drop(other?),
    }
    let directory = open_directory(path)?;
    if cpuset && let Some(parent) = path.parent() {
        cpuset::inherit_v1(open_directory(parent)?, &directory)
            .map_err(|errno| Error::kernel("inherit the cpuset of", parent, errno))?;
    }
    Ok(directory)
}

/// Makes a v2 group and hands the controllers down the path to it.
fn make_v2(mount: &Path, relative: &str, wanted: impl Fn(&str) -> bool) -> Result<OwnedFd> {
    let path = mount.join(relative);
    let made = make_directory(&path);
    if made.is_ok() && !needs_controllers(&path, &wanted) {
        return open_directory(&path);
    }
    let mut here = mount.to_owned();
    for component in Path::new(relative).components() {
        hand_down(&here, &wanted)?;
        here.push(component);
        make_directory(&here)?;
    }
    open_directory(&path)
}

/// Whether a group lacks controllers that its hierarchy's root could give.
fn needs_controllers(path: &Path, wanted: &impl Fn(&str) -> bool) -> bool {
    let read = |path: &Path| std::fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    let has = read(path);
    ["memory", "cpu", "cpuset", "io", "pids", "hugetlb"]
        .iter()
        .any(|controller| wanted(controller) && !has.split_whitespace().any(|name| name == *controller))
}

fn hand_down(directory: &Path, wanted: &impl Fn(&str) -> bool) -> Result<()> {
    let file = directory.join("cgroup.controllers");
    let available = std::fs::read_to_string(&file).map_err(|error| Error::io("read", &file, &error))?;
    let control = directory.join("cgroup.subtree_control");
    for controller in available.split_whitespace().filter(|controller| wanted(controller)) {
        let result = std::fs::write(&control, format!("+{controller}"));
        if let Err(error) = result
            && error.raw_os_error() == Some(libc::EBUSY)
        {
            return Err(Error::io(format!("enable controller {controller} in"), &control, &error).with_hint(
                "a v2 cgroup that holds processes hands no controllers down; choose another --cgroup-parent",
            ));
        }
    }
    Ok(())
}

fn collect_pids(path: &Path, pids: &mut Vec<i32>) -> Result<()> {
    let file = path.join("cgroup.procs");
    match std::fs::read_to_string(&file) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
        Err(error) => return Err(Error::io("read", &file, &error)),
    }
    for nested in nested(path) {
        collect_pids(&nested, pids)?;
    }
    Ok(())
}

fn nested(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn remove_tree(path: &Path) -> Result<()> {
    let mut pause = Duration::from_micros(200);
    for _ in 0..REMOVE_ATTEMPTS {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(Error::kernel("remove cgroup", path, errno)),
        }
        for nested in nested(path) {
            remove_tree(&nested)?;
        }
        if rustix::fs::rmdir(path).is_ok() {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Err(Error::kernel("remove cgroup", path, Errno::BUSY))
}
