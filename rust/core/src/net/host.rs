//! What of the host a network depends on: forwarding, and how large packets may be.

use super::link;
use super::netlink::Socket;
use crate::{Error, Result};

const FORWARD_V4: &str = "/proc/sys/net/ipv4/ip_forward";
const FORWARD_V6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
const DEFAULT_MTU: u32 = 1500;

/// Switches forwarding on where it is off. It stays on: others may have come to rely on it.
pub fn enable_forwarding(ipv6: bool) -> Result<()> {
    for path in [Some(FORWARD_V4), ipv6.then_some(FORWARD_V6)].into_iter().flatten() {
        let on = std::fs::read(path).is_ok_and(|content| content.first().is_some_and(|byte| *byte != b'0'));
        if !on {
            std::fs::write(path, "1").map_err(|error| {
                Error::io("switch on forwarding in", path, &error)
                    .with_hint("set net.ipv4.ip_forward = 1 on the host, or use --network none or host")
            })?;
        }
    }
    Ok(())
}

/// Whether links with this MTU have anything to do with IPv6 here (RFC 8200, section 5; net/ipv6/addrconf.c).
pub fn speaks_ipv6(mtu: u32) -> bool {
    const LEAST_MTU: u32 = 1280;
    mtu >= LEAST_MTU && std::path::Path::new("/proc/sys/net/ipv6").exists()
}

/// The MTU of the host's default route: that of the route, else its link's; 1500 without one.
pub fn default_mtu(socket: &Socket) -> u32 {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let Some((name, mtu)) = default_route(&routes) else { return DEFAULT_MTU };
    if mtu != 0 {
        return mtu;
    }
    link::find(socket, name).ok().flatten().map_or(DEFAULT_MTU, |link| link.mtu)
}

/// Link and MTU of the best default route in the form of /proc/net/route.
fn default_route(routes: &str) -> Option<(&str, u32)> {
    let parse = |line: &'_ str| -> Option<(u32, String, u32)> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [name, "00000000", _, _, _, _, metric, "00000000", mtu, ..] = fields[..] else { return None };
        Some((metric.parse().ok()?, name.to_owned(), mtu.parse().ok()?))
    };
    let (_, name, mtu) = routes.lines().skip(1).filter_map(parse).min()?;
    routes.find(&name).map(|start| (&routes[start..start + name.len()], mtu))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HEADER: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn test_default_route_lowest_metric_wins() {
        let routes = format!(
            "{HEADER}wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t1400\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(default_route(&routes).unwrap(), ("eth0", 1400));
    }

    #[test]
    fn test_default_route_none_or_garbage_is_none() {
        for text in ["", HEADER, "x\ny z\n", "Iface\neth0\t00000000\n"] {
            assert_eq!(default_route(text), None);
        }
    }
}
