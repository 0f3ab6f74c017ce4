//! The keeper: holds an ordinary user's namespaces while anything needs them, and does what only the host's side can.
//!
//! It runs as that user, in the namespaces of the host, with no privilege. One thread, one poll, no wake-ups while nothing
//! happens. It ends by itself when for some seconds no command is connected and no monitor runs.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::SOCKET;
use super::members::{self, Member};
use super::namespaces::{Namespaces, listen};
use super::packet::{self, Asked, Refusal};
use super::way_out::WayOut;
use crate::net::{Protocol, bind_here};
use crate::{Error, Result};

/// How long the namespaces outlast their last use: the next command finds them.
const LINGER: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// Held by who starts a keeper, and by a keeper that is about to end.
const LOCK: &str = "keeper.lock";

struct Keeper {
    run_root: PathBuf,
    namespaces: Namespaces,
    listener: OwnedFd,
    clients: Vec<OwnedFd>,
    members: Vec<Member>,
    way_out: Option<WayOut>,
}

/// Keeps the namespaces of the user of a run root until nobody needs them. The caller holds the lock until `client`, the first
/// one, has been answered. The maps are `INSIDE:OUTSIDE:COUNT,…`.
pub fn keep(run_root: &Path, uids: &str, gids: &str, client: OwnedFd) -> Result<()> {
    let _ = rustix::process::chdir("/");
    raise_limit();
    match start(run_root, uids, gids) {
        Ok(mut keeper) => {
            keeper.greet(client);
            keeper.serve()
        }
        Err(error) => {
            let text = Err(Refusal::Words(error.to_string(), error.hint.clone()));
            let _ = packet::answer(client.as_fd(), &text);
            Err(error)
        }
    }
}

fn start(run_root: &Path, uids: &str, gids: &str) -> Result<Keeper> {
    let members = members::find(run_root);
    // A keeper that was killed: its user's containers go on, and what they run in is theirs.
    let namespaces = members::namespaces_of(&members)?.map_or_else(|| Namespaces::make(uids, gids), Ok)?;
    let path = run_root.join(SOCKET);
    let listener = listen(&path).map_err(|errno| Error::kernel("listen at", &path, errno))?;
    let clients = Vec::new();
    Ok(Keeper { run_root: run_root.to_owned(), namespaces, listener, clients, members, way_out: None })
}

impl Keeper {
    /// Gives a client what every client wants, and holds its connection.
    fn greet(&mut self, client: OwnedFd) {
        let fds = vec![self.namespaces.user.as_fd(), self.namespaces.mounts.as_fd()];
        if packet::answer(client.as_fd(), &Ok(fds)).is_ok() {
            self.clients.push(client);
        }
    }

    fn serve(mut self) -> Result<()> {
        loop {
            let idle = self.clients.is_empty() && self.members.is_empty();
            let happened = self.wait(idle.then_some(&LINGER))?;
            if happened.is_empty() && idle {
                self.members = members::find(&self.run_root);
                if self.members.is_empty() && self.end() {
                    return Ok(());
                }
            }
            self.turn(&happened);
        }
    }

    /// Which descriptors have something to say: the listener, then clients, then members. None: time is over.
    fn wait(&self, timeout: Option<&Timespec>) -> Result<Vec<usize>> {
        let clients = self.clients.iter().map(AsFd::as_fd);
        let members = self.members.iter().map(|member| member.pidfd.as_fd());
        let all: Vec<BorrowedFd<'_>> = std::iter::once(self.listener.as_fd()).chain(clients).chain(members).collect();
        let mut fds: Vec<PollFd<'_>> = all.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel("wait for", "clients", errno)),
        }
        let speaks = |(index, fd): (usize, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(index);
        Ok(fds.iter().enumerate().filter_map(speaks).collect())
    }

    fn turn(&mut self, happened: &[usize]) {
        let count = self.clients.len();
        // From the back: what goes moves nothing that is still to be looked at.
        for index in happened.iter().rev().copied() {
            match index {
                0 => self.accept(),
                index if index <= count => {
                    if !self.hear(index - 1) {
                        self.clients.remove(index - 1);
                    }
                }
                index => drop(self.members.remove(index - 1 - count)),
            }
        }
        if self.clients.is_empty() && self.members.is_empty() {
            // The last command may have left a monitor behind.
            self.members = members::find(&self.run_root);
        }
    }

    fn accept(&mut self) {
        let Ok(client) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) else { return };
        let own = rustix::process::geteuid();
        if rustix::net::sockopt::socket_peercred(&client).is_ok_and(|peer| peer.uid == own) {
            self.greet(client);
        }
    }

    /// Hears one request; whether the client is still there.
    fn hear(&mut self, index: usize) -> bool {
        let Ok((bytes, _)) = packet::receive(self.clients[index].as_fd()) else { return false };
        if bytes.is_empty() {
            return false;
        }
        let result = match Asked::decode(&bytes) {
            None => Err(Refusal::Words("the keeper does not know this request".to_owned(), None)),
            Some(Asked::Network) => Ok(None),
            Some(Asked::NetworkWithWayOut) => self.lead_out().map(|()| None).map_err(Refusal::from),
            Some(Asked::Bind(protocol, address)) => bound(protocol, address).map(Some).map_err(Refusal::Kernel),
        };
        let client = self.clients[index].as_fd();
        let answer = match &result {
            Ok(Some(socket)) => Ok(vec![socket.as_fd()]),
            Ok(None) => Ok(vec![self.namespaces.network.as_fd()]),
            Err(refusal) => Err(refusal.clone()),
        };
        packet::answer(client, &answer).is_ok()
    }

    fn lead_out(&mut self) -> Result<()> {
        if !self.way_out.as_mut().is_some_and(WayOut::is_open) {
            self.way_out = None; // one that died; its link went with it
            self.way_out = Some(WayOut::open(&self.namespaces)?);
        }
        Ok(())
    }

    /// Gives up being found; false where somebody is on the way here.
    fn end(&mut self) -> bool {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(self.run_root.join(LOCK), flags, Mode::RUSR | Mode::WUSR);
        if let Ok(lock) = &lock
            && rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return false;
        }
        self.accept();
        if !self.clients.is_empty() {
            return false;
        }
        let _ = rustix::fs::unlink(self.run_root.join(SOCKET));
        true
    }
}

/// One descriptor a monitor, and one a client.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn bound(protocol: Protocol, address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    bind_here(protocol, address)?.ok_or(Errno::PROTONOSUPPORT)
}
