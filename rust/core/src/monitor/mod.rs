//! The one process that watches a container: stdio, terminal, log, restarts, exit status, clean-up.
//!
//! One thread, one epoll, no wake-ups while nothing happens. It owns the container's control group, its run-time directory
//! and its `state.json`; it knows the store only by the paths in `monitor.json`. Every error ends in clean-up: a container
//! that cannot be watched is killed.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};

use crate::{Error, Kind, Result};

mod client;
pub(crate) mod clock;
mod config;
mod container;
mod control;
mod event_loop;
mod exit;
mod health;
mod journal;
mod life;
pub(crate) mod log;
mod network;
mod outcome;
mod output;
mod poller;
mod probe;
mod protocol;
mod restart;
mod session;
mod state;
mod streams;

use config::Config;
use event_loop::{EventLoop, Manners};
use life::{Monitor, failure};
use poller::Poller;

pub use session::run as run_session;

const LISTEN_BACKLOG: i32 = 16;

/// Watches over the container of a directory until it has ended for good.
///
/// `client` is the socket of who asked for the start: it hears of success and failure. `lock` says that the container has an
/// owner; it is let go when all is cleaned up. What this returns is for a log only.
pub fn run(container_dir: &Path, client: OwnedFd, lock: OwnedFd) -> Result<()> {
    // The caller's working directory is none of ours.
    let _ = rustix::process::chdir("/");
    let prepared = load(container_dir).and_then(|(config, spec)| {
        if let Some(keeper) = &config.keeper {
            crate::rootless::attend(keeper);
        }
        let prepared = prepare(&config)?;
        Ok((config, spec, prepared))
    });
    let (config, spec, (directory, events)) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            client::part(&client, &failure(&error));
            return Err(error);
        }
    };
    let mut monitor = Monitor::new(config, spec, directory, events);
    let result = monitor.events.add_client(client).and_then(|()| monitor.live());
    monitor.events.stop_listening();
    // From here on the container may be started again; who has not read all of its output yet still can.
    drop(lock);
    result.and(monitor.events.serve_slow_clients())
}

fn load(container_dir: &Path) -> Result<(Config, Spec)> {
    let config: Config = serde_json::from_slice(&read(container_dir, "monitor.json")?)
        .map_err(|error| Error::new(Kind::Corrupt, "read", "monitor.json", error.to_string()))?;
    if config.version != config::VERSION {
        return Err(Error::invalid("read", "monitor.json", format!("version {} is not known", config.version)));
    }
    Ok((config, load_spec(container_dir)?))
}

fn load_spec(container_dir: &Path) -> Result<Spec> {
    crate::spec::load(&read(container_dir, "spec.json")?)
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>> {
    let path = directory.join(name);
    std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))
}

/// What must exist before the start: the container's directory held open, the run-time directory, the socket, the log.
fn prepare(config: &Config) -> Result<(OwnedFd, EventLoop)> {
    let directory = open_directory(&config.container_dir)?;
    make_directory(&config.run_dir)?;
    let poller = Poller::new()?;
    let log = log::Driver::new(config, &poller)?;
    let manners = Manners { terminal: config.terminal, open_stdin: config.open_stdin, stdin_once: config.stdin_once };
    let mut events = EventLoop::new(poller, log, manners);
    events.listen(socket(&open_directory(&config.run_dir)?)?)?;
    Ok((directory, events))
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .map_err(|errno| Error::kernel("open", path, errno))
}

fn make_directory(path: &Path) -> Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::kernel("make", path, errno)),
    }
}

/// The socket later clients connect to. Bound through the directory's descriptor: a socket's path is at most 108 bytes long.
fn socket(run_dir: &OwnedFd) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let fail = |errno| Error::kernel("listen on", "the monitor's socket", errno);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(fail)?;
    // The file gets the socket's own mode, at no moment another (unix(7); net/unix/af_unix.c, unix_bind_bsd).
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(fail)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/sock", run_dir.as_raw_fd()).as_str()).map_err(fail)?;
    match rustix::net::bind(&socket, &address) {
        Err(rustix::io::Errno::ADDRINUSE) => {
            // One that a monitor left which was killed: the lock says that nobody listens there.
            rustix::fs::unlinkat(run_dir, "sock", rustix::fs::AtFlags::empty()).map_err(fail)?;
            rustix::net::bind(&socket, &address).map_err(fail)?;
        }
        bound => bound.map_err(fail)?,
    }
    rustix::net::listen(&socket, LISTEN_BACKLOG).map_err(fail)?;
    Ok(socket)
}
