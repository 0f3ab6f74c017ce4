//! What the parent opens and looks up before the clone: namespaces, bind sources, devices, user, filter, cgroup files.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxSeccomp, Process, Spec};

use super::{SeccompChoice, UserRequest};
use crate::plan::device::DevicePlan;
use crate::plan::mount::{CgroupView, MountPlan};
use crate::plan::process::{Credentials, Prepared};
use crate::plan::{capability, namespace::NamespacePlan};
use crate::rootfs::{bind, copy_up, users};
use crate::seccomp::{self, Filter};
use crate::{Error, Kind, Result};

/// Detached mounts, in the order of the plans.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    pub prepared: Vec<Option<Prepared>>,
    pub owned: Vec<OwnedFd>,
}

/// Opens bind sources and fills copied-up tmpfs.
pub(super) fn mounts(plans: &[MountPlan], root: BorrowedFd<'_>) -> Result<Mounts> {
    let mut mounts = Mounts { prepared: Vec::with_capacity(plans.len()), owned: Vec::new() };
    for plan in plans {
        let (mount, directory) = match plan {
            MountPlan::New { .. } => {
                mounts.prepared.push(None);
                continue;
            }
            MountPlan::Bind { source, target, options, mappings, .. } => {
                let source = bind::open(source, &target.to_string_lossy(), options, mappings.as_ref())?;
                (source.mount, source.directory)
            }
            MountPlan::CopyUp { target, data, attributes, .. } => {
                (copy_up::tmpfs(root, target, data, *attributes)?, true)
            }
        };
        mounts.prepared.push(Some(Prepared { fd: mount.as_raw_fd(), directory }));
        mounts.owned.push(mount);
    }
    Ok(mounts)
}

/// Detached mounts of the host's own device nodes, for containers that cannot make nodes.
pub(super) fn devices(devices: &[DevicePlan]) -> Result<Vec<OwnedFd>> {
    devices
        .iter()
        .map(|device| {
            let path = PathBuf::from(device.path.to_string_lossy().into_owned());
            bind::open(&path, "", &crate::plan::mount::Options::default(), None).map(|source| source.mount)
        })
        .collect()
}

/// Opens the namespaces that are joined.
pub(super) fn namespaces(plan: &NamespacePlan) -> Result<Vec<OwnedFd>> {
    plan.join
        .iter()
        .map(|(_, path)| {
            std::fs::File::open(path).map(OwnedFd::from).map_err(|error| Error::io("open namespace", path, &error))
        })
        .collect()
}

/// The command's user: resolved by name, or the specification's numbers.
pub(super) fn credentials(root: BorrowedFd<'_>, process: &Process, user: Option<&UserRequest>) -> Result<Credentials> {
    if let Some(request) = user {
        return users::resolve_in(root, request);
    }
    let has_home = process.env().iter().flatten().any(|entry| entry.starts_with("HOME="));
    Ok(Credentials {
        uid: process.user().uid(),
        gid: process.user().gid(),
        groups: process.user().additional_gids().clone().unwrap_or_default(),
        home: if has_home { None } else { Some(users::home_of(root, process.user().uid())?) },
    })
}

/// The filter of a choice.
pub(super) fn filter(
    choice: &SeccompChoice,
    profile: Option<&LinuxSeccomp>,
    process: &Process,
) -> Result<Option<Filter>> {
    match choice {
        SeccompChoice::Unconfined => Ok(None),
        SeccompChoice::Filter(filter) => Ok(Some(filter.clone())),
        SeccompChoice::FromSpec => {
            profile.map(|profile| seccomp::compile(profile, &seccomp::HostArch::NATIVE)).transpose()
        }
        SeccompChoice::DockerDefault => {
            let bounding = capability::Sets::of(process.capabilities().as_ref()).bounding;
            seccomp::docker_default(bounding).map(Some)
        }
    }
}

/// The cgroup directories the container's cgroup mount shows.
pub(super) fn cgroup_view(
    spec: &Spec,
    namespaces: &NamespacePlan,
    cgroup: Option<&crate::cgroup::Cgroup>,
) -> CgroupView {
    let asks = spec.mounts().iter().flatten().any(|mount| mount.typ().as_deref() == Some("cgroup"));
    match cgroup {
        Some(cgroup) if asks => CgroupView {
            unified: cgroup.is_unified(),
            namespaced: namespaces.has(crate::plan::namespace::NEWCGROUP),
            hierarchies: cgroup.mount_view(),
        },
        _ => CgroupView { unified: true, ..CgroupView::default() },
    }
}

/// The runtime's own permitted capabilities.
pub(super) fn permitted_capabilities() -> u64 {
    rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits())
}

/// Which LSM takes process labels, if any: asked only when there is a label.
pub(super) fn label_file(process: &Process) -> Option<&'static str> {
    process.apparmor_profile().as_ref()?;
    ["/sys/module/apparmor/parameters/enabled"]
        .iter()
        .any(|path| std::fs::read(path).is_ok_and(|content| content.starts_with(b"Y")))
        .then_some("thread-self/attr/apparmor/exec")
}

/// Sends a seccomp listener to who the specification says (runtime-spec, "Linux seccomp", listenerPath).
pub(super) fn forward_listener(path: Option<&Path>, listener: BorrowedFd<'_>, state: &[u8]) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let fail = |errno| Error::kernel("send the seccomp listener to", path, errno);
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(fail)?;
    let address = rustix::net::SocketAddrUnix::new(path).map_err(fail)?;
    rustix::net::connect(&socket, &address).map_err(fail)?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let fds = [listener];
    if !control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::new(Kind::State, "send the seccomp listener to", path, "no room"));
    }
    rustix::net::sendmsg(&socket, &[std::io::IoSlice::new(state)], &mut control, rustix::net::SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(fail)
}

/// The plain number of each descriptor.
pub(super) fn numbers(fds: &[OwnedFd]) -> Vec<i32> {
    fds.iter().map(|fd| fd.as_fd().as_raw_fd()).collect()
}
