//! Mounts: options to attributes, destinations checked, cgroup mounts spelled out.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxIdMapping, Mount};
use pyctr_init::sys::attr;

use super::{StringList, c_string, clean_path};
use crate::{Error, Result};

const MS_REC: u64 = 0x4000;
const MS_PRIVATE: u64 = 0x4_0000;
const MS_SLAVE: u64 = 0x8_0000;
const MS_SHARED: u64 = 0x10_0000;
const MS_UNBINDABLE: u64 = 0x2_0000;

/// What a list of mount options asks for (mount(8), runtime-spec "Linux mount options").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Bind mount.
    pub bind: bool,
    /// With what is mounted below.
    pub recursive: bool,
    /// Attributes to set on the mount.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// Attributes to set on it and everything below.
    pub recursive_set: u64,
    /// Attributes to clear on it and everything below.
    pub recursive_clear: u64,
    /// Propagation type, MS_* with MS_REC, 0 if none was asked for.
    pub propagation: u64,
    /// The file system's own options.
    pub data: Vec<String>,
    /// A tmpfs begins with a copy of the directory it covers.
    pub copy_up: bool,
    /// Id-mapped: `idmap` or, with what is below, `ridmap`.
    pub idmap: Option<bool>,
}

#[derive(Clone, Copy)]
enum Effect {
    Set(u64),
    Clear(u64),
    /// An access-time mode: the three exclude each other.
    Atime(u64),
}

fn attribute(option: &str) -> Option<Effect> {
    use Effect::{Atime, Clear, Set};
    Some(match option {
        "ro" => Set(attr::RDONLY),
        "rw" => Clear(attr::RDONLY),
        "nosuid" => Set(attr::NOSUID),
        "suid" => Clear(attr::NOSUID),
        "nodev" => Set(attr::NODEV),
        "dev" => Clear(attr::NODEV),
        "noexec" => Set(attr::NOEXEC),
        "exec" => Clear(attr::NOEXEC),
        "nodiratime" => Set(attr::NODIRATIME),
        "diratime" => Clear(attr::NODIRATIME),
        "nosymfollow" => Set(attr::NOSYMFOLLOW),
        "symfollow" => Clear(attr::NOSYMFOLLOW),
        "noatime" => Atime(attr::NOATIME),
        "strictatime" => Atime(attr::STRICTATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => Atime(0),
        _ => return None,
    })
}

fn propagation(option: &str) -> Option<u64> {
    Some(match option {
        "private" => MS_PRIVATE,
        "rprivate" => MS_PRIVATE | MS_REC,
        "slave" => MS_SLAVE,
        "rslave" => MS_SLAVE | MS_REC,
        "shared" => MS_SHARED,
        "rshared" => MS_SHARED | MS_REC,
        "unbindable" => MS_UNBINDABLE,
        "runbindable" => MS_UNBINDABLE | MS_REC,
        _ => return None,
    })
}

/// The kernel's flags for linux.rootfsPropagation.
pub fn rootfs_propagation(word: &str) -> Result<u64> {
    propagation(word)
        .map(|flags| flags | MS_REC)
        .ok_or_else(|| Error::invalid("read linux.rootfsPropagation", word, "unknown propagation type"))
}

impl Options {
    /// Parses a list of options; what is no general option belongs to the file system.
    pub fn parse<S: AsRef<str>>(options: impl IntoIterator<Item = S>) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option.as_ref());
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        if let Some(effect) = attribute(option) {
            apply(effect, &mut self.set, &mut self.clear);
        } else if let Some(flags) = propagation(option) {
            self.propagation = flags;
        } else if let Some(effect) = option.strip_prefix('r').and_then(attribute) {
            apply(effect, &mut self.recursive_set, &mut self.recursive_clear);
        } else {
            match option {
                "bind" => self.bind = true,
                "rbind" => (self.bind, self.recursive) = (true, true),
                "tmpcopyup" => self.copy_up = true,
                "idmap" => self.idmap = Some(false),
                "ridmap" => self.idmap = Some(true),
                // Without meaning for the kernel's mount interface; mount(8) knows them.
                "defaults" | "async" | "remount" | "" => {}
                _ => self.data.push(option.to_owned()),
            }
        }
    }
}

fn apply(effect: Effect, set: &mut u64, clear: &mut u64) {
    match effect {
        Effect::Set(bits) => (*set, *clear) = (*set | bits, *clear & !bits),
        Effect::Clear(bits) => (*set, *clear) = (*set & !bits, *clear | bits),
        Effect::Atime(mode) => (*set, *clear) = (*set & !attr::ATIME | mode, *clear | attr::ATIME),
    }
}

/// One mount to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPlan {
    /// A new instance, made by the child in its namespaces.
    New {
        /// File system type.
        fstype: CString,
        /// Shown as the source.
        source: CString,
        /// Where, inside the root.
        target: CString,
        /// Its own options.
        options: StringList,
        /// MOUNT_ATTR_*.
        attributes: u64,
        /// MS_* propagation, or 0.
        propagation: u64,
        /// The target may hold no symbolic link.
        strict: bool,
    },
    /// Something of the host, opened by the parent.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Where, inside the root.
        target: CString,
        /// What the options said.
        options: Options,
        /// The target may lie on procfs.
        on_proc: bool,
        /// User and group mappings of an id-mapped mount.
        mappings: Option<(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)>,
    },
    /// A tmpfs that the parent fills from the root file system (tmpcopyup).
    CopyUp {
        /// Where, inside the root, and what is copied.
        target: CString,
        /// tmpfs options.
        data: Vec<String>,
        /// MOUNT_ATTR_*.
        attributes: u64,
        /// MS_* propagation, or 0.
        propagation: u64,
    },
}

/// What the cgroup mount of a container shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CgroupView {
    /// The host is pure v2: one cgroup2 mount is all.
    pub unified: bool,
    /// The container has its own cgroup namespace.
    pub namespaced: bool,
    /// v1 and hybrid: name below the mount point, the container's directory on the host.
    pub hierarchies: Vec<(String, PathBuf)>,
}

/// Files of procfs over which lxcfs and others may bind (runc's list).
const ON_PROC: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Plans the mounts of a specification, in its order.
pub fn plan(mounts: &[Mount], bundle: &Path, cgroups: &CgroupView) -> Result<Vec<MountPlan>> {
    let mut plans = Vec::with_capacity(mounts.len() + cgroups.hierarchies.len());
    for mount in mounts {
        plan_one(mount, bundle, cgroups, &mut plans)?;
    }
    Ok(plans)
}

fn plan_one(mount: &Mount, bundle: &Path, cgroups: &CgroupView, plans: &mut Vec<MountPlan>) -> Result<()> {
    let target = clean_path(mount.destination())?;
    let destination = target.to_string_lossy().into_owned();
    let options = Options::parse(mount.options().iter().flatten());
    let fstype = mount.typ().as_deref().unwrap_or("");
    if destination == "/" {
        return Err(Error::invalid("mount on", "/", "the root file system cannot be mounted over"));
    }
    let on_proc = ON_PROC.contains(&destination.as_str());
    let is_bind = options.bind || fstype == "bind" || fstype == "none";
    if destination.starts_with("/proc/") && !(is_bind && on_proc) {
        return Err(Error::invalid("mount on", &destination, "nothing may be mounted inside /proc"));
    }
    if is_bind {
        let source =
            mount.source().as_ref().ok_or_else(|| Error::invalid("bind mount on", &destination, "no source"))?;
        let mappings = match (mount.uid_mappings(), mount.gid_mappings()) {
            (Some(uids), Some(gids)) => Some((uids.clone(), gids.clone())),
            (None, None) => None,
            _ => {
                return Err(Error::invalid("bind mount on", &destination, "uidMappings and gidMappings go together"));
            }
        };
        plans.push(MountPlan::Bind { source: bundle.join(source), target, options, on_proc, mappings });
        return Ok(());
    }
    if destination == "/proc" && fstype != "proc" {
        return Err(Error::invalid("mount on", "/proc", format!("type {fstype} is not proc")));
    }
    if fstype == "cgroup" && !cgroups.unified {
        return plan_cgroup_v1(target, &options, cgroups, plans);
    }
    let fstype = if fstype == "cgroup" { "cgroup2" } else { fstype };
    if fstype.is_empty() {
        return Err(Error::invalid("mount on", &destination, "no type"));
    }
    if fstype == "tmpfs" && options.copy_up {
        plans.push(MountPlan::CopyUp {
            target,
            attributes: options.set | options.recursive_set,
            propagation: options.propagation,
            data: options.data,
        });
        return Ok(());
    }
    let source = mount.source().as_ref().map_or(fstype.as_bytes(), |source| source.as_os_str().as_encoded_bytes());
    plans.push(MountPlan::New {
        fstype: c_string("mount type", fstype.as_bytes())?,
        source: c_string("mount source", source)?,
        options: StringList::new("mount options", &options.data)?,
        attributes: options.set | options.recursive_set,
        propagation: options.propagation,
        strict: matches!(fstype, "proc" | "sysfs") || destination == "/dev",
        target,
    });
    Ok(())
}

/// On v1 and hybrid hosts: a tmpfs with a directory a hierarchy, each showing the container's own cgroup (or, in a cgroup
/// namespace, mounted afresh: then its root is that cgroup), and at last the tmpfs itself as asked, read-only as a rule.
fn plan_cgroup_v1(target: CString, options: &Options, view: &CgroupView, plans: &mut Vec<MountPlan>) -> Result<()> {
    let base = PathBuf::from(target.to_string_lossy().into_owned());
    plans.push(MountPlan::New {
        fstype: c"tmpfs".to_owned(),
        source: c"tmpfs".to_owned(),
        target,
        options: StringList::new("cgroup options", ["mode=755"])?,
        attributes: options.set & !attr::RDONLY,
        propagation: options.propagation,
        strict: false,
    });
    for (name, directory) in &view.hierarchies {
        let target = clean_path(&base.join(name))?;
        let mount_options =
            Options { bind: true, set: options.set, propagation: options.propagation, ..Options::default() };
        if view.namespaced && name != "unified" {
            let (fstype, data) = match name.strip_prefix("name=") {
                Some(named) => (c"cgroup", vec!["none".to_owned(), format!("name={named}")]),
                None => (c"cgroup", name.split(',').map(str::to_owned).collect()),
            };
            plans.push(MountPlan::New {
                fstype: fstype.to_owned(),
                source: c"cgroup".to_owned(),
                target,
                options: StringList::new("cgroup options", &data)?,
                attributes: options.set,
                propagation: options.propagation,
                strict: false,
            });
        } else {
            plans.push(MountPlan::Bind {
                source: directory.clone(),
                target,
                options: mount_options,
                on_proc: false,
                mappings: None,
            });
        }
    }
    Ok(())
}

/// Where the container's cgroup file systems are mounted read-only once everything below is in place.
pub fn readonly_cgroup_targets(mounts: &[Mount], cgroups: &CgroupView) -> Result<Vec<CString>> {
    if cgroups.unified {
        return Ok(Vec::new()); // the one mount got its attributes when it was made
    }
    mounts
        .iter()
        .filter(|mount| mount.typ().as_deref() == Some("cgroup"))
        .filter(|mount| Options::parse(mount.options().iter().flatten()).set & attr::RDONLY != 0)
        .map(|mount| clean_path(mount.destination()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::MountBuilder;

    use super::*;

    fn mount(destination: &str, typ: &str, source: &str, options: &[&str]) -> Mount {
        MountBuilder::default()
            .destination(destination)
            .typ(typ)
            .source(source)
            .options(options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
            .build()
            .unwrap()
    }

    fn plan_mounts(mounts: &[Mount]) -> Result<Vec<MountPlan>> {
        plan(mounts, Path::new("/bundle"), &CgroupView { unified: true, ..CgroupView::default() })
    }

    #[test]
    fn later_option_wins() {
        let options = Options::parse(["ro", "rw", "noatime", "relatime", "rro"]);
        assert_eq!(options.set & attr::RDONLY, 0);
        assert_eq!(options.set & attr::ATIME, 0);
        assert_eq!(options.recursive_set, attr::RDONLY);
    }

    #[test]
    fn relatime_is_not_recursive_elatime() {
        assert_eq!(Options::parse(["relatime", "rbind", "rw", "rprivate"]).data, Vec::<String>::new());
    }

    #[test]
    fn file_system_options_are_passed_on() {
        assert_eq!(Options::parse(["nosuid", "size=64k", "mode=755"]).data, ["size=64k", "mode=755"]);
    }

    #[test]
    fn mount_inside_proc_is_refused_but_for_the_allow_list() {
        assert!(plan_mounts(&[mount("/proc/sys", "tmpfs", "tmpfs", &[])]).is_err());
        assert!(plan_mounts(&[mount("/proc/../proc/./kcore", "bind", "/x", &["bind"])]).is_err());
        assert!(plan_mounts(&[mount("/proc/uptime", "bind", "/x", &["bind"])]).is_ok());
        assert!(plan_mounts(&[mount("/proc", "tmpfs", "tmpfs", &[])]).is_err());
    }

    #[test]
    fn mount_over_the_root_is_refused() {
        assert!(plan_mounts(&[mount("/..", "tmpfs", "tmpfs", &[])]).is_err());
    }

    #[test]
    fn relative_bind_source_is_below_the_bundle() {
        let plans = plan_mounts(&[mount("/data", "", "data", &["bind"])]).unwrap();
        assert!(matches!(&plans[0], MountPlan::Bind { source, .. } if source == Path::new("/bundle/data")));
    }

    #[test]
    fn hybrid_cgroups_become_a_bind_each() {
        let view = CgroupView {
            unified: false,
            namespaced: false,
            hierarchies: vec![("memory".into(), "/sys/fs/cgroup/memory/x".into()), ("unified".into(), "/u".into())],
        };
        let mounts = [mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid"])];
        let plans = plan(&mounts, Path::new("/"), &view).unwrap();
        assert_eq!(plans.len(), 3);
        assert!(matches!(&plans[1], MountPlan::Bind { options, .. } if options.set & attr::RDONLY != 0));
        assert_eq!(readonly_cgroup_targets(&mounts, &view).unwrap(), [c"/sys/fs/cgroup".to_owned()]);
    }
}
