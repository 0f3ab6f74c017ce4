//! The parent's side of the conversation with `pyctr-init`, and what ends it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use pyctr_init::{Message, SetupOp};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::plan::SetupList;
use crate::sys::clone::{self, Cloned, InitClone};
use crate::sys::memory_file;
use crate::{Error, Kind, Result};

/// The interpreter, built by the build script.
const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pyctr-init"));

/// What the child said.
#[derive(Debug)]
pub(super) enum Event {
    /// It waits at this stage for an answer.
    Reached(u32),
    /// It goes on as another process.
    Forked,
    /// Master of its terminal.
    Console(OwnedFd),
    /// Seccomp listener.
    SeccompListener(OwnedFd),
    /// It execed, or it died without a word; the caller will see which.
    Gone,
}

/// A child between its clone and its exec. Dropped before the exec, it is killed and reaped.
#[derive(Debug)]
pub(super) struct Setup {
    socket: OwnedFd,
    list: SetupList,
    pid: Pid,
    pidfd: OwnedFd,
    keep: Option<clone::Keep>,
    /// It will go on as another process, and has not said as which.
    forks: bool,
    /// What that other process said before its parent said that it is there: the two of them share the socket.
    early: Option<Result<Event>>,
    finished: bool,
}

/// What [`Setup::start`] needs beside the list.
#[derive(Debug)]
pub(super) struct How<'a> {
    /// Namespace flags.
    pub namespaces: u64,
    /// The v2 cgroup to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Descriptors the operations name.
    pub inherit: Vec<i32>,
    /// The id maps are written before the exec.
    pub wait_for_id_maps: bool,
    /// A new time namespace.
    pub separate_memory: bool,
    /// The list says so: the child goes on as another process.
    pub forks: bool,
}

impl Setup {
    /// Clones the child, which begins to interpret `list`.
    pub(super) fn start(list: SetupList, mut how: How<'_>) -> Result<Self> {
        let fail = |errno| Error::kernel("start", "pyctr-init", errno);
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(fail)?;
        let ops = memory_file::sealed(c"pyctr-ops", list.as_bytes(), false).map_err(fail)?;
        let executable = memory_file::sealed(c"pyctr-init", INIT, true).map_err(fail)?;
        how.inherit.extend([ops.as_raw_fd(), theirs.as_raw_fd()]);
        let numbers =
            [ops.as_raw_fd(), theirs.as_raw_fd()].map(|fd| std::ffi::CString::new(fd.to_string()).unwrap_or_default());
        let cloned = clone::clone_init(&InitClone {
            namespaces: how.namespaces,
            cgroup: how.cgroup,
            executable: executable.as_fd(),
            args: &[c"pyctr-init", &numbers[0], &numbers[1]],
            inherit: &how.inherit,
            wait: how.wait_for_id_maps.then(|| theirs.as_fd()),
            separate_memory: how.separate_memory,
        })
        .map_err(|errno| Error::kernel("clone", "the container's first process", errno))?;
        let Cloned { pid, pidfd, keep } = cloned;
        Ok(Self { socket, list, pid, pidfd, keep: Some(keep), forks: how.forks, early: None, finished: false })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for what the child says next; a failed operation is an error that says which. Which process it is is known before it
    /// is said to have reached anything or to have failed: nobody else would reap it, and an unreaped process keeps the first
    /// process of its pid namespace from ending.
    pub(super) fn next(&mut self) -> Result<Event> {
        if !self.forks
            && let Some(said) = self.early.take()
        {
            return said;
        }
        loop {
            match self.hear()? {
                said @ (Ok(Event::Reached(_)) | Err(_)) if self.forks => self.early = Some(said),
                Ok(Event::Gone) => return self.early.take().unwrap_or(Ok(Event::Gone)),
                said => return said,
            }
        }
    }

    /// What is said, the inner result; the outer one is of the conversation itself.
    fn hear(&mut self) -> Result<Result<Event>> {
        let mut bytes = [0u8; Message::SIZE];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // The child may have been killed with a packet of ours unread.
                Err(Errno::CONNRESET) => break 0,
                other => {
                    break other.map_err(|errno| Error::kernel("hear from", "pyctr-init", errno))?.bytes;
                }
            }
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if length == 0 {
            return Ok(Ok(Event::Gone));
        }
        let garbled = || Error::new(Kind::State, "hear from", "pyctr-init", "garbled message");
        let said = match (Message::from_bytes(&bytes[..length]).map_err(|_| garbled())?, descriptor) {
            (Message::Failed { index, errno, .. }, _) => return Ok(Err(self.describe(index, errno))),
            (Message::Reached { stage }, _) => {
                self.keep = None; // it has execed long since
                Event::Reached(stage)
            }
            (Message::Forked { pid }, _) => self.follow(Pid::from_raw(pid).ok_or_else(garbled)?)?,
            (Message::Console, Some(fd)) => Event::Console(fd),
            (Message::SeccompListener, Some(fd)) => Event::SeccompListener(fd),
            (Message::Console | Message::SeccompListener, None) => return Err(garbled()),
        };
        Ok(Ok(said))
    }

    /// Why the child has failed, if it has by now.
    pub(super) fn failure(&mut self) -> Option<Error> {
        loop {
            let mut polled = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
            if rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default())) != Ok(1) {
                return None;
            }
            match self.next() {
                Err(error) => return Some(error),
                Ok(Event::Reached(_) | Event::Gone) => return None,
                Ok(_) => {}
            }
        }
    }

    fn follow(&mut self, pid: Pid) -> Result<Event> {
        // The new process is our child, so its number cannot be reused before we reap it.
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .map_err(|errno| Error::kernel("open pidfd of", pid.as_raw_nonzero().to_string(), errno))?;
        let _ = reap(&self.pidfd);
        self.pid = pid;
        self.pidfd = pidfd;
        self.forks = false;
        Ok(Event::Forked)
    }

    /// Lets the child go on; `state` is what hooks get on their standard input.
    pub(super) fn proceed(&self, state: &[u8]) -> Result<()> {
        let mut packet = Vec::with_capacity(1 + state.len());
        packet.push(1);
        packet.extend_from_slice(state);
        rustix::net::send(&self.socket, &packet, SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(|errno| Error::kernel("answer", "pyctr-init", errno))
    }

    /// The process is on its own now.
    pub(super) fn finish(mut self) -> Result<(Pid, OwnedFd)> {
        self.finished = true;
        let pidfd = rustix::io::fcntl_dupfd_cloexec(&self.pidfd, 0)
            .map_err(|errno| Error::kernel("copy pidfd of", self.pid.as_raw_nonzero().to_string(), errno))?;
        Ok((self.pid, pidfd))
    }

    fn describe(&self, index: u32, errno: i32) -> Error {
        let errno = Errno::from_raw_os_error(errno);
        let Some(op) = self.list.get(index as usize) else {
            return Error::kernel("set up", "the container", errno);
        };
        if let SetupOp::Exec { args, .. } = op {
            let command = args.iter().next().unwrap_or_default().to_string_lossy().into_owned();
            return exec_error(&command, errno);
        }
        let error = Error::kernel(op.to_string(), "", errno);
        if matches!(op, SetupOp::WorkingDirectory { .. } | SetupOp::VerifyWorkingDirectory { .. }) {
            return error.with_kind(Kind::CommandNotExecutable);
        }
        error
    }
}

/// Why a command could not be executed, in the words and with the kind a shell would choose.
pub fn exec_error(command: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT if command.contains('/') => Error::kernel("exec", command, errno).with_kind(Kind::CommandNotFound),
        Errno::NOENT => Error::new(Kind::CommandNotFound, "exec", command, "executable file not found in $PATH"),
        _ => Error::kernel("exec", command, errno).with_kind(Kind::CommandNotExecutable),
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        if !self.finished {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
            let _ = reap(&self.pidfd);
        }
    }
}

fn reap(pidfd: &OwnedFd) -> rustix::io::Result<()> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[allow(clippy::zombie_processes)] // a `Setup` reaps it
    fn start() -> std::process::Child {
        std::process::Command::new("sleep").arg("1000").spawn().unwrap()
    }

    /// The conversation with `first`, which ends once it has said that `second` goes on, when `second` has been heard saying this.
    fn heard_early(second: &std::process::Child, early: Message) -> Setup {
        let (socket, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let pid = Pid::from_child(&start());
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
        for message in [early, Message::Forked { pid: Pid::from_child(second).as_raw_nonzero().get() }] {
            rustix::net::send(&theirs, &message.to_bytes(), SendFlags::empty()).unwrap();
        }
        let list = SetupList::default();
        Setup { socket, list, pid, pidfd, keep: None, forks: true, early: None, finished: false }
    }

    /// Of two processes that share the socket the second may be heard first.
    #[test]
    fn test_next_says_who_before_what_it_reached() {
        let mut second = start();
        let mut setup = heard_early(&second, Message::Reached { stage: 1 });
        assert!(matches!(setup.next(), Ok(Event::Forked)));
        assert_eq!(setup.pid(), Pid::from_child(&second));
        assert!(matches!(setup.next(), Ok(Event::Reached(1))));
        assert!(matches!(setup.next(), Ok(Event::Gone)));
        drop(setup);
        assert!(second.try_wait().is_err(), "reaped already");
    }

    #[test]
    fn test_next_who_failed_early_is_known_and_reaped() {
        let mut second = start();
        let mut setup = heard_early(&second, Message::Failed { index: 0, errno: 2, step: 0 });
        assert!(matches!(setup.next(), Ok(Event::Forked)));
        assert!(setup.next().is_err());
        drop(setup);
        assert!(second.try_wait().is_err(), "reaped already");
    }
}
