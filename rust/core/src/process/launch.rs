//! The start of a container, from the parent's side.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{LinuxSeccomp, Process, Spec};
use pyctr_init::op::stage;

use super::channel::{Event, How, Setup};
use super::{Child, Launch, Rootfs, State, Stdio, hooks, id_map, prepare};
use crate::plan::namespace::{NEWUSER, NamespacePlan};
use crate::plan::process::{Common, Start, StdioPlan, plan_start};
use crate::plan::{device, mount};
use crate::rootfs::{self, overlay};
use crate::sys::time_namespace;
use crate::{Error, Result, rootless};

/// Starts a container; returns when the command was execed or, with a gate, when it waits there.
///
/// Runs the prestart, createRuntime and createContainer hooks and, without a gate, startContainer; poststart is the
/// caller's. On error nothing is left behind: no process, no mount. The cgroup is the caller's to remove.
/// [`crate::Kind::CommandNotFound`] and [`crate::Kind::CommandNotExecutable`] say why an exec failed.
pub fn launch(request: &Launch<'_>) -> Result<Child> {
    launch_beside(request, None)
}

/// What the parent does for a process that is being set up; the process waits for it before it pivots.
pub type Beside<'a> = &'a dyn Fn(i32) -> Result<()>;

/// [`launch`]; meanwhile `beside` is done, given the pid of a process in the container's namespaces. Where it fails, so does the start.
pub fn launch_beside(request: &Launch<'_>, beside: Option<Beside<'_>>) -> Result<Child> {
    let spec = request.spec;
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("read", "process", "missing"))?;
    let root = open_root(&request.rootfs)?;
    let namespaces =
        NamespacePlan::new(spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default());
    let mut setup = clone(request, process, &namespaces, &root, beside.is_some())?;
    // A process that is yet to fork or to make namespaces is not in them before it says so.
    let (now, later) = if namespaces.fork || namespaces.unshare != 0 { (None, beside) } else { (beside, None) };
    if let Some(work) = now {
        // A child that has failed meanwhile has no namespaces to work in any more: what it says is the reason.
        work(setup.pid().as_raw_nonzero().get()).map_err(|error| setup.failure().unwrap_or(error))?;
    }
    converse(request, setup, later)
}

fn open_root(rootfs: &Rootfs) -> Result<Root> {
    match rootfs {
        Rootfs::Directory(path) => Ok(Root { mount: rootfs::directory(path)?, target: path.clone() }),
        Rootfs::Overlay { lower, upper, work, merged, volatile } => {
            Ok(Root { mount: overlay::mount(lower, upper, work, *volatile)?, target: merged.clone() })
        }
    }
}

struct Root {
    mount: OwnedFd,
    target: PathBuf,
}

fn clone(
    request: &Launch<'_>,
    process: &Process,
    namespaces: &NamespacePlan,
    root: &Root,
    beside: bool,
) -> Result<Setup> {
    let spec = request.spec;
    let linux = spec.linux().as_ref();
    let view = prepare::cgroup_view(spec, namespaces, request.cgroup);
    let all_mounts = spec.mounts().as_deref().unwrap_or_default();
    let mounts = mount::plan(all_mounts, request.bundle, &view)?;
    let readonly_cgroups = mount::readonly_cgroup_targets(all_mounts, &view)?;
    let prepared = prepare::mounts(&mounts, root.mount.as_fd())?;
    let devices = device::plan(linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default())?;
    let makes_user = namespaces.makes(NEWUSER);
    // Root of a user namespace makes no nodes.
    let binds_devices = namespaces.has(NEWUSER) || rootless::is_active();
    let device_mounts = if binds_devices { prepare::devices(&devices)? } else { Vec::new() };
    let namespace_fds = prepare::namespaces(namespaces)?;
    let credentials = prepare::credentials(root.mount.as_fd(), process, request.user.as_ref())?;
    let filter = prepare::filter(&request.seccomp, profile(spec), process)?;
    let join = request.cgroup.map(crate::cgroup::Cgroup::join).transpose()?;
    let join_fds: Vec<i32> = join.iter().flat_map(|join| join.v1_tasks.iter().map(AsRawFd::as_raw_fd)).collect();
    let keyring = (!request.no_new_keyring).then(|| format!("_ses.{}", request.id));
    let gids = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    let start = Start {
        common: Common {
            credentials: &credentials,
            stdio: stdio(&request.stdio),
            filter: filter.as_ref(),
            preserve_fds: request.preserve_fds,
            gate: request.gate.map(|fd| fd.as_raw_fd()),
            parent_death_signal: request.parent_death_signal,
            reaper: request.reaper,
            permitted: prepare::permitted_capabilities(),
            join_cgroups: &join_fds,
            set_groups: if makes_user { id_map::allows_setgroups(gids) } else { id_map::may_set_groups() },
            keyring: keyring.as_deref(),
            label_file: prepare::label_file(process),
        },
        namespaces,
        namespace_fds: &prepare::numbers(&namespace_fds),
        root_fd: root.mount.as_raw_fd(),
        root_target: &root.target,
        mounts: &mounts,
        prepared: &prepared.prepared,
        devices: &devices,
        device_fds: &prepare::numbers(&device_mounts),
        readonly_cgroups: &readonly_cgroups,
        sync: beside || needs_sync(spec),
        no_pivot: request.no_pivot,
    };
    let list = plan_start(spec, &start)?;
    let mut inherit = vec![root.mount.as_raw_fd()];
    inherit.extend(prepare::numbers(&prepared.owned));
    inherit.extend(prepare::numbers(&device_mounts));
    inherit.extend(prepare::numbers(&namespace_fds));
    inherit.extend(&join_fds);
    inherit.extend(start.common.gate);
    if let Stdio::Descriptors(fds) = &request.stdio {
        inherit.extend(fds.iter().map(AsRawFd::as_raw_fd));
    }
    let offsets: Vec<_> = linux
        .and_then(|linux| linux.time_offsets().as_ref())
        .into_iter()
        .flatten()
        .map(|(clock, offset)| (clock.as_str(), offset.clone()))
        .collect();
    let _time = if namespaces.time { Some(time_namespace::enter(&offsets)?) } else { None };
    let setup = Setup::start(
        list,
        How {
            namespaces: u64::from(namespaces.clone),
            cgroup: join.as_ref().and_then(|join| join.v2_dir.as_ref()).map(AsFd::as_fd),
            inherit,
            wait_for_id_maps: makes_user,
            separate_memory: namespaces.time,
            forks: namespaces.fork,
        },
    )?;
    if makes_user {
        let uids = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
        id_map::write(setup.pid(), uids, gids)?;
        setup.proceed(&[])?;
    }
    Ok(setup)
}

fn stdio(stdio: &Stdio<'_>) -> StdioPlan {
    match stdio {
        Stdio::Inherit => StdioPlan::Inherit,
        Stdio::Descriptors(fds) => StdioPlan::Descriptors(fds.map(|fd| fd.as_raw_fd())),
        Stdio::Terminal { size } => {
            let (rows, columns) = size.unwrap_or((0, 0));
            StdioPlan::Terminal(rows, columns)
        }
    }
}

fn profile(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref()?.seccomp().as_ref()
}

/// Something must happen in this process between the mounts and the pivot: hooks of ours, or a state for the child's.
fn needs_sync(spec: &Spec) -> bool {
    spec.hooks().as_ref().is_some_and(|hooks| {
        #[allow(deprecated)] // prestart still runs, first (runtime-spec, "Prestart")
        let prestart = hooks.prestart();
        [prestart, hooks.create_runtime(), hooks.create_container(), hooks.start_container()]
            .iter()
            .any(|hooks| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()))
    })
}

fn converse(request: &Launch<'_>, mut setup: Setup, beside: Option<Beside<'_>>) -> Result<Child> {
    let (mut console, mut seccomp_notify) = (None, None);
    loop {
        match setup.next()? {
            Event::Reached(stage::CREATED) => {
                if let Some(work) = beside {
                    let pid = setup.pid().as_raw_nonzero().get();
                    work(pid).map_err(|error| setup.failure().unwrap_or(error))?;
                }
                let pid = Some(setup.pid().as_raw_nonzero().get());
                let state = State::new(request.spec, request.id, request.bundle, "creating", pid);
                if let Some(hooks) = request.spec.hooks() {
                    #[allow(deprecated)]
                    hooks::run_all("prestart", hooks.prestart().as_ref(), &state)?;
                    hooks::run_all("createRuntime", hooks.create_runtime().as_ref(), &state)?;
                }
                let state = State { status: "created", ..state };
                setup.proceed(&state.to_json())?;
            }
            Event::Reached(_) | Event::Gone => break,
            Event::Forked => {}
            Event::Console(fd) => console = Some(fd),
            Event::SeccompListener(fd) => {
                let pid = Some(setup.pid().as_raw_nonzero().get());
                let state = State::new(request.spec, request.id, request.bundle, "creating", pid).to_json();
                let path = profile(request.spec).and_then(|profile| profile.listener_path().clone());
                prepare::forward_listener(path.as_deref(), fd.as_fd(), &state)?;
                seccomp_notify = Some(fd);
            }
        }
    }
    let (pid, pidfd) = setup.finish()?;
    Ok(Child { pid, pidfd, console, seccomp_notify })
}
