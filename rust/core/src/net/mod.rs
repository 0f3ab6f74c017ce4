//! A container's way to the network: link pair, addresses, routes, published ports; and the bridges and packet rules below.
//!
//! docs/networks.md has files and formats. Everything is made by netlink from here, nothing by a helper program; what is
//! anybody else's is left alone.

mod endpoint;
mod files;
mod forward;
mod host;
mod link;
pub mod names;
mod netlink;
mod network;
mod nft;
mod port;
mod request;
pub mod resolver;
mod tracked;
mod vip;

#[cfg(test)]
mod tests;

pub use endpoint::Endpoints;
pub use files::release;
pub use network::{make, rebuild, remove};
pub use port::bind_here;
pub use request::{Dns, Endpoint, Family, Network, PortRequest, Protocol, Request};
