//! Published ports: really taken on the host, by a socket the monitor holds as long as the container lives.
//!
//! TCP sockets listen. The packet rules take connections away before they reach them; what the rules cannot carry (::1, IPv6 to
//! a container without it, a table that somebody flushed) arrives there and is carried by `forward`.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::files::{Published, PublishedPort};
use super::nft::{Element, table};
use super::request::{PortRequest, Protocol};
use crate::{Error, Kind, Result, rootless};

const BACKLOG: i32 = 128;
/// How often another port is tried where any will do and IPv6 has taken the one IPv4 had free.
const ATTEMPTS: usize = 64;

/// A port that is ours.
#[derive(Debug)]
pub struct Held {
    /// What it is.
    pub port: PublishedPort,
    /// What holds it; None where the kernel has no such sockets (SCTP).
    pub socket: Option<OwnedFd>,
}

/// Takes every port asked for, or none. `containers` is where other containers' names are found.
pub fn hold(requests: &[PortRequest], containers: &Path) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for request in requests {
        held.extend(hold_one(request, containers)?);
    }
    Ok(held)
}

fn hold_one(request: &PortRequest, containers: &Path) -> Result<Vec<Held>> {
    let addresses = addresses(request)?;
    let candidates: Box<dyn Iterator<Item = u16>> = if request.first == 0 {
        Box::new(std::iter::repeat_n(0, ATTEMPTS))
    } else {
        Box::new(request.first..=request.last.max(request.first))
    };
    let mut failure = None;
    for port in candidates {
        match hold_on_all(request, &addresses, port) {
            Ok(held) => return Ok(held),
            Err((Errno::ADDRINUSE, address)) => failure = failure.or(Some(address)),
            Err((errno, address)) => {
                return Err(Error::kernel("bind", format!("{address}/{}", request.protocol.name()), errno));
            }
        }
    }
    let address = failure.unwrap_or_else(|| SocketAddr::new(addresses[0], request.first));
    let object = format!("{address}/{}", request.protocol.name());
    if request.first != request.last {
        return Err(Error::new(Kind::Conflict, "bind", object, "all ports of the range are allocated"));
    }
    let owner = owner(request.protocol, address.port(), containers);
    let reason = owner.map_or_else(String::new, |owner| format!(" by {owner}"));
    Err(Error::new(Kind::Conflict, "bind", object, format!("port is already allocated{reason}")))
}

fn addresses(request: &PortRequest) -> Result<Vec<IpAddr>> {
    if request.host_ip.is_empty() {
        return Ok(vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]);
    }
    let address = request.host_ip.parse().map_err(|_| Error::invalid("bind", &request.host_ip, "not an address"))?;
    Ok(vec![address])
}

type Refusal = (Errno, SocketAddr);

/// The same port on each address.
fn hold_on_all(request: &PortRequest, addresses: &[IpAddr], port: u16) -> std::result::Result<Vec<Held>, Refusal> {
    let mut port = port;
    let mut held = Vec::with_capacity(addresses.len());
    for address in addresses {
        let wanted = SocketAddr::new(*address, port);
        let socket = match bind(request.protocol, wanted) {
            Ok(socket) => socket,
            // A host without IPv6 has no IPv6 ports to take.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_ipv6() && addresses.len() > 1 => continue,
            Err(errno) => return Err((errno, wanted)),
        };
        if port == 0 {
            port = socket.as_ref().map_or(0, bound_port);
        }
        let port = PublishedPort {
            protocol: request.protocol,
            host_ip: *address,
            host_port: port,
            container_port: request.container_port,
        };
        held.push(Held { port, socket });
    }
    Ok(held)
}

fn bound_port(socket: &OwnedFd) -> u16 {
    let address = rustix::net::getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
    address.map_or(0, |address| address.port())
}

fn bind(protocol: Protocol, address: SocketAddr) -> rustix::io::Result<Option<OwnedFd>> {
    match rootless::bind(protocol, address) {
        Some(Err(Errno::PROTONOSUPPORT)) if protocol == Protocol::Sctp => Ok(None),
        Some(bound) => bound.map(Some),
        None => bind_here(protocol, address),
    }
}

/// Binds a port in the network this process is in, and listens; None where the kernel has no such sockets (SCTP).
pub fn bind_here(protocol: Protocol, address: SocketAddr) -> rustix::io::Result<Option<OwnedFd>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = match rustix::net::socket_with(family, kind, flags, Some(number)) {
        Err(Errno::PROTONOSUPPORT) if protocol == Protocol::Sctp => return Ok(None),
        made => made?,
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol != Protocol::Udp {
        // Connections of a server that has just ended are in nobody's way; one that listens is, whatever it has set.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    if protocol != Protocol::Udp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(Some(socket))
}

/// The map elements of an endpoint's ports.
pub fn elements(published: &Published) -> Vec<(&'static str, Element)> {
    let element = |port: &PublishedPort| {
        let container = if port.host_ip.is_ipv4() { published.ipv4 } else { published.ipv6 };
        table::port_element(port.protocol.number(), port.host_ip, port.host_port, container?, port.container_port)
    };
    published.ports.iter().filter_map(element).collect()
}

/// Who has a port: for a message, so what cannot be found out is left unsaid.
fn owner(protocol: Protocol, port: u16, containers: &Path) -> Option<String> {
    let name = protocol.name();
    let sockets: HashSet<String> = ["", "6"]
        .iter()
        .filter_map(|suffix| std::fs::read_to_string(format!("/proc/net/{name}{suffix}")).ok())
        .flat_map(|text| inodes(&text, port))
        .collect();
    let pid = processes().find(|pid| has_socket(pid, &sockets))?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    if let [_, b"monitor", directory, ..] = words[..] {
        let directory = String::from_utf8_lossy(directory);
        let record = Path::new(&*directory).join("config.json");
        if record.starts_with(containers) || record.exists() {
            let name = super::files::read_json::<serde_json::Value>(&record);
            let name = name.as_ref().and_then(|record| record.get("Name")?.as_str());
            return name.map(|name| format!("container {}", name.trim_start_matches('/')));
        }
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (process {pid})", name.trim()))
}

/// Inodes of the sockets bound to a port, in the form of /proc/net/tcp; for TCP those that listen.
fn inodes(text: &str, port: u16) -> Vec<String> {
    const LISTENS: &str = "0A";
    const UNCONNECTED: &str = "07";
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let local = fields.get(1)?.rsplit_once(':')?.1;
        let ours = u16::from_str_radix(local, 16).ok()? == port && [LISTENS, UNCONNECTED].contains(fields.get(3)?);
        ours.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    text.lines().skip(1).filter_map(parse).collect()
}

fn processes() -> impl Iterator<Item = String> {
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok())
}

fn has_socket(pid: &str, sockets: &HashSet<String>) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(protocol: Protocol, host_ip: &str, first: u16, last: u16) -> PortRequest {
        PortRequest { protocol, container_port: 80, host_ip: host_ip.to_owned(), first, last }
    }

    #[test]
    fn test_hold_taken_port_is_refused_naming_who_has_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in ["127.0.0.1", "0.0.0.0", ""] {
            let error = hold(&[request(Protocol::Tcp, address, port, port)], Path::new("/nonexistent")).unwrap_err();
            assert!(error.to_string().contains("port is already allocated by"), "{error}");
            assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        }
    }

    #[test]
    fn test_hold_range_takes_the_next_free_and_says_when_there_is_none() {
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port == u16::MAX {
            return;
        }
        let error = hold(&[request(Protocol::Udp, "127.0.0.1", port, port)], Path::new("/")).unwrap_err();
        assert_eq!(error.kind, Kind::Conflict);
        if let Ok(held) = hold(&[request(Protocol::Udp, "127.0.0.1", port, port + 1)], Path::new("/")) {
            assert_eq!(held[0].port.host_port, port + 1);
        }
    }

    #[test]
    fn test_hold_any_port_is_the_same_on_both_families_and_nobody_elses() {
        let held = hold(&[request(Protocol::Tcp, "", 0, 0)], Path::new("/")).unwrap();
        let port = held[0].port.host_port;
        assert!(port != 0 && held.iter().all(|held| held.port.host_port == port));
        assert!(std::net::TcpListener::bind(("0.0.0.0", port)).is_err());
    }

    #[test]
    fn test_hold_all_or_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let free = hold(&[request(Protocol::Tcp, "127.0.0.1", 0, 0)], Path::new("/")).unwrap()[0].port.host_port;
        let requests =
            [(free, free), (taken, taken)].map(|(first, last)| request(Protocol::Tcp, "127.0.0.1", first, last));
        assert!(hold(&requests, Path::new("/")).is_err());
        assert!(std::net::TcpListener::bind(("127.0.0.1", free)).is_ok());
    }

    #[test]
    fn test_hold_address_of_another_host_is_refused() {
        let error = hold(&[request(Protocol::Tcp, "198.51.100.7", 8080, 8080)], Path::new("/")).unwrap_err();
        assert_eq!(error.to_string(), "bind 198.51.100.7:8080/tcp: Cannot assign requested address");
    }
}
