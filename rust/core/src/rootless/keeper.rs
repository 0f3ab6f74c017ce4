//! The keeper: holds an ordinary user's namespaces while anything needs them, and does what only the host's side can.
//!
//! It runs as that user, in the namespaces of the host, with no privilege. One thread, one poll, no wake-ups while nothing
//! happens. It ends by itself when for some seconds no command is connected and no monitor runs.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::SOCKET;
use super::members::{self, Member};
use super::namespaces::{Namespaces, listen};
use super::packet::{self, Asked, Refusal};
use super::reopening::Reopening;
use super::way_out::WayOut;
use crate::net::{Protocol, bind_here};
use crate::{Error, Kind, Result};

/// How long the namespaces outlast their last use: the next command finds them.
const LINGER: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// How long the queue of clients is left alone where there is no descriptor for another.
const FULL: Duration = Duration::from_millis(100);
/// Held by who starts a keeper, and by a keeper that is about to end.
const LOCK: &str = "keeper.lock";

struct Keeper {
    run_root: PathBuf,
    namespaces: Namespaces,
    listener: OwnedFd,
    clients: Vec<OwnedFd>,
    members: Vec<Member>,
    way_out: Option<WayOut>,
    reopening: Reopening,
    /// The run root, locked: systemd-tmpfiles spares a directory that is (tmpfiles.d(5)), however old what is in it.
    _held: Option<OwnedFd>,
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
    let found = members::namespaces_of(&members)?;
    let mut reopening = Reopening::default();
    if found.as_ref().is_some_and(|(_, networked)| *networked) {
        reopening.missed(Instant::now()); // the way out ended with the keeper
    }
    let namespaces = found.map_or_else(|| Namespaces::make(uids, gids), |(namespaces, _)| Ok(namespaces))?;
    let path = run_root.join(SOCKET);
    let listener = listen(&path).map_err(|errno| Error::kernel("listen at", &path, errno))?;
    let (held, run_root, clients) = (hold(run_root), run_root.to_owned(), Vec::new());
    Ok(Keeper { run_root, namespaces, listener, clients, members, way_out: None, reopening, _held: held })
}

/// A directory that cannot be locked is one that may be tidied up when it is old, and no more.
fn hold(directory: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let held = rustix::fs::open(directory, flags, Mode::empty()).ok()?;
    rustix::fs::flock(&held, FlockOperation::NonBlockingLockShared).ok()?;
    Some(held)
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
            let due = self.reopening.wait(Instant::now()).and_then(|left| Timespec::try_from(left).ok());
            let happened = self.wait(if idle { Some(&LINGER) } else { due.as_ref() })?;
            if happened.is_empty() && idle {
                self.members = members::find(&self.run_root);
                if self.members.is_empty() && self.end() {
                    return Ok(());
                }
            }
            self.turn(&happened);
            if !idle && self.reopening.is_due(Instant::now()) {
                self.lead_out_again();
            }
        }
    }

    /// Which descriptors have something to say: the listener, then clients, members, the way out. None: time is over.
    fn wait(&self, timeout: Option<&Timespec>) -> Result<Vec<usize>> {
        let clients = self.clients.iter().map(AsFd::as_fd);
        let members = self.members.iter().map(|member| member.pidfd.as_fd());
        let way_out = self.way_out.iter().map(|way_out| way_out.pidfd.as_fd());
        let all: Vec<BorrowedFd<'_>> =
            std::iter::once(self.listener.as_fd()).chain(clients).chain(members).chain(way_out).collect();
        let mut fds: Vec<PollFd<'_>> = all.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::kernel("wait for", "clients", errno)),
        }
        let speaks = |(index, fd): (usize, &PollFd<'_>)| (!fd.revents().is_empty()).then_some(index);
        Ok(fds.iter().enumerate().filter_map(speaks).collect())
    }

    fn turn(&mut self, happened: &[usize]) {
        let (count, members) = (self.clients.len(), self.members.len());
        // From the back: what goes moves nothing that is still to be looked at.
        for index in happened.iter().rev().copied() {
            match index {
                0 => self.accept(),
                index if index <= count => {
                    if !self.hear(index - 1) {
                        self.clients.remove(index - 1);
                    }
                }
                index if index <= count + members => drop(self.members.remove(index - 1 - count)),
                _ => self.miss_way_out(),
            }
        }
        if self.clients.is_empty() && self.members.is_empty() {
            // The last command may have left a monitor behind.
            self.members = members::find(&self.run_root);
        }
    }

    fn accept(&mut self) {
        let client = match rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) {
            Ok(client) => client,
            Err(Errno::MFILE | Errno::NFILE) => return std::thread::sleep(FULL), // who waits is heard when others have gone
            Err(_) => return,
        };
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
            self.reopening.opened();
        }
        Ok(())
    }

    /// The program has ended under containers that run.
    fn miss_way_out(&mut self) {
        if let Some(way_out) = self.way_out.take() {
            self.reopening.ended(way_out.since.elapsed(), Instant::now());
        }
    }

    /// Unasked, so nobody hears why it fails: the next start that needs it does.
    fn lead_out_again(&mut self) {
        match self.lead_out() {
            Err(error) if error.kind == Kind::NotFound => self.reopening = Reopening::default(), // not installed any more
            Err(_) => self.reopening.missed(Instant::now()),
            Ok(()) => {}
        }
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
