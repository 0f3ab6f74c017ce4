//! An ordinary user's containers: the namespaces in which that user is root (docs/rootless.md).
//!
//! A keeper (`pyctr-runtime keeper`) outside holds them by their descriptors. Commands enter the user and the mount namespace
//! and stay in the host's network; monitors of containers with a network enter the user's network namespace too. In a process
//! that never called [`enter`] or [`attend`], which is every process of root's, nothing here does anything.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Error, Result};

mod client;
mod keeper;
mod members;
mod namespaces;
mod packet;
mod reopening;
mod way_out;

pub use client::{bind, enter};
pub use keeper::keep;

/// The keeper's socket, in a process that is in its namespaces.
static KEEPER: OnceLock<PathBuf> = OnceLock::new();

/// The name of a keeper's socket in the run root.
pub const SOCKET: &str = "keeper.sock";

/// The keeper's socket where this process is an ordinary user's.
pub fn keeper() -> Option<&'static Path> {
    KEEPER.get().map(PathBuf::as_path)
}

/// Whether root here is an ordinary user.
pub fn is_active() -> bool {
    KEEPER.get().is_some()
}

/// Notes that this process was born in the namespaces of a keeper.
pub fn attend(keeper: &Path) {
    let _ = KEEPER.set(keeper.to_owned());
}

/// Moves this process to the user's network for good; as root of the host it is where it belongs already.
///
/// # Errors
/// `NotFound` where the program that leads out of it is not installed.
pub fn enter_network() -> Result<()> {
    let Some(path) = keeper() else { return Ok(()) };
    enter_namespace(&client::network(path, packet::Asked::NetworkWithWayOut)?, LinkNameSpaceType::Network)
}

/// Does something about links or packet rules where the user's are: on a thread, since there is no way back.
pub fn in_network<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let Some(path) = keeper() else { return work() };
    let network = client::network(path, packet::Asked::Network)?;
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            enter_namespace(&network, LinkNameSpaceType::Network)?;
            work()
        });
        done.join().unwrap_or_else(|_| Err(Error::new(crate::Kind::State, "work in", "the user's network", "panicked")))
    })
}

fn enter_namespace(namespace: &std::os::fd::OwnedFd, kind: LinkNameSpaceType) -> Result<()> {
    move_into_link_name_space(std::os::fd::AsFd::as_fd(namespace), Some(kind))
        .map_err(|errno| Error::kernel("enter", format!("the user's namespace ({kind:?})"), errno))
}
