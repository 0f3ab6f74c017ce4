//! A client's side: into the namespaces, and what is asked of the keeper afterwards.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;

use super::packet::{self, Asked};
use super::{attend, enter_namespace, keeper};
use crate::net::Protocol;
use crate::{Error, Kind, Result};

/// Enters the user and the mount namespace that the keeper at the other end of `socket` hands out. For a process of one thread.
///
/// `path` is the keeper's socket, for what is asked later. The working directory stays the same by name: the one held is of
/// the mount namespace that is left.
pub fn enter(socket: BorrowedFd<'_>, path: &Path) -> Result<()> {
    check_peer(socket)?;
    let (user, mounts) = greeting(socket)?;
    let directory = std::env::current_dir().map_err(|error| Error::io("find", "the working directory", &error))?;
    enter_namespace(&user, LinkNameSpaceType::User)?;
    enter_namespace(&mounts, LinkNameSpaceType::Mount)?;
    rustix::process::chdir(&directory).map_err(|errno| Error::kernel("change to", &directory, errno))?;
    attend(path);
    Ok(())
}

fn greeting(socket: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    let failed = |errno| Error::kernel("hear from", "the keeper of the user's namespaces", errno);
    let fds = packet::receive_answer(socket)?.map_err(failed)?;
    <[OwnedFd; 2]>::try_from(fds).map(<(OwnedFd, OwnedFd)>::from).map_err(|_| failed(Errno::PROTO))
}

/// The keeper must be this very user: whoever else listens there would put us into namespaces of his making.
fn check_peer(socket: BorrowedFd<'_>) -> Result<()> {
    match rustix::net::sockopt::socket_peercred(socket) {
        Ok(peer) if peer.uid == rustix::process::geteuid() => Ok(()),
        Ok(_) => Err(Error::new(Kind::State, "trust", "the keeper of the user's namespaces", "it is another user's")),
        Err(errno) => Err(Error::kernel("look at", "the keeper of the user's namespaces", errno)),
    }
}

fn connect(path: &Path) -> Result<OwnedFd> {
    let socket = super::namespaces::connect(path)
        .map_err(|errno| Error::kernel("connect to", "the keeper of the user's namespaces", errno))?;
    check_peer(socket.as_fd())?;
    greeting(socket.as_fd())?;
    Ok(socket)
}

fn ask(path: &Path, asked: Asked) -> Result<std::result::Result<OwnedFd, Errno>> {
    let socket = connect(path)?;
    packet::send(socket.as_fd(), &asked.encode(), &[])
        .map_err(|errno| Error::kernel("ask", "the keeper of the user's namespaces", errno))?;
    let answer = packet::receive_answer(socket.as_fd())?;
    Ok(answer.and_then(|fds| fds.into_iter().next().ok_or(Errno::PROTO)))
}

/// The user's network namespace.
pub(super) fn network(path: &Path, asked: Asked) -> Result<OwnedFd> {
    ask(path, asked)?.map_err(|errno| Error::kernel("open", "the user's network", errno))
}

/// A socket of the host's network bound to an address; None in a process that can bind there itself.
pub fn bind(protocol: Protocol, address: SocketAddr) -> Option<rustix::io::Result<OwnedFd>> {
    let path = keeper()?;
    Some(ask(path, Asked::Bind(protocol, address)).unwrap_or(Err(Errno::CONNREFUSED)))
}
