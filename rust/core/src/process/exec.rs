//! A further process in a running container.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::channel::{Event, How, Setup};
use super::{Child, Exec, Stdio, id_map, prepare};
use crate::plan::namespace::{NEWTIME, NEWUSER};
use crate::plan::process::{Common, StdioPlan, plan_exec};
use crate::{Error, Result};

/// Every kind of namespace: name below /proc/PID/ns, clone flag.
const KINDS: [(&str, u32); 8] = [
    ("user", NEWUSER),
    ("mnt", 0x2_0000),
    ("cgroup", 0x200_0000),
    ("uts", 0x400_0000),
    ("ipc", 0x800_0000),
    ("pid", 0x2000_0000),
    ("net", 0x4000_0000),
    ("time", NEWTIME),
];

/// Runs a further process in a running container; returns when it was execed.
pub fn exec(request: &Exec<'_>) -> Result<Child> {
    let join = namespaces_to_join(request.container_pid.as_raw_nonzero().get())?;
    let root_path = PathBuf::from(format!("/proc/{}/root", request.container_pid.as_raw_nonzero()));
    let root = rustix::fs::open(
        &root_path,
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|errno| Error::kernel("open the container's root", &root_path, errno))?;
    let credentials = prepare::credentials(std::os::fd::AsFd::as_fd(&root), request.process, request.user.as_ref())?;
    let filter = prepare::filter(&request.seccomp, request.profile, request.process)?;
    let cgroup = request.cgroup.map(crate::cgroup::Cgroup::join).transpose()?;
    let join_fds: Vec<i32> =
        cgroup.iter().flat_map(|join| join.v1_tasks.iter().chain(&join.v2_procs).map(AsRawFd::as_raw_fd)).collect();
    let common = Common {
        credentials: &credentials,
        stdio: match &request.stdio {
            Stdio::Inherit => StdioPlan::Inherit,
            Stdio::Descriptors(fds) => StdioPlan::Descriptors(fds.map(|fd| fd.as_raw_fd())),
            Stdio::Terminal { size } => {
                let (rows, columns) = size.unwrap_or((0, 0));
                StdioPlan::Terminal(rows, columns)
            }
        },
        filter: filter.as_ref(),
        preserve_fds: request.preserve_fds,
        gate: None,
        parent_death_signal: None,
        reaper: false,
        permitted: prepare::permitted_capabilities(),
        join_cgroups: &join_fds,
        set_groups: if join & NEWUSER == 0 {
            id_map::may_set_groups()
        } else {
            id_map::setgroups_allowed(&request.container_pid.as_raw_nonzero().to_string())
        },
        keyring: None,
        label_file: prepare::label_file(request.process),
    };
    let list = plan_exec(request.process, &common, (request.container.as_raw_fd(), join), join & NEWUSER != 0)?;
    let mut inherit = vec![request.container.as_raw_fd()];
    inherit.extend(&join_fds);
    if let Stdio::Descriptors(fds) = &request.stdio {
        inherit.extend(fds.iter().map(AsRawFd::as_raw_fd));
    }
    let how =
        How { namespaces: 0, cgroup: None, inherit, wait_for_id_maps: false, separate_memory: false, forks: true };
    converse(Setup::start(list, how)?)
}

fn converse(mut setup: Setup) -> Result<Child> {
    let (mut console, mut seccomp_notify) = (None, None);
    loop {
        match setup.next()? {
            Event::Reached(_) | Event::Gone => break,
            Event::Forked => {}
            Event::Console(fd) => console = Some(fd),
            Event::SeccompListener(fd) => seccomp_notify = Some(fd),
        }
    }
    let (pid, pidfd) = setup.finish()?;
    Ok(Child { pid, pidfd, console, seccomp_notify })
}

/// The namespaces in which the container is not where we are; joining one's own user namespace is refused by the kernel.
fn namespaces_to_join(pid: i32) -> Result<u32> {
    let mut flags = 0;
    for (name, flag) in KINDS {
        let theirs = format!("/proc/{pid}/ns/{name}");
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}"));
        match std::fs::read_link(&theirs) {
            Ok(link) if ours.is_ok_and(|ours| ours == link) => {}
            Ok(_) => flags |= flag,
            Err(error) if flag == NEWTIME && error.kind() == std::io::ErrorKind::NotFound => {} // before Linux 5.6
            Err(error) => return Err(Error::io("read namespace", theirs, &error)),
        }
    }
    Ok(flags)
}
