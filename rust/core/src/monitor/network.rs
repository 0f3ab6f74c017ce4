//! The container's endpoints in its monitor's life: held from before the first start until after the last end.

use std::os::fd::OwnedFd;

use super::config::Config;
use crate::net::{Endpoints, Request};
use crate::{Error, Result};

/// What a container has of networks; nothing where nothing was asked for.
#[derive(Debug, Default)]
pub struct Network {
    endpoints: Option<Endpoints>,
}

impl Network {
    /// Before a start: the first one takes ports; a later one hears what was connected and disconnected meanwhile. The descriptor
    /// to be watched from then on, if there is one.
    pub fn prepare(&mut self, config: &Config) -> Result<Option<OwnedFd>> {
        let Some(request) = &config.network else { return Ok(None) };
        if let Some(endpoints) = &mut self.endpoints {
            if let Some(request) = read_again(config) {
                endpoints.replace(request)?;
            }
            return Ok(None);
        }
        let endpoints = Endpoints::prepare(&config.id, request.clone())?;
        let descriptor = rustix::io::fcntl_dupfd_cloexec(endpoints.forwarder.descriptor(), 0);
        self.endpoints = Some(endpoints);
        descriptor.map(Some).map_err(|errno| Error::kernel("watch", "published ports", errno))
    }

    /// What is to be done while the container mounts.
    pub fn attach(&self) -> Option<impl Fn(i32) -> Result<()>> {
        self.endpoints.as_ref().map(|endpoints| |pid| endpoints.attach(pid))
    }

    /// Carries what the packet rules cannot.
    pub fn turn(&mut self) {
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.turn();
        }
    }

    /// A life is over: nobody is led to the container any more. At the `last` end, before anybody hears of it: ports and addresses
    /// are free for the next one to take.
    pub fn withdraw(&mut self, last: bool) {
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.withdraw();
            if last {
                endpoints.let_go();
            }
        }
    }

    /// What is slow: links, and networks nobody uses any more.
    pub fn clean_up(&mut self) {
        if let Some(mut endpoints) = self.endpoints.take() {
            endpoints.withdraw();
            endpoints.let_go();
            let _ = endpoints.release(); // what is left is in the files, and the next command's
        }
    }
}

/// `network connect` and `disconnect` write a running container's request anew.
fn read_again(config: &Config) -> Option<Request> {
    let bytes = std::fs::read(config.container_dir.join("monitor.json")).ok()?;
    serde_json::from_slice::<Config>(&bytes).ok()?.network
}
