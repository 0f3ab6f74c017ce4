//! The namespaces of one user, and the sockets their keeper is found at.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::namespaces_with;
use crate::sys::monitor::fork_worker_with;
use crate::{Error, Result};

const NEWNS: u64 = 0x2_0000;
const NEWNET: u32 = 0x4000_0000;

/// Held open they live, whether a process is in them or not.
#[derive(Debug)]
pub struct Namespaces {
    /// Where the user is root.
    pub user: OwnedFd,
    /// A copy of the host's mounts that follows it.
    pub mounts: OwnedFd,
    /// Bridges and packet rules of the user's containers.
    pub network: OwnedFd,
}

impl Namespaces {
    /// New ones, in which ids mean what these maps say (`INSIDE:OUTSIDE:COUNT,…`).
    pub fn make(uids: &str, gids: &str) -> Result<Self> {
        let made =
            namespaces_with(NEWNS | u64::from(NEWNET), &parse_map(uids)?, &parse_map(gids)?, &["user", "mnt", "net"])?;
        let [user, mounts, network] = <[OwnedFd; 3]>::try_from(made)
            .map_err(|_| Error::invalid("make", "the user's namespaces", "not all were made"))?;
        Ok(Self { user, mounts, network })
    }
}

/// A network namespace that belongs to a user namespace.
pub fn network_of(user: &OwnedFd) -> Result<OwnedFd> {
    let fail = |errno| Error::kernel("make", "the user's network namespace", errno);
    // Who has made it stops, so that it can be taken from its directory of procfs.
    let made = |user: OwnedFd| {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User)).is_ok()
            && pyctr_init::sys::unshare(NEWNET).is_ok()
            && rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).is_ok()
    };
    let (pid, pidfd) = fork_worker_with(user.as_fd(), made).map_err(fail)?;
    let wait = |options| rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options);
    let stopped = wait(WaitIdOptions::STOPPED | WaitIdOptions::EXITED);
    if !matches!(stopped, Ok(Some(status)) if status.stopped()) {
        return Err(fail(Errno::PERM));
    }
    let path = format!("/proc/{}/ns/net", pid.as_raw_nonzero());
    let opened = std::fs::File::open(&path).map(OwnedFd::from).map_err(|error| Error::io("open", &path, &error));
    let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    let _ = wait(WaitIdOptions::EXITED);
    opened
}

fn parse_map(text: &str) -> Result<Vec<LinuxIdMapping>> {
    text.split(',').map(|part| parse_range(part).ok_or_else(|| Error::invalid("read id map", text, "I:O:N"))).collect()
}

fn parse_range(text: &str) -> Option<LinuxIdMapping> {
    let numbers: Vec<u32> = text.split(':').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    let [inside, outside, count] = numbers[..] else { return None };
    LinuxIdMappingBuilder::default().container_id(inside).host_id(outside).size(count).build().ok()
}

/// The short name of a socket in a directory held open: a socket's path is at most 108 bytes long.
fn short(path: &Path) -> rustix::io::Result<(OwnedFd, SocketAddrUnix)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = path.parent().unwrap_or(Path::new("."));
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, SocketAddrUnix::new(&short)?))
}

fn socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Connects to a packet socket.
pub fn connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    let (_directory, address) = short(path)?;
    let socket = socket(SocketFlags::CLOEXEC)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

/// Listens at a path, which nobody else may connect to. What is there already is a dead keeper's: the caller holds the lock.
pub fn listen(path: &Path) -> rustix::io::Result<OwnedFd> {
    const BACKLOG: i32 = 128;
    let (_directory, address) = short(path)?;
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    // The file gets the socket's own mode, at no moment another (net/unix/af_unix.c, unix_bind_bsd).
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    match rustix::net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            rustix::fs::unlink(path)?;
            rustix::net::bind(&socket, &address)?;
        }
        bound => bound?,
    }
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_parse_map_reads_ranges_and_refuses_the_rest() {
        let map = parse_map("0:1000:1,1:100000:65536").unwrap();
        let numbers: Vec<_> = map.iter().map(|one| (one.container_id(), one.host_id(), one.size())).collect();
        assert_eq!(numbers, [(0, 1000, 1), (1, 100_000, 65536)]);
        for bad in ["", "0:1", "0:1:2:3", "0:1:-1", "a:b:c", "0:1:2,"] {
            assert!(parse_map(bad).is_err(), "{bad}");
        }
    }
}
