//! Bridges and the packet rules: made when a network is first used, removed with its last user.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::files::{self, Published};
use super::link::{self, Link};
use super::netlink::{Batch, Kernel, Socket};
use super::nft::{self, INET, Transaction, table};
use super::request::{Driver, Network, check_id};
use super::{host, port, tracked, vip};
use crate::{Error, Kind, Result};

/// The kernel's numbers of modes (include/uapi/linux/if_link.h).
fn mode_number(network: &Network) -> Result<u32> {
    let modes: &[(&str, u32)] = match network.driver {
        Driver::Bridge => &[],
        Driver::Macvlan => &[("private", 1), ("vepa", 2), ("bridge", 4), ("passthru", 8)],
        Driver::Ipvlan => &[("l2", 0), ("l3", 1), ("l3s", 2)],
    };
    let unknown = || Error::invalid("make network", &network.name, format!("unknown mode {}", network.mode));
    modes.iter().find(|(name, _)| *name == network.mode).map(|(_, number)| *number).ok_or_else(unknown)
}

impl Network {
    /// The number of its mode.
    pub fn mode_number(&self) -> Result<u32> {
        mode_number(self)
    }
}

/// The directory of a network.
pub fn path(directory: &Path, network: &Network) -> PathBuf {
    directory.join(&network.id)
}

pub(super) fn open_lock(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| Error::kernel("open", path, errno))
}

pub(super) fn flock(lock: &OwnedFd, operation: FlockOperation, path: &Path) -> Result<()> {
    loop {
        match rustix::fs::flock(lock, operation) {
            Err(Errno::INTR) => {}
            other => return other.map_err(|errno| Error::kernel("lock", path, errno)),
        }
    }
}

/// The lock under which links and table of any network are made and removed.
fn lock_all(directory: &Path) -> Result<OwnedFd> {
    let path = directory.join("lock");
    let lock = open_lock(&path)?;
    flock(&lock, FlockOperation::LockExclusive, &path)?;
    Ok(lock)
}

/// Says that a network is in use for as long as the descriptor lives. Raises NotFound for one that was removed meanwhile.
pub fn lock_use(directory: &Path, network: &Network) -> Result<OwnedFd> {
    let home = path(directory, network);
    let create = |path: &Path| match rustix::fs::mkdir(path, Mode::from_raw_mode(0o711)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::kernel("make", path, errno)),
    };
    std::fs::create_dir_all(directory).map_err(|error| Error::io("make", directory, &error))?;
    create(&home)?;
    create(&home.join("endpoints"))?;
    let file = home.join("use");
    let lock = open_lock(&file)?;
    flock(&lock, FlockOperation::LockShared, &file)?;
    match rustix::fs::fstat(&lock) {
        Ok(status) if status.st_nlink > 0 => Ok(lock),
        _ => Err(Error::new(Kind::NotFound, "use network", &network.name, "it was removed")),
    }
}

/// The link endpoints hang on, made if it is missing; for macvlan and ipvlan the parent.
pub fn ensure(kernel: &Kernel, directory: &Path, table: &str, network: &Network) -> Result<Link> {
    let name = if network.driver == Driver::Bridge { &network.link } else { &network.parent };
    if path(directory, network).join("network.json").exists()
        && let Some(link) = link::find(kernel.route()?, name)?
        && (network.driver != Driver::Bridge || link.kind == "bridge")
    {
        return Ok(link);
    }
    let _lock = lock_all(directory)?;
    if network.driver == Driver::Bridge {
        make_bridge(kernel, directory, table, network)
    } else {
        make_parent(kernel.route()?, directory, network)
    }
}

fn taken(network: &Network) -> Error {
    let reason = format!("a link of this name exists that is not network {}'s", network.name);
    Error::new(Kind::Conflict, "make bridge", &network.link, reason)
        .with_hint("choose another name with -o com.docker.network.bridge.name=NAME, or remove the link")
}

/// For who holds the lock.
fn make_bridge(kernel: &Kernel, directory: &Path, table: &str, network: &Network) -> Result<Link> {
    let socket = kernel.route()?;
    let record = path(directory, network).join("network.json");
    match link::find(socket, &network.link)? {
        Some(link) if record.exists() && link.kind == "bridge" => return Ok(link), // somebody was faster
        Some(_) => return Err(taken(network)),
        None => {}
    }
    host::enable_forwarding(network.ipv6.is_some())?;
    files::write_json(&record, network)?;
    let made = add_bridge(socket, network).and_then(|link| {
        add_rules(kernel, table, directory, network)?;
        Ok(link)
    });
    if made.is_err() {
        let _ = delete_link(socket, &network.link);
        let _ = std::fs::remove_file(&record);
    }
    made
}

fn add_bridge(socket: &Socket, network: &Network) -> Result<Link> {
    let mtu = if network.mtu == 0 { host::default_mtu(socket) } else { network.mtu };
    let mut batch = Batch::default();
    link::add_bridge(&mut batch, &network.link, bridge_mac(&network.id), mtu);
    socket.talk(batch)?;
    let found = link::find(socket, &network.link)?;
    let link = found.ok_or_else(|| Error::new(Kind::State, "make bridge", &network.link, "it is gone again"))?;
    let mut batch = Batch::default();
    link::route_localnet(&mut batch, link.index, &network.link);
    if network.ipv6.is_some() {
        link::own_ipv6(&mut batch, link.index, &network.link, bridge_mac(&network.id));
    }
    for family in [&network.ipv4, &network.ipv6].into_iter().flatten() {
        if let Some(gateway) = family.gateway {
            link::add_address(&mut batch, link.index, gateway, family.prefix()?);
        }
    }
    socket.talk(batch)?;
    Ok(link)
}

/// Locally administered, and the same whenever the network's bridge is made again.
fn bridge_mac(id: &str) -> [u8; 6] {
    let byte = |index: usize| id.get(index..index + 2).and_then(|text| u8::from_str_radix(text, 16).ok()).unwrap_or(0);
    [0x02, 0x42, byte(0), byte(2), byte(4), byte(6)]
}

/// Puts a bridge into the table, which is made first where there is none.
fn add_rules(kernel: &Kernel, name: &str, directory: &Path, network: &Network) -> Result<()> {
    let socket = kernel.netfilter()?;
    if nft::table_exists(socket, INET, name)? {
        let mut transaction = table::transaction(name);
        for (set, element) in table::bridge_elements(&network.link, network.internal, network.masquerade) {
            transaction.add_elements(set, &[element]);
        }
        match transaction.commit(socket) {
            Err(error) if error.errno == Some(Errno::NOENT) => {}
            done => return done,
        }
    }
    write_table(socket, name, directory)
}

/// Replaces the table by one made from the files. A kernel without `numgen` has all of it but the virtual addresses, and is told of
/// only where there are some.
fn write_table(socket: &Socket, name: &str, directory: &Path) -> Result<()> {
    match table_from_files(name, directory, true).commit(socket) {
        Err(error) if error.errno == Some(Errno::NOENT) => {
            table_from_files(name, directory, false).commit(socket)?;
            if vip::lead_anywhere(directory) {
                return Err(error.with_hint("virtual addresses need numgen of nftables, which this kernel lacks"));
            }
            Ok(())
        }
        done => done,
    }
}

/// The table that is to be instead of the one there is, in one transaction: no packet meets half of it.
pub(super) fn table_from_files<'a>(name: &'a str, directory: &Path, vips: bool) -> Transaction<'a> {
    let mut transaction = table::transaction(name);
    transaction.add_table(false);
    transaction.delete_table();
    transaction.add_table(false);
    table::add(&mut transaction, vips);
    for home in files::directories(directory) {
        let Some(network) = files::read_json::<Network>(&home.join("network.json")) else { continue };
        if network.driver != Driver::Bridge {
            continue;
        }
        for (set, element) in table::bridge_elements(&network.link, network.internal, network.masquerade) {
            transaction.add_elements(set, &[element]);
        }
        for published in files::published(&home) {
            for (map, element) in port::elements(&published) {
                transaction.add_elements(map, &[element]);
            }
        }
        if vips {
            vip::add_all(&mut transaction, &network.link, &home);
        }
    }
    transaction
}

/// Makes the table again from what the files say: for `system check`, and when somebody has flushed it. Without a network there
/// is none to make.
pub fn rebuild(directory: &Path, name: &str) -> Result<()> {
    if directory.exists() { rebuild_by(&Kernel::default(), directory, name) } else { Ok(()) }
}

pub(super) fn rebuild_by(kernel: &Kernel, directory: &Path, name: &str) -> Result<()> {
    let _lock = lock_all(directory)?;
    let _members = vip::lock_all(directory)?;
    let socket = kernel.netfilter()?;
    let is_bridge = |home: &PathBuf| {
        files::read_json::<Network>(&home.join("network.json")).is_some_and(|network| network.driver == Driver::Bridge)
    };
    if files::directories(directory).any(|home| is_bridge(&home)) {
        write_table(socket, name, directory)
    } else {
        remove_table(socket, name)
    }
}

fn remove_table(socket: &Socket, name: &str) -> Result<()> {
    let mut transaction = table::transaction(name);
    transaction.delete_table();
    match transaction.commit(socket) {
        Err(error) if error.errno == Some(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Adds map elements of ports; a table or element that is not as it should be is put right first.
pub fn add_ports(kernel: &Kernel, directory: &Path, name: &str, published: &Published) -> Result<()> {
    let elements = port::elements(published);
    if elements.is_empty() {
        return Ok(());
    }
    let mut transaction = table::transaction(name);
    for (map, element) in elements {
        transaction.add_elements(map, &[element]);
    }
    match transaction.commit(kernel.netfilter()?) {
        // The table was flushed, or has what a killed monitor left: the socket we hold says the port is ours.
        Err(error) if matches!(error.errno, Some(Errno::NOENT | Errno::EXIST | Errno::BUSY)) => {
            rebuild_by(kernel, directory, name)?;
        }
        done => done?,
    }
    tracked::forget_unled(kernel, published);
    Ok(())
}

/// Takes map elements of ports away again; those that are gone already do not matter.
pub fn remove_ports(kernel: &Kernel, name: &str, published: &Published) {
    let elements = port::elements(published);
    let remove = |elements: &[(&'static str, nft::Element)]| {
        let mut transaction = table::transaction(name);
        for (map, element) in elements {
            transaction.delete_elements(map, &[nft::Element { key: element.key.clone(), data: None }]);
        }
        transaction.commit(kernel.netfilter()?)
    };
    if !elements.is_empty() && remove(&elements).is_err() {
        for element in elements {
            let _ = remove(&[element]);
        }
    }
    tracked::forget_led(kernel, published);
}

/// The parent of a macvlan or ipvlan network: there, or made: `eth0.50` is VLAN 50 of eth0, none is a link to nowhere.
fn make_parent(socket: &Socket, directory: &Path, network: &Network) -> Result<Link> {
    let find = || link::find(socket, &network.parent);
    let record = path(directory, network).join("network.json");
    if let Some(link) = find()? {
        files::write_json(&record, network)?;
        return Ok(link);
    }
    let missing = || Error::new(Kind::NotFound, "use link", &network.parent, "no such link");
    let mut batch = Batch::default();
    if network.link.is_empty() {
        return Err(missing());
    }
    match network.parent.rsplit_once('.') {
        Some((below, id)) => {
            let id = id.parse().ok().filter(|id| (1..4095).contains(id)).ok_or_else(missing)?;
            let below = link::find(socket, below)?.ok_or_else(missing)?;
            link::add_vlan(&mut batch, &network.parent, below.index, id);
        }
        None => link::add_dummy(&mut batch, &network.parent),
    }
    socket.talk(batch)?;
    files::write_json(&record, network)?;
    find()?.ok_or_else(missing)
}

/// Makes a network's links and rules now (`network create`).
pub fn make(directory: &Path, table: &str, network: &Network) -> Result<()> {
    network.check()?;
    let _use = lock_use(directory, network)?;
    ensure(&Kernel::default(), directory, table, network).map(drop)
}

fn delete_link(socket: &Socket, name: &str) -> Result<()> {
    let Some(found) = link::find(socket, name)? else { return Ok(()) };
    let mut batch = Batch::default();
    link::delete(&mut batch, found.index, name);
    match socket.talk(batch) {
        Err(error) if error.errno == Some(Errno::NODEV) => Ok(()),
        other => other.map(drop),
    }
}

/// Removes a network's links and rules, unless somebody uses it: false then. `forget`: its directory too (`network rm`).
pub fn remove(directory: &Path, table: &str, id: &str, forget: bool) -> Result<bool> {
    check_id(id)?;
    let home = directory.join(id);
    if !home.exists() {
        return Ok(true);
    }
    let file = home.join("use");
    let lock = open_lock(&file)?;
    retire(&Kernel::default(), directory, table, &home, &lock, forget)
}

/// `remove`, by who has been using the network until now.
pub fn retire(
    kernel: &Kernel,
    directory: &Path,
    table: &str,
    home: &Path,
    lock: &OwnedFd,
    forget: bool,
) -> Result<bool> {
    // The lock is converted by letting go first (flock(2)): of several who leave at once the last one gets it.
    if rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    if files::published(home).next().is_some() {
        let _ = rustix::fs::flock(lock, FlockOperation::Unlock);
        return Ok(false);
    }
    let all = lock_all(directory)?;
    let removed = remove_links(kernel, table, home);
    drop(all);
    if forget {
        crate::files::remove_tree(home, false)?;
    }
    let _ = rustix::fs::flock(lock, FlockOperation::Unlock);
    removed.map(|()| true)
}

fn remove_links(kernel: &Kernel, name: &str, home: &Path) -> Result<()> {
    let record = home.join("network.json");
    let Some(network) = files::read_json::<Network>(&record) else { return Ok(()) };
    let _ = std::fs::remove_file(&record);
    if network.driver != Driver::Bridge {
        return if network.link.is_empty() { Ok(()) } else { delete_link(kernel.route()?, &network.link) };
    }
    let rules = remove_rules(kernel, name, &network);
    delete_link(kernel.route()?, &network.link).and(rules)
}

fn remove_rules(kernel: &Kernel, name: &str, network: &Network) -> Result<()> {
    let socket = kernel.netfilter()?;
    let ours = table::bridge_elements(&network.link, false, false);
    let left = nft::keys(socket, INET, name, table::BRIDGES)?;
    if left.iter().all(|key| ours.iter().any(|(_, element)| element.key == *key)) {
        return remove_table(socket, name);
    }
    let mut transaction = table::transaction(name);
    for (set, element) in table::bridge_elements(&network.link, network.internal, network.masquerade) {
        transaction.delete_elements(set, &[element]);
    }
    match transaction.commit(socket) {
        Err(error) if error.errno == Some(Errno::NOENT) => Ok(()),
        done => done,
    }
}
