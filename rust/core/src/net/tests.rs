//! Against the kernel, each test in a network namespace of its own.
#![allow(clippy::unwrap_used)]

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use super::endpoint::{Endpoints, within};
use super::files;
use super::link;
use super::netlink::Socket;
use super::network;
use super::nft::{self, INET, table};
use super::request::{Endpoint, PortRequest, Protocol, Request, Virtual, tests as samples};

const NEWNET: u32 = 0x4000_0000;

/// Runs a test in a thread with a network namespace of its own; without root it is skipped.
fn isolated(test: impl FnOnce() + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let run = || {
        pyctr_init::sys::unshare(NEWNET).unwrap();
        test();
    };
    std::thread::spawn(run).join().unwrap();
}

fn output(program: &str, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn has_nft() -> bool {
    let there = Path::new("/usr/sbin/nft").exists();
    if !there {
        println!("skipped: needs nft");
    }
    there
}

fn request(directory: &Path, link: &str) -> Request {
    let endpoint = Endpoint {
        network: samples::network(link),
        endpoint: "0123456789abcdef".repeat(4),
        interface: "eth0".to_owned(),
        mac: "02:42:ac:11:00:02".to_owned(),
        ipv4: Some("172.17.0.2".parse().unwrap()),
        ipv6: None,
        default_ipv4: true,
        default_ipv6: false,
        names: vec!["web".to_owned()],
        vip: None,
    };
    let port =
        PortRequest { protocol: Protocol::Tcp, container_port: 80, host_ip: String::new(), first: 8080, last: 8080 };
    Request {
        version: 1,
        directory: directory.to_owned(),
        containers: directory.to_owned(),
        table: "pyctr".to_owned(),
        endpoints: vec![endpoint],
        ports: vec![port],
        dns: None,
    }
}

#[test]
fn test_table_is_what_nft_reads_in_the_documentation() {
    if !has_nft() {
        return;
    }
    isolated(|| {
        let socket = Socket::netfilter().unwrap();
        let mut transaction = table::transaction("pyctr");
        transaction.add_table(true);
        table::add(&mut transaction, true);
        transaction.commit(&socket).unwrap();
        let listed = output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]);
        let document = include_str!("../../../../docs/networks.md");
        let start = document.find("table inet pyctr {").unwrap();
        let documented = &document[start..start + document[start..].find("```").unwrap()];
        assert_eq!(listed.trim(), documented.trim());
        let dir = tempfile::tempdir().unwrap();
        let saved = dir.path().join("saved.nft");
        std::fs::write(&saved, &listed).unwrap();
        output("/usr/sbin/nft", &["delete", "table", "inet", "pyctr"]);
        output("/usr/sbin/nft", &["-f", saved.to_str().unwrap()]);
        assert_eq!(output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]), listed);
    });
}

#[test]
fn test_endpoint_comes_and_goes_and_leaves_nothing() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let request = request(dir.path(), "pyctr0");
        let container = "cd".repeat(32);
        let namespace = namespace();
        let before = output("/bin/ls", &["/sys/class/net"]);
        let mut endpoints = Endpoints::prepare(&container, request.clone()).unwrap();
        endpoints.attach_to(namespace.as_fd()).unwrap();
        let home = dir.path().join(&request.endpoints[0].network.id);
        let published = files::published(&home).next().unwrap();
        assert_eq!(published.ports.first().map(|port| port.host_port), Some(8080));
        let routes = within(namespace.as_fd(), || Ok(output("/sbin/ip", &["route"]))).unwrap();
        assert!(routes.contains("default via 172.17.0.1 dev eth0"), "{routes}");
        let bridge = link::find(&Socket::route().unwrap(), "pyctr0").unwrap().unwrap();
        let end = link::find(&Socket::route().unwrap(), &published.link).unwrap().unwrap();
        assert_eq!((end.master, end.mtu), (bridge.index, bridge.mtu));
        endpoints.withdraw();
        endpoints.let_go();
        endpoints.release().unwrap();
        let netfilter = Socket::netfilter().unwrap();
        assert!(!nft::table_exists(&netfilter, INET, "pyctr").unwrap());
        assert_eq!(output("/bin/ls", &["/sys/class/net"]), before);
        assert_eq!(files::published(&home).count(), 0);
    });
}

#[test]
fn test_bridge_name_of_something_else_is_refused_and_left_alone() {
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        output("/sbin/ip", &["link", "add", "pyctr0", "type", "veth"]);
        let error = network::make(dir.path(), "pyctr", &samples::network("pyctr0")).unwrap_err();
        assert!(error.to_string().starts_with("make bridge pyctr0: a link of this name exists"), "{error}");
        assert!(output("/sbin/ip", &["-d", "link", "show", "pyctr0"]).contains("veth"));
    });
}

/// A container's network namespace, without the container.
fn namespace() -> std::fs::File {
    let inner = std::thread::spawn(|| {
        pyctr_init::sys::unshare(NEWNET).unwrap();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap()
    });
    inner.join().unwrap()
}

/// A member of the virtual address 172.17.0.254.
fn member(directory: &Path, container: &str, ipv4: &str) -> (Endpoints, std::fs::File) {
    let mut request = request(directory, "pyctr0");
    request.ports.clear();
    request.endpoints[0].ipv4 = Some(ipv4.parse().unwrap());
    request.endpoints[0].endpoint = container.to_owned();
    let vip = Virtual { names: vec!["web".to_owned()], ipv4: Some("172.17.0.254".parse().unwrap()), ipv6: None };
    request.endpoints[0].vip = Some(vip);
    let endpoints = Endpoints::prepare(container, request).unwrap();
    let namespace = namespace();
    endpoints.attach_to(namespace.as_fd()).unwrap();
    (endpoints, namespace)
}

fn members_listed() -> (usize, usize, bool) {
    let table = output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]);
    let count = |address: &str| table.matches(&format!(" : {address}")).count();
    let bridge = output("/sbin/ip", &["-4", "address", "show", "pyctr0"]);
    (count("172.17.0.2"), count("172.17.0.3"), bridge.contains("inet 172.17.0.254/32"))
}

#[test]
fn test_virtual_address_leads_to_those_that_are_up_and_is_gone_with_the_last() {
    if !has_nft() {
        return;
    }
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, _kept) = member(dir.path(), &"cd".repeat(32), "172.17.0.2");
        assert_eq!(members_listed(), (256, 0, true));
        let (mut two, _kept) = member(dir.path(), &"ef".repeat(32), "172.17.0.3");
        assert_eq!(members_listed(), (128, 128, true));
        let listed = output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]);
        let saved = dir.path().join("saved.nft");
        std::fs::write(&saved, listed.replace("inet pyctr", "inet other")).unwrap();
        output("/usr/sbin/nft", &["-f", saved.to_str().unwrap()]); // a host's rules are saved and loaded
        output("/usr/sbin/nft", &["flush", "map", "inet", "pyctr", "members4"]);
        one.withdraw();
        assert_eq!(members_listed(), (0, 256, true), "whatever was left is mended");
        output("/usr/sbin/nft", &["delete", "table", "inet", "pyctr"]);
        one.attach_to(namespace().as_fd()).unwrap();
        assert_eq!(members_listed(), (128, 128, true));
        for endpoints in [&mut one, &mut two] {
            endpoints.withdraw();
        }
        assert_eq!(members_listed(), (0, 0, false));
        let sets = output("/usr/sbin/nft", &["list", "set", "inet", "pyctr", "vips4"]);
        assert!(!sets.contains("elements"), "{sets}");
        for mut endpoints in [one, two] {
            endpoints.let_go();
            endpoints.release().unwrap();
        }
    });
}

#[test]
fn test_table_without_virtual_addresses_serves_until_one_is_asked_for() {
    if !has_nft() {
        return;
    }
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let socket = Socket::netfilter().unwrap();
        super::network::table_from_files("pyctr", dir.path(), false).commit(&socket).unwrap();
        let listed = || output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]);
        assert!(!listed().contains("numgen"));
        let request = request(dir.path(), "pyctr0");
        let mut plain = Endpoints::prepare(&"ab".repeat(32), request).unwrap();
        plain.attach_to(namespace().as_fd()).unwrap();
        assert!(listed().contains("172.17.0.2 . 80") && !listed().contains("numgen"), "{}", listed());
        let (mut one, _kept) = member(dir.path(), &"cd".repeat(32), "172.17.0.3");
        assert_eq!(members_listed().1, 256, "this kernel has numgen");
        assert!(listed().contains("172.17.0.2 . 80"));
        for endpoints in [&mut plain, &mut one] {
            endpoints.withdraw();
            endpoints.let_go();
        }
        plain.release().unwrap();
        one.release().unwrap();
    });
}

#[test]
fn test_rebuild_flushed_table_has_everything_again() {
    if !has_nft() {
        return;
    }
    isolated(|| {
        let dir = tempfile::tempdir().unwrap();
        let request = request(dir.path(), "pyctr0");
        let namespace = namespace();
        let mut endpoints = Endpoints::prepare(&"cd".repeat(32), request).unwrap();
        endpoints.attach_to(namespace.as_fd()).unwrap();
        let list = || output("/usr/sbin/nft", &["list", "table", "inet", "pyctr"]);
        let before = list();
        assert!(before.contains(" . 8080 : 172.17.0.2 . 80"), "{before}");
        assert!(before.contains("elements = { \"pyctr0\" }"), "{before}");
        output("/usr/sbin/nft", &["flush", "table", "inet", "pyctr"]);
        network::rebuild(dir.path(), "pyctr").unwrap();
        assert_eq!(list(), before);
        output("/usr/sbin/nft", &["delete", "table", "inet", "pyctr"]);
        network::rebuild(dir.path(), "pyctr").unwrap();
        assert_eq!(list(), before);
        endpoints.withdraw();
        endpoints.let_go();
        endpoints.release().unwrap();
    });
}
