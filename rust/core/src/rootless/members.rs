//! The monitors that run in a user's namespaces, found by their sockets: they are what the namespaces are kept for, and what
//! they are taken over from where a keeper was killed.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::namespaces::{Namespaces, connect, network_of};
use crate::Result;

/// A monitor that runs.
#[derive(Debug)]
pub struct Member {
    pid: Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

/// Every monitor below a run root, `RUN_ROOT/ID/sock`.
pub fn find(run_root: &Path) -> Vec<Member> {
    let Ok(entries) = std::fs::read_dir(run_root) else { return Vec::new() };
    entries.flatten().filter_map(|entry| look(&entry.path().join("sock"))).collect()
}

fn look(path: &Path) -> Option<Member> {
    // What the kernel noted when the socket began to listen (unix(7), SO_PEERCRED): the monitor's pid and user.
    let socket = connect(path).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(socket.as_fd()).ok()?;
    let pidfd = pidfd_open(peer.pid, PidfdFlags::empty()).ok()?;
    (peer.uid == rustix::process::geteuid()).then_some(Member { pid: peer.pid, pidfd })
}

/// The namespaces that these run in, and whether any is in the user's network, which is a new one otherwise; None where there are
/// none.
pub fn namespaces_of(members: &[Member]) -> Result<Option<(Namespaces, bool)>> {
    let open = |member: &Member, name: &str| {
        let file = File::open(format!("/proc/{}/ns/{name}", member.pid.as_raw_nonzero())).ok()?;
        is_foreign(&file, name).then(|| OwnedFd::from(file))
    };
    let first = |name| members.iter().find_map(|member| open(member, name));
    let (Some(user), Some(mounts)) = (first("user"), first("mnt")) else { return Ok(None) };
    let network = first("net");
    let networked = network.is_some();
    let network = network.map_or_else(|| network_of(&user), Ok)?;
    Ok(Some((Namespaces { user, mounts, network }, networked)))
}

/// Whether a namespace is another than this process's.
fn is_foreign(file: &File, name: &str) -> bool {
    let own = std::fs::metadata(format!("/proc/self/ns/{name}"));
    match (file.metadata(), own) {
        (Ok(theirs), Ok(own)) => theirs.ino() != own.ino(),
        _ => false,
    }
}
