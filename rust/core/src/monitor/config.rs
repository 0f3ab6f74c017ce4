//! `monitor.json`: what the engine asks of the monitor (docs/design.md, "On disk").

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The protocol and file format this monitor speaks.
pub const VERSION: u32 = 1;

/// The request of one container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools)] // the file's own form
pub struct Config {
    /// Format of this file.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Its directory in the store.
    pub container_dir: PathBuf,
    /// Its run-time directory.
    pub run_dir: PathBuf,
    /// Where the root file system comes from; None: the specification's root.path.
    pub overlay: Option<Overlay>,
    /// The user, by name or number.
    pub user: String,
    /// Further groups, by name or number.
    #[serde(default)]
    pub group_add: Vec<String>,
    /// Has a terminal.
    pub terminal: bool,
    /// Standard input stays open without a client.
    pub open_stdin: bool,
    /// Standard input ends with the first client's.
    pub stdin_once: bool,
    /// Where output goes.
    pub log: Log,
    /// `--rm`.
    pub remove: Option<Remove>,
    /// Restart policy.
    pub restart: Restart,
    /// The signal `stop` sends.
    pub stop_signal: i32,
    /// How long after the stop signal SIGKILL follows, seconds; negative: never. `stop` itself waits; this is for a monitor
    /// that is told to end.
    pub stop_timeout_s: i64,
    /// Process 1 is a reaper.
    pub init: bool,
    /// `default`, `unconfined` or `spec`.
    pub seccomp: Seccomp,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: CgroupDriver,
    /// Its health check.
    #[serde(default)]
    pub health: Option<super::health::Check>,
    /// The socket of the keeper of an ordinary user's namespaces, in which this monitor was born (docs/rootless.md).
    #[serde(default)]
    pub keeper: Option<PathBuf>,
    /// Networks (docs/networks.md); None: no endpoint to make.
    #[serde(default)]
    pub network: Option<crate::net::Request>,
    /// The journal.
    pub events: PathBuf,
    /// What its entries say of the container.
    #[serde(default)]
    pub event_attributes: BTreeMap<String, String>,
}

/// Layers of the root file system.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Read-only, topmost first.
    pub lower: Vec<PathBuf>,
    /// Writable.
    pub upper: PathBuf,
    /// Overlay's own.
    pub work: PathBuf,
    /// Never synced.
    #[serde(default)]
    pub volatile: bool,
}

/// Log driver and options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `json-file`, `local`, `syslog` or `none`.
    pub driver: String,
    /// The file.
    pub path: PathBuf,
    /// `--log-opt`.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// What each entry says of the container: the labels and variables asked for.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// What goes when the container has ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// The file that holds the container's name.
    pub name: PathBuf,
    /// Anonymous volumes.
    #[serde(default)]
    pub volumes: Vec<PathBuf>,
}

/// Restart policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Which.
    pub policy: RestartPolicy,
    /// For on-failure; 0: no limit.
    #[serde(default)]
    pub maximum_retry_count: u32,
    /// Restarts before this monitor's time: an earlier one was killed.
    #[serde(default)]
    pub count: u32,
    /// A pause of this length instead of the growing one.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// A life of this length is a success: restarts are counted anew.
    #[serde(default)]
    pub window_ms: Option<u64>,
}

/// When a container that ended starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[serde(alias = "")]
    No,
    /// After an exit code other than 0.
    OnFailure,
    /// Always, unless a user stopped it.
    Always,
    /// Always, unless a user stopped it, also across boots.
    UnlessStopped,
}

/// Choice of filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seccomp {
    /// Docker's.
    Default,
    /// None.
    Unconfined,
    /// spec.linux.seccomp.
    Spec,
}

#[cfg(test)]
impl Config {
    /// A request that says nothing but how to log.
    pub fn for_log(driver: &str, path: &str, options: BTreeMap<String, String>) -> Self {
        Self {
            version: VERSION,
            id: String::new(),
            container_dir: PathBuf::new(),
            run_dir: PathBuf::new(),
            overlay: None,
            user: String::new(),
            group_add: Vec::new(),
            terminal: false,
            open_stdin: false,
            stdin_once: false,
            log: Log { driver: driver.to_owned(), path: path.into(), options, attributes: BTreeMap::new() },
            remove: None,
            restart: Restart {
                policy: RestartPolicy::No,
                maximum_retry_count: 0,
                count: 0,
                delay_ms: None,
                window_ms: None,
            },
            stop_signal: 15,
            stop_timeout_s: 10,
            init: false,
            seccomp: Seccomp::Default,
            cgroup_driver: CgroupDriver::Cgroupfs,
            health: None,
            keeper: None,
            network: None,
            events: PathBuf::new(),
            event_attributes: BTreeMap::new(),
        }
    }
}

/// Choice of cgroup driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupDriver {
    /// Our own directories.
    Cgroupfs,
    /// systemd's scopes.
    Systemd,
}
