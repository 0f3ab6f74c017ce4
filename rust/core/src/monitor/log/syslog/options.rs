//! `--log-opt` of the syslog driver.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::monitor::config::Config;
use crate::monitor::log::tag;
use crate::{Error, Result};

/// The port of RFC 3164 and RFC 5426.
const PORT: u16 = 514;
const HIGHEST_FACILITY: u8 = 23;
/// In the order of their numbers (RFC 5424, table 1), where they have a name.
const FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];
/// The first of local0 to local7.
const LOCAL0: u8 = 16;
const DAEMON: u8 = 3;

/// Where the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// On a network.
    Network {
        /// Numeric: the monitor asks no name server.
        address: SocketAddr,
        /// By datagrams, not a stream.
        udp: bool,
    },
    /// On this host: the first of the paths at which one answers, by these kinds of socket (datagrams or not) in turn.
    Unix {
        /// Sockets.
        paths: Vec<PathBuf>,
        /// Kinds.
        kinds: &'static [bool],
    },
}

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As syslog(3) writes to its socket: without a host name.
    Unix,
    /// BSD.
    Rfc3164,
    /// IETF.
    Rfc5424,
    /// IETF, with microseconds.
    Rfc5424Micro,
}

/// What of the options is needed for every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the daemon is.
    pub address: Address,
    /// 0 to 23.
    pub facility: u8,
    /// The form of a message.
    pub format: Format,
    /// Who speaks.
    pub tag: String,
}

impl Options {
    /// Reads `syslog-address`, `syslog-facility`, `syslog-format` and `tag`; other options are refused by name.
    pub fn new(config: &Config, given: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Self {
            address: Address::Unix {
                paths: ["/dev/log", "/var/run/syslog", "/var/run/log"].map(PathBuf::from).to_vec(),
                kinds: &[true, false],
            },
            facility: DAEMON,
            format: Format::Unix,
            tag: tag::short(&config.id).to_owned(),
        };
        for (key, text) in given {
            let bad = |reason: &str| Error::invalid("use log option", format!("{key}={text}"), reason);
            match key.as_str() {
                "syslog-address" => {
                    options.address = address(text).ok_or_else(|| {
                        bad("not udp://ADDRESS[:PORT], tcp://ADDRESS[:PORT], unix://PATH or unixgram://PATH")
                            .with_hint("the address of a network is numeric: the monitor asks no name server")
                    })?;
                }
                "syslog-facility" => options.facility = facility(text).ok_or_else(|| bad("no facility of syslog"))?,
                "syslog-format" => options.format = format(text).ok_or_else(|| bad("invalid syslog format"))?,
                "tag" => {
                    options.tag = tag::expand(text, config).map_err(|part| bad(&format!("{part} is not supported")))?;
                }
                _ => return Err(bad("not supported by the syslog driver")),
            }
        }
        Ok(options)
    }
}

fn address(text: &str) -> Option<Address> {
    if text.is_empty() {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let unix = |kinds| rest.starts_with('/').then(|| Address::Unix { paths: vec![PathBuf::from(rest)], kinds });
    match scheme {
        "udp" | "tcp" => Some(Address::Network { address: network(rest)?, udp: scheme == "udp" }),
        "unix" => unix(&[false, true]),
        "unixgram" => unix(&[true]),
        _ => None,
    }
}

fn network(text: &str) -> Option<SocketAddr> {
    let with_port = |host: &str, port| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if host == "localhost" { Some(IpAddr::from(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() };
        host.map(|host| SocketAddr::new(host, port))
    };
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => with_port(host, port.parse().ok()?),
            _ => with_port(text, PORT),
        },
    }
}

fn facility(text: &str) -> Option<u8> {
    let named = (0..).zip(FACILITIES).find(|(_, name)| *name == text).map(|(number, _)| number);
    let local = || {
        let digit: u8 = text.strip_prefix("local")?.parse().ok()?;
        (digit < 8).then_some(LOCAL0 + digit)
    };
    named.or_else(local).or_else(|| text.parse().ok().filter(|number| *number <= HIGHEST_FACILITY))
}

fn format(text: &str) -> Option<Format> {
    match text {
        "" => Some(Format::Unix),
        "rfc3164" => Some(Format::Rfc3164),
        "rfc5424" => Some(Format::Rfc5424),
        "rfc5424micro" => Some(Format::Rfc5424Micro),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<Options> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut config = Config::for_log("syslog", "", pairs);
        config.id = "0123456789abcdef".to_owned();
        config.event_attributes = [("name".to_owned(), "web".to_owned())].into();
        Options::new(&config, &config.log.options)
    }

    #[test]
    fn test_new_addresses_are_parsed() {
        let parsed = |text| options(&[("syslog-address", text)]).unwrap().address;
        let network = |address: &str, udp| Address::Network { address: address.parse().unwrap(), udp };
        assert_eq!(parsed("udp://192.0.2.1"), network("192.0.2.1:514", true));
        assert_eq!(parsed("tcp://localhost:1514"), network("127.0.0.1:1514", false));
        assert_eq!(parsed("tcp://[2001:db8::1]:99"), network("[2001:db8::1]:99", false));
        assert_eq!(parsed("udp://[::1]"), network("[::1]:514", true));
        assert!(matches!(parsed("unixgram:///dev/log"), Address::Unix { kinds: [true], .. }));
    }

    #[test]
    fn test_new_bad_options_are_refused_by_name() {
        let bad = [
            ("syslog-address", "192.0.2.1:514"),
            ("syslog-address", "tcp+tls://192.0.2.1"),
            ("syslog-address", "udp://loghost"),
            ("syslog-address", "unix://relative"),
            ("syslog-facility", "24"),
            ("syslog-facility", "local8"),
            ("syslog-format", "rfc1"),
            ("syslog-tls-key", "/key"),
            ("tag", "{{.Env}}"),
            ("tag", "{{.ID"),
        ];
        for (key, value) in bad {
            assert!(options(&[(key, value)]).unwrap_err().to_string().contains(key), "{key}={value}");
        }
    }

    #[test]
    fn test_new_facility_and_tag_are_read() {
        assert_eq!(options(&[]).unwrap().tag, "0123456789ab");
        let parsed = options(&[("tag", "a/{{.Name}}/{{ .FullID }}"), ("syslog-facility", "local7")]).unwrap();
        assert_eq!((parsed.tag.as_str(), parsed.facility), ("a/web/0123456789abcdef", 23));
        assert_eq!(options(&[("syslog-facility", "10")]).unwrap().facility, 10);
    }
}
