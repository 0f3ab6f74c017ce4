//! A container's endpoints, from its start to its end.

use std::cell::RefCell;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::net::files::{self, Published};
use crate::net::forward::Forwarder;
use crate::net::link::{self, Link, Pair, Stacked};
use crate::net::names::NameServer;
use crate::net::netlink::{Batch, Kernel, Socket};
use crate::net::request::{Driver, Endpoint, Request};
use crate::net::{host, network, port, vip};
use crate::{Error, Kind, Result};

mod change;

/// Names tried for the host's end of a pair: a namespace that ends takes its links along only after a while.
const NAMES: usize = 8;
const NAME_DIGITS: usize = 7;
/// Links of lives that are over, left to the end of their namespaces unless they become more.
const LINKS_WAITING: usize = 4;
/// The index of `lo` in every namespace (net/core/dev.c, LOOPBACK_IFINDEX).
const LOOPBACK: u32 = 1;

/// A network's directory, whether it goes with its last user, and the lock that says it is used.
type Used = (PathBuf, bool, OwnedFd);

/// What a container has of networks while its monitor lives.
#[derive(Debug)]
pub struct Endpoints {
    container: String,
    request: Request,
    /// Held ports, and the connections the packet rules cannot carry.
    pub forwarder: Forwarder,
    /// That the network is used, network by network.
    used: Vec<Used>,
    /// Ends on the host of a life that is over, to be removed.
    links: Vec<Published>,
    kernel: Kernel,
    /// Whether virtual addresses lead here: without a health check always, else while it succeeds.
    pub serving: bool,
    /// The name server of this life; made while the container waits, so it is there before the command.
    names: RefCell<Option<NameServer>>,
}

impl Endpoints {
    /// Takes the ports and says that the networks are in use; nothing the container could see yet.
    ///
    /// Where this fails, leases are given back.
    pub fn prepare(container: &str, request: Request) -> Result<Self> {
        let prepared = Self::hold(container, &request);
        if prepared.is_err() {
            free(&request, container);
        }
        let (forwarder, used) = prepared?;
        Ok(Self {
            container: container.to_owned(),
            request,
            forwarder,
            used,
            links: Vec::new(),
            kernel: Kernel::default(),
            serving: true,
            names: RefCell::new(None),
        })
    }

    fn hold(container: &str, request: &Request) -> Result<(Forwarder, Vec<Used>)> {
        request.check()?;
        crate::net::request::check_id(container)?;
        let used = use_networks(request)?;
        let published = request.published();
        let ports = if published.is_some() { &request.ports[..] } else { &[] };
        let held = port::hold(ports, &request.containers)?;
        let addresses = published.map_or((None, None), |endpoint| (endpoint.ipv4, endpoint.ipv6));
        Ok((Forwarder::new(held, addresses.0, addresses.1)?, used))
    }

    /// Makes links, addresses, routes and map elements for a process that waits for them, and tells everybody.
    ///
    /// Where this fails, `withdraw` takes back what was made, but for links, which go with the namespace.
    pub fn attach(&self, pid: i32) -> Result<()> {
        self.attach_to(namespace_of(pid)?.as_fd())
    }

    pub(in crate::net) fn attach_to(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        let inside = within(namespace, Socket::route)?;
        let published = self.request.published().map(|endpoint| endpoint.endpoint.as_str());
        for endpoint in &self.request.endpoints {
            let link = add(&self.kernel, &inside, namespace, &self.request, endpoint)?;
            let ports = if published == Some(&endpoint.endpoint) {
                self.forwarder.ports().map(|held| held.port.clone()).collect()
            } else {
                Vec::new()
            };
            let published = Published::new(&self.container, endpoint, link, ports);
            let published = Published { serving: self.serving, ..published };
            publish(&self.kernel, &self.request, endpoint, &published)?;
        }
        if self.request.dns.is_some() {
            loopback_up(&inside)?;
        }
        if let Some(names) = NameServer::new(namespace, &self.request)? {
            self.forwarder.watch(names.descriptor())?;
            *self.names.borrow_mut() = Some(names);
        }
        Ok(())
    }

    /// Does what there is to do now: carries connections, answers questions.
    pub fn turn(&mut self) {
        self.forwarder.turn();
        if let Some(names) = self.names.get_mut() {
            names.turn();
        }
    }

    /// The container's virtual addresses lead to it from now on, or no longer.
    pub fn serve(&mut self, serving: bool) -> Result<()> {
        self.serving = serving;
        for endpoint in self.request.endpoints.iter().filter(|endpoint| endpoint.vip.is_some()) {
            let home = network::path(&self.request.directory, &endpoint.network);
            let file = files::path(&home, &self.container);
            let Some(published) = files::read_json::<Published>(&file) else { continue };
            let published = Published { serving, ..published };
            let (directory, table) = (&self.request.directory, &self.request.table);
            vip::publish(&self.kernel, directory, table, &endpoint.network, &published)?;
        }
        Ok(())
    }

    /// The end of a life: names and map elements go; ports and leases stay ours.
    pub fn withdraw(&mut self) {
        self.forwarder.drop_connections();
        *self.names.get_mut() = None;
        for home in files::directories(&self.request.directory) {
            self.links.extend(files::withdraw(&self.kernel, &home, &self.request.table, &self.container));
        }
        if self.links.len() > LINKS_WAITING {
            self.remove_links(); // restarted again and again
        }
    }

    /// Ports, leases and networks that were made by name are anybody's from now on: `network rm` does not wait for what is slow.
    pub fn let_go(&mut self) {
        self.forwarder.drop_ports();
        self.used.retain(|(_, temporary, _)| *temporary);
        free(&self.request, &self.container);
        for published in &self.links {
            for address in [published.ipv4, published.ipv6].into_iter().flatten() {
                for home in files::directories(&self.request.directory) {
                    files::free(&home, &self.container, address);
                }
            }
        }
    }

    fn remove_links(&mut self) {
        for published in self.links.drain(..) {
            remove_link(&self.kernel, &published);
        }
    }

    /// The end: links go, and the networks that only this container still used.
    pub fn release(mut self) -> Result<()> {
        self.remove_links();
        let mut result = Ok(());
        for (home, temporary, lock) in &self.used {
            if *temporary {
                let retired =
                    network::retire(&self.kernel, &self.request.directory, &self.request.table, home, lock, false);
                result = result.and(retired.map(drop));
            }
        }
        result
    }
}

/// The child does this too, at a moment of its own; before it there is no 127.0.0.11 to bind.
fn loopback_up(inside: &Socket) -> Result<()> {
    let mut batch = Batch::default();
    link::set_up(&mut batch, LOOPBACK, "lo");
    inside.talk(batch).map(drop)
}

fn use_networks(request: &Request) -> Result<Vec<Used>> {
    let lock = |endpoint: &Endpoint| {
        let lock = network::lock_use(&request.directory, &endpoint.network)?;
        Ok((network::path(&request.directory, &endpoint.network), endpoint.network.temporary, lock))
    };
    request.endpoints.iter().map(lock).collect()
}

fn free(request: &Request, container: &str) {
    for endpoint in &request.endpoints {
        for address in [endpoint.ipv4, endpoint.ipv6].into_iter().flatten() {
            files::free(&network::path(&request.directory, &endpoint.network), container, address);
        }
    }
}

/// The endpoint's file first: who finds the port finds the name, and a table made again from the files has both.
fn publish(kernel: &Kernel, request: &Request, endpoint: &Endpoint, published: &Published) -> Result<()> {
    vip::publish(kernel, &request.directory, &request.table, &endpoint.network, published)?;
    network::add_ports(kernel, &request.directory, &request.table, published)
}

fn remove_link(kernel: &Kernel, published: &Published) {
    if published.link.is_empty() {
        return;
    }
    let removed = kernel.route().and_then(|socket| {
        let Some(found) = link::find(socket, &published.link)?.filter(|link| link.kind == "veth") else {
            return Ok(());
        };
        let mut batch = Batch::default();
        link::delete(&mut batch, found.index, &published.link);
        socket.talk(batch).map(drop)
    });
    drop(removed); // the namespace's end takes it along, if that has not happened already
}

fn namespace_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::kernel("open", path, errno))
}

/// Does something in another network namespace: what a socket belongs to is decided when it is made.
///
/// For a process of one thread, or a thread that does nothing else meanwhile.
pub fn within<T>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let own = "/proc/thread-self/ns/net";
    let home = rustix::fs::open(own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::kernel("open", own, errno))?;
    let enter = |fd: BorrowedFd<'_>| {
        move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))
            .map_err(|errno| Error::kernel("enter", "a network namespace", errno))
    };
    enter(namespace)?;
    let result = work();
    enter(home.as_fd())?;
    result
}

/// Makes one endpoint, and the default routes lead there if they are to; the name of its end on the host.
fn add(
    kernel: &Kernel,
    inside: &Socket,
    namespace: BorrowedFd<'_>,
    request: &Request,
    endpoint: &Endpoint,
) -> Result<String> {
    let host = kernel.route()?;
    let below = network::ensure(kernel, &request.directory, &request.table, &endpoint.network)?;
    let hairpin = !request.ports.is_empty() || endpoint.vip.is_some(); // it may speak to itself by the host's rules
    let name = match endpoint.network.driver {
        Driver::Bridge => add_pair(host, namespace, endpoint, &below, hairpin)?,
        Driver::Macvlan | Driver::Ipvlan => add_stacked(host, namespace, endpoint, &below)?,
    };
    let gone = || Error::new(Kind::State, "find link", &endpoint.interface, "it is gone again");
    let own = link::find(inside, &endpoint.interface)?.ok_or_else(gone)?;
    let mut batch = Batch::default();
    if host::speaks_ipv6(own.mtu) {
        if endpoint.ipv6.is_none() {
            link::without_own_ipv6(&mut batch, own.index, &endpoint.interface);
        } else if endpoint.network.driver != Driver::Ipvlan {
            link::own_ipv6(&mut batch, own.index, &endpoint.interface, endpoint.mac()?); // ipvlan has its parent's
        }
    }
    link::set_up(&mut batch, own.index, &endpoint.interface);
    for (address, family, _) in endpoint.addresses() {
        link::add_address(&mut batch, own.index, address, family.prefix()?);
    }
    add_default_routes(&mut batch, endpoint, own.index);
    inside.talk(batch)?;
    Ok(name)
}

fn add_default_routes(batch: &mut Batch, endpoint: &Endpoint, index: u32) {
    for (address, family, default) in endpoint.addresses() {
        if default {
            link::set_default_route(batch, index, gateway(endpoint, family.gateway), address.is_ipv6());
        }
    }
}

/// Makes the default routes lead to an endpoint that is there already, if they are to.
fn lead_out(inside: &Socket, endpoint: &Endpoint) -> Result<()> {
    if !endpoint.addresses().any(|(.., default)| default) {
        return Ok(());
    }
    let Some(own) = link::find(inside, &endpoint.interface)? else { return Ok(()) }; // somebody inside took it away
    let mut batch = Batch::default();
    add_default_routes(&mut batch, endpoint, own.index);
    inside.talk(batch).map(drop)
}

/// ipvlan in mode l3 has no neighbours, so no gateway: the parent routes.
fn gateway(endpoint: &Endpoint, gateway: Option<IpAddr>) -> Option<IpAddr> {
    let routed = endpoint.network.driver == Driver::Ipvlan && endpoint.network.mode.starts_with("l3");
    gateway.filter(|_| !routed)
}

fn add_pair(
    host: &Socket,
    namespace: BorrowedFd<'_>,
    endpoint: &Endpoint,
    bridge: &Link,
    hairpin: bool,
) -> Result<String> {
    let mac = endpoint.mac()?;
    for attempt in 0..NAMES {
        let start = attempt * NAME_DIGITS;
        let name = format!("veth{}", &endpoint.endpoint[start..start + NAME_DIGITS]);
        let mut batch = Batch::default();
        let pair =
            Pair { host: &name, bridge: bridge.index, inside: &endpoint.interface, mac, mtu: bridge.mtu, namespace };
        link::add_pair(&mut batch, &pair);
        if hairpin || !endpoint.network.icc {
            link::set_port(&mut batch, &name, !endpoint.network.icc, hairpin);
        }
        match host.talk(batch) {
            Err(error) if error.errno == Some(Errno::EXIST) && attempt + 1 < NAMES => {}
            made => {
                made?;
                return Ok(name);
            }
        }
    }
    Err(Error::new(Kind::Conflict, "make link", &endpoint.interface, "every name is taken"))
}

fn add_stacked(host: &Socket, namespace: BorrowedFd<'_>, endpoint: &Endpoint, parent: &Link) -> Result<String> {
    let network = &endpoint.network;
    let (kind, mac) = match network.driver {
        Driver::Ipvlan => ("ipvlan", None),
        _ => ("macvlan", Some(endpoint.mac()?)),
    };
    let mut batch = Batch::default();
    link::add_stacked(
        &mut batch,
        &Stacked {
            kind,
            mode: network.mode_number()?,
            parent: parent.index,
            inside: &endpoint.interface,
            mac,
            mtu: if network.mtu == 0 { parent.mtu } else { network.mtu },
            namespace,
        },
    );
    match host.talk(batch) {
        Err(error) if error.errno == Some(Errno::OPNOTSUPP) => {
            let reason = format!("this kernel has no {kind} links (module {kind})");
            Err(Error::new(Kind::Kernel, "make link", &endpoint.interface, reason))
        }
        made => made.map(|_| String::new()),
    }
}
