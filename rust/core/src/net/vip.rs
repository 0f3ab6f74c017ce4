//! Virtual addresses: one address that leads to each of several containers in turn (docs/networks.md, ADR 0012).
//!
//! What the endpoints' files say is what the table has: both change under one lock, and all slots of an address are written anew, so
//! that a change mends whatever was left by one that was killed in the middle.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::files::{self, Published};
use super::netlink::{Batch, Kernel};
use super::nft::{Element, Transaction, table};
use super::request::Network;
use super::{link, network, tracked};
use crate::Result;

/// A virtual address, and the addresses it leads to.
type Members = BTreeMap<IpAddr, Vec<IpAddr>>;

fn lock(home: &Path) -> Result<OwnedFd> {
    let path = home.join("vips");
    let lock = network::open_lock(&path)?;
    network::flock(&lock, FlockOperation::LockExclusive, &path)?;
    Ok(lock)
}

/// Keeps the members of all networks as they are, for who writes the table from the files.
pub fn lock_all(directory: &Path) -> Result<Vec<OwnedFd>> {
    let mut homes: Vec<_> = files::directories(directory).filter(|home| home.join("vips").exists()).collect();
    homes.sort();
    homes.iter().map(|home| lock(home)).collect()
}

/// What one endpoint shares, and which of its own addresses that leads to.
fn shares(published: &Published) -> impl Iterator<Item = (IpAddr, IpAddr)> {
    let vip = published.vip.as_ref();
    let pairs = [(vip.and_then(|vip| vip.ipv4), published.ipv4), (vip.and_then(|vip| vip.ipv6), published.ipv6)];
    pairs.into_iter().filter_map(|(vip, own)| Some((vip?, own?)))
}

fn members(home: &Path) -> Members {
    let mut members = Members::new();
    for published in files::published(home).filter(|published| published.serving) {
        shares(&published).for_each(|(vip, own)| members.entry(vip).or_default().push(own));
    }
    for addresses in members.values_mut() {
        addresses.sort();
    }
    members
}

/// Adds the virtual addresses of a network to a table that has none yet.
pub fn add_all(transaction: &mut Transaction<'_>, bridge: &str, home: &Path) {
    for (vip, members) in members(home) {
        add(transaction, bridge, vip, &members);
    }
}

/// Whether any network has a virtual address that leads to somebody.
pub fn lead_anywhere(directory: &Path) -> bool {
    files::directories(directory).any(|home| !members(&home).is_empty())
}

fn add(transaction: &mut Transaction<'_>, bridge: &str, vip: IpAddr, members: &[IpAddr]) {
    for (set, elements) in table::vip_elements(bridge, vip, members) {
        transaction.add_elements(set, &elements);
    }
}

fn remove(transaction: &mut Transaction<'_>, bridge: &str, vip: IpAddr, members: &[IpAddr]) {
    for (set, elements) in table::vip_elements(bridge, vip, members) {
        let keys: Vec<Element> = elements.into_iter().map(|element| Element { data: None, ..element }).collect();
        transaction.delete_elements(set, &keys);
    }
}

/// Puts an endpoint's file in place; its virtual addresses lead there from now on, or no longer, if that is what it says.
pub fn publish(kernel: &Kernel, directory: &Path, name: &str, network: &Network, published: &Published) -> Result<()> {
    let home = network::path(directory, network);
    if published.vip.is_none() {
        return published.write(&home);
    }
    let turn = lock(&home)?;
    let before = members(&home);
    published.write(&home)?;
    let after = members(&home);
    let written = write(kernel, name, &network.link, &before, &after, published);
    let answered = answer(kernel, &network.link, published, &after);
    drop(turn);
    match written {
        // The table was flushed, or is not what a monitor that was killed said it to be.
        Err(error) if matches!(error.errno, Some(Errno::NOENT | Errno::EXIST | Errno::BUSY)) => {
            network::rebuild_by(kernel, directory, name)?;
        }
        done => done?,
    }
    for (vip, own) in shares(published).filter(|_| !published.serving) {
        tracked::forget_member(kernel, vip, own, false);
    }
    answered
}

/// Takes an endpoint's file away; what it was a member of leads to the others.
pub fn withdraw(kernel: &Kernel, home: &Path, name: &str, published: &Published) {
    let file = files::path(home, &published.container);
    let record = files::read_json::<Network>(&home.join("network.json"));
    let (Some(_), Some(network)) = (&published.vip, record) else {
        let _ = std::fs::remove_file(file);
        return;
    };
    let turn = lock(home);
    let before = members(home);
    let mut after = before.clone();
    for (vip, own) in shares(published) {
        after.entry(vip).and_modify(|members| members.retain(|member| *member != own));
    }
    let _ = answer(kernel, &network.link, published, &after); // gone already, with its bridge perhaps
    let written = write(kernel, name, &network.link, &before, &after, published);
    let _ = std::fs::remove_file(file); // last: who cleans up after one that was killed here does all of it again
    drop(turn);
    for (vip, own) in shares(published) {
        tracked::forget_member(kernel, vip, own, true);
    }
    if written.is_err()
        && let Some(directory) = home.parent()
    {
        let _ = network::rebuild_by(kernel, directory, name); // or `system check` does
    }
}

/// Takes what there was of an endpoint's virtual addresses out of the table and puts in what there is, at once.
fn write(
    kernel: &Kernel,
    name: &str,
    bridge: &str,
    before: &Members,
    after: &Members,
    published: &Published,
) -> Result<()> {
    let mut transaction = table::transaction(name);
    let of = |members: &'_ Members, vip| members.get(&vip).cloned().unwrap_or_default();
    let mut changes = 0;
    for (vip, _) in shares(published) {
        let (before, after) = (of(before, vip), of(after, vip));
        changes += before.len() + after.len();
        remove(&mut transaction, bridge, vip, &before);
        add(&mut transaction, bridge, vip, &after);
    }
    if changes == 0 {
        return Ok(()); // it does not serve, and nobody else does
    }
    transaction.commit(kernel.netfilter()?)
}

/// The host answers for an address while it leads anywhere, and nobody does where it leads nowhere: the host's own ports are not
/// what was asked for.
fn answer(kernel: &Kernel, bridge: &str, published: &Published, members: &Members) -> Result<()> {
    let socket = kernel.route()?;
    let Some(bridge) = link::find(socket, bridge)? else { return Ok(()) }; // somebody took that away
    for (vip, _) in shares(published) {
        let mut batch = Batch::default();
        if members.get(&vip).is_some_and(|members| !members.is_empty()) {
            link::add_address(&mut batch, bridge.index, vip, host_prefix(vip));
        } else {
            link::remove_address(&mut batch, bridge.index, vip, host_prefix(vip));
        }
        match socket.talk(batch) {
            Err(error) if matches!(error.errno, Some(Errno::EXIST | Errno::ADDRNOTAVAIL)) => {}
            done => drop(done?),
        }
    }
    Ok(())
}

const fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
