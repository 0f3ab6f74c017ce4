//! The container's endpoints in its monitor's life: held from before the first start until after the last end.

use std::os::fd::OwnedFd;

use super::config::Config;
use crate::net::{Endpoints, Request};
use crate::{Error, Kind, Result};

/// What a container has of networks; nothing where nothing was asked for.
#[derive(Debug, Default)]
pub struct Network {
    endpoints: Option<Endpoints>,
    /// Whether virtual addresses lead to the container.
    serving: bool,
}

impl Network {
    /// Before a start: the first one takes ports. The descriptor to be watched from then on, if there is one.
    pub fn prepare(&mut self, config: &Config) -> Result<Option<OwnedFd>> {
        self.serving = config.health.is_none();
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.serving = self.serving;
        }
        match &config.network {
            Some(request) if self.endpoints.is_none() => self.hold(config, request.clone()).map(Some),
            _ => Ok(None),
        }
    }

    fn hold(&mut self, config: &Config, request: Request) -> Result<OwnedFd> {
        crate::rootless::enter_network()?;
        let mut endpoints = Endpoints::prepare(&config.id, request)?;
        endpoints.serving = self.serving;
        let descriptor = rustix::io::fcntl_dupfd_cloexec(endpoints.forwarder.descriptor(), 0);
        self.endpoints = Some(endpoints);
        descriptor.map_err(|errno| Error::kernel("watch", "published ports", errno))
    }

    /// `network connect`, `disconnect` and `rename` have written a running container's request anew. The descriptor to be watched
    /// from now on, where there was none.
    pub fn change(&mut self, config: &Config, pid: Option<i32>) -> Result<Option<OwnedFd>> {
        let Some(request) = read_again(config)? else { return Ok(None) };
        let descriptor = if self.endpoints.is_none() {
            let nothing = Request { endpoints: Vec::new(), ports: Vec::new(), dns: None, ..request.clone() };
            Some(self.hold(config, nothing)?)
        } else {
            None
        };
        if let Some(endpoints) = &mut self.endpoints {
            endpoints.change(request, pid)?;
        }
        Ok(descriptor)
    }

    /// What is to be done while the container mounts.
    pub fn attach(&self) -> Option<impl Fn(i32) -> Result<()>> {
        self.endpoints.as_ref().map(|endpoints| |pid| endpoints.attach(pid))
    }

    /// A health check has another result: virtual addresses lead to those that are healthy.
    pub fn serve(&mut self, serving: bool) {
        self.serving = serving;
        if let Some(endpoints) = &mut self.endpoints {
            let _ = endpoints.serve(serving); // the next change writes all of them, and so does `system check`
        }
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

fn read_again(config: &Config) -> Result<Option<Request>> {
    let path = config.container_dir.join("monitor.json");
    let bytes = std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    let config: Config =
        serde_json::from_slice(&bytes).map_err(|error| Error::new(Kind::Corrupt, "read", &path, error.to_string()))?;
    Ok(config.network)
}
