//! The networks of a container that runs change: `network connect`, `disconnect`, `rename`.
//!
//! Going from one request to another finds out from the files what is up, so a way that failed halfway is taken back by going it
//! with the two requests swapped.

use std::os::fd::{AsFd, OwnedFd};

use super::{Endpoints, Used, add, lead_out, namespace_of, use_networks, within};
use crate::Result;
use crate::net::files::{self, Published};
use crate::net::names::NameServer;
use crate::net::netlink::{Batch, Socket};
use crate::net::request::{Endpoint, Request};
use crate::net::{link, network, port, vip};

/// A container's network namespace, and a conversation with the kernel in it.
struct Inside {
    namespace: OwnedFd,
    socket: Socket,
}

fn has(request: &Request, endpoint: &Endpoint) -> bool {
    request.endpoints.iter().any(|other| other.endpoint == endpoint.endpoint)
}

impl Endpoints {
    /// Makes what is up what is asked for now; between two lives, without a `pid`, only the next one is different. On failure
    /// everything is as it was.
    pub fn change(&mut self, request: Request, pid: Option<i32>) -> Result<()> {
        request.check()?;
        let used = use_networks(&request)?; // the new ones first: what stays in use is in use all the time
        let held_before = self.forwarder.ports().next().is_some();
        let changed = self.take_ports(&request).and_then(|()| self.go(&request, pid));
        if changed.is_err() {
            if !held_before {
                self.forwarder.drop_ports();
            }
            return changed;
        }
        match request.published() {
            Some(endpoint) => self.forwarder.lead_to(endpoint.ipv4, endpoint.ipv6),
            None => self.forwarder.drop_ports(),
        }
        let (request, used) = (std::mem::replace(&mut self.request, request), std::mem::replace(&mut self.used, used));
        self.give_back(&request);
        self.leave(used)
    }

    /// A container that had no way out may have one now, and its ports with it.
    fn take_ports(&mut self, request: &Request) -> Result<()> {
        let Some(endpoint) = request.published() else { return Ok(()) };
        if self.forwarder.ports().next().is_some() {
            return Ok(());
        }
        self.forwarder.hold(port::hold(&request.ports, &request.containers)?, endpoint.ipv4, endpoint.ipv6)
    }

    fn go(&self, request: &Request, pid: Option<i32>) -> Result<()> {
        let Some(pid) = pid else { return Ok(()) };
        let namespace = namespace_of(pid)?;
        let inside = Inside { socket: within(namespace.as_fd(), Socket::route)?, namespace };
        let gone = self.settle(&self.request, request, &inside).and_then(|()| self.name(request, &inside));
        if gone.is_err() {
            let _ = self.settle(request, &self.request, &inside); // what went wrong first is what is told
        }
        gone
    }

    fn settle(&self, from: &Request, to: &Request, inside: &Inside) -> Result<()> {
        for endpoint in &to.endpoints {
            if self.published(to, endpoint).is_none_or(|published| published.endpoint != endpoint.endpoint) {
                let link = add(&self.kernel, &inside.socket, inside.namespace.as_fd(), to, endpoint)?;
                let published = Published::new(&self.container, endpoint, link, Vec::new());
                let published = Published { serving: self.serving, ..published };
                vip::publish(&self.kernel, &to.directory, &to.table, &endpoint.network, &published)?;
            } else {
                lead_out(&inside.socket, endpoint)?;
            }
        }
        for endpoint in from.endpoints.iter().filter(|endpoint| !has(to, endpoint)) {
            let home = network::path(&from.directory, &endpoint.network);
            files::withdraw(&self.kernel, &home, &from.table, &self.container);
            remove_inside(&inside.socket, &endpoint.interface)?;
        }
        // A port's element leads to one address: it goes from the old one before it comes to the new one.
        let leads =
            |endpoint: &&Endpoint| to.published().is_some_and(|published| published.endpoint == endpoint.endpoint);
        let (leading, others): (Vec<_>, Vec<_>) = to.endpoints.iter().partition(leads);
        others.into_iter().chain(leading).try_for_each(|endpoint| self.publish_again(to, endpoint, leads(&endpoint)))
    }

    fn published(&self, request: &Request, endpoint: &Endpoint) -> Option<Published> {
        files::read_json(&files::path(&network::path(&request.directory, &endpoint.network), &self.container))
    }

    fn publish_again(&self, request: &Request, endpoint: &Endpoint, leads: bool) -> Result<()> {
        let Some(published) = self.published(request, endpoint) else { return Ok(()) };
        let ports = if leads { self.forwarder.ports().map(|held| held.port.clone()).collect() } else { Vec::new() };
        let wanted = Published { names: endpoint.names.clone(), ports, ..published.clone() };
        if wanted == published {
            return Ok(());
        }
        let moved = wanted.ports != published.ports;
        if moved {
            network::remove_ports(&self.kernel, &request.table, &published);
        }
        wanted.write(&network::path(&request.directory, &endpoint.network))?;
        if moved { network::add_ports(&self.kernel, &request.directory, &request.table, &wanted) } else { Ok(()) }
    }

    /// The name server follows; the first user-defined network brings it.
    fn name(&self, request: &Request, inside: &Inside) -> Result<()> {
        let mut names = self.names.borrow_mut();
        if let Some(names) = &mut *names {
            names.follow(request);
        } else if let Some(started) = NameServer::new(inside.namespace.as_fd(), request)? {
            self.forwarder.watch(started.descriptor())?;
            *names = Some(started);
        }
        Ok(())
    }

    /// Addresses on networks the container has left are anybody's.
    fn give_back(&self, before: &Request) {
        for endpoint in before.endpoints.iter().filter(|endpoint| !has(&self.request, endpoint)) {
            for address in [endpoint.ipv4, endpoint.ipv6].into_iter().flatten() {
                files::free(&network::path(&before.directory, &endpoint.network), &self.container, address);
            }
        }
    }

    /// A temporary network nobody uses any more goes.
    fn leave(&self, before: Vec<Used>) -> Result<()> {
        let (directory, table) = (&self.request.directory, &self.request.table);
        before.into_iter().try_for_each(|(home, temporary, lock)| {
            if !temporary || self.used.iter().any(|(other, ..)| *other == home) {
                return Ok(());
            }
            network::retire(&self.kernel, directory, table, &home, &lock, false).map(drop)
        })
    }
}

fn remove_inside(inside: &Socket, interface: &str) -> Result<()> {
    let Some(found) = link::find(inside, interface)? else { return Ok(()) };
    let mut batch = Batch::default();
    link::delete(&mut batch, found.index, interface);
    inside.talk(batch).map(drop)
}
