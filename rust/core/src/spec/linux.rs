//! Rules for the `linux` section and for what depends on its namespaces.

use std::path::Component;

use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, Spec,
};

use super::{invalid, seccomp, sysctl};
use crate::Result;

/// user_namespaces(7): at most so many lines in `uid_map` since Linux 4.15.
const MAX_MAPPINGS: usize = 340;
/// Linux: 12 bits of major, 20 bits of minor number.
const MAX_MAJOR: i64 = (1 << 12) - 1;
const MAX_MINOR: i64 = (1 << 20) - 1;

const PROPAGATIONS: [&str; 8] =
    ["private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"];

/// Go cannot tell an empty path from none: both mean a new namespace.
pub fn forget_empty_paths(spec: &mut Spec) {
    let namespaces = spec.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut());
    for namespace in namespaces.into_iter().flatten() {
        if namespace.path().as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            namespace.set_path(None);
        }
    }
}

/// Checks the section.
pub fn validate(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else {
        return Err(invalid("linux", "is missing"));
    };
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    check_namespaces(namespaces)?;
    check_names(spec, namespaces)?;
    sysctl::validate(spec, namespaces)?;
    check_user_namespace(linux, namespaces)?;
    check_time(linux, namespaces)?;
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        check_device(&format!("linux.devices[{index}]"), device)?;
    }
    check_paths(linux)?;
    if let Some(profile) = linux.seccomp() {
        seccomp::validate(profile)?;
    }
    if let Some(rdt) = linux.intel_rdt() {
        let asks = rdt.clos_id().is_some() || rdt.schemata().is_some() || rdt.l3_cache_schema().is_some();
        if asks || rdt.mem_bw_schema().is_some() || rdt.enable_monitoring().is_some() {
            return Err(invalid("linux.intelRdt", "is not supported"));
        }
    }
    let flags = linux.personality().as_ref().and_then(|personality| personality.flags().as_ref());
    if flags.is_some_and(|flags| !flags.is_empty()) {
        return Err(invalid("linux.personality.flags", "is not supported (the specification defines none)"));
    }
    if !linux.net_devices().as_ref().is_none_or(std::collections::HashMap::is_empty) {
        find(namespaces, LinuxNamespaceType::Network)
            .ok_or_else(|| invalid("linux.netDevices", "needs a network namespace"))?;
    }
    Ok(())
}

fn find(namespaces: &[LinuxNamespace], typ: LinuxNamespaceType) -> Option<&LinuxNamespace> {
    namespaces.iter().find(|namespace| namespace.typ() == typ)
}

fn check_namespaces(namespaces: &[LinuxNamespace]) -> Result<()> {
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespaces[..index].iter().any(|earlier| earlier.typ() == namespace.typ()) {
            return Err(invalid("linux.namespaces", format!("{} is given twice", namespace.typ())));
        }
        let Some(path) = namespace.path() else {
            continue;
        };
        if !path.is_absolute() {
            return Err(invalid("linux.namespaces", format!("path {} is not absolute", path.display())));
        }
    }
    // Without one the set-up would change the host's own mounts.
    match find(namespaces, LinuxNamespaceType::Mount) {
        None => Err(invalid("linux.namespaces", "a mount namespace is required")),
        Some(mount) if mount.path().is_some() => {
            Err(invalid("linux.namespaces", "joining a mount namespace is not supported"))
        }
        Some(_) => Ok(()),
    }
}

fn check_names(spec: &Spec, namespaces: &[LinuxNamespace]) -> Result<()> {
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else {
            continue;
        };
        if find(namespaces, LinuxNamespaceType::Uts).is_none() {
            return Err(invalid(field, "needs a private uts namespace"));
        }
        // __NEW_UTS_LEN of the kernel.
        if name.len() > 64 {
            return Err(invalid(field, "is longer than 64 bytes"));
        }
    }
    Ok(())
}

fn check_user_namespace(linux: &Linux, namespaces: &[LinuxNamespace]) -> Result<()> {
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    let Some(user) = find(namespaces, LinuxNamespaceType::User) else {
        if uids.is_empty() && gids.is_empty() {
            return Ok(());
        }
        return Err(invalid("linux.uidMappings", "id mappings need a user namespace"));
    };
    let joined = user.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    if !joined && (uids.is_empty() || gids.is_empty()) {
        return Err(invalid("linux.uidMappings", "a new user namespace needs uidMappings and gidMappings"));
    }
    check_mappings("linux.uidMappings", uids)?;
    check_mappings("linux.gidMappings", gids)
}

/// Checks one list of id mappings as the kernel does when `uid_map` is written.
pub fn check_mappings(field: &str, mappings: &[LinuxIdMapping]) -> Result<()> {
    if mappings.len() > MAX_MAPPINGS {
        return Err(invalid(field, format!("has more than {MAX_MAPPINGS} entries")));
    }
    let overlaps = |a: u32, a_size: u32, b: u32, b_size: u32| {
        u64::from(a) < u64::from(b) + u64::from(b_size) && u64::from(b) < u64::from(a) + u64::from(a_size)
    };
    for (index, mapping) in mappings.iter().enumerate() {
        let (container, host, size) = (mapping.container_id(), mapping.host_id(), mapping.size());
        if size == 0 {
            return Err(invalid(field, "has an entry of size 0"));
        }
        if container.checked_add(size).is_none() || host.checked_add(size).is_none() {
            return Err(invalid(field, "has an entry beyond 4294967294"));
        }
        for earlier in &mappings[..index] {
            if overlaps(earlier.container_id(), earlier.size(), container, size)
                || overlaps(earlier.host_id(), earlier.size(), host, size)
            {
                return Err(invalid(field, "has overlapping entries"));
            }
        }
    }
    Ok(())
}

fn check_time(linux: &Linux, namespaces: &[LinuxNamespace]) -> Result<()> {
    let Some(offsets) = linux.time_offsets().as_ref().filter(|offsets| !offsets.is_empty()) else {
        return Ok(());
    };
    let namespace = find(namespaces, LinuxNamespaceType::Time);
    if namespace.is_none_or(|namespace| namespace.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty())) {
        return Err(invalid("linux.timeOffsets", "needs a new time namespace"));
    }
    for (clock, offset) in offsets {
        if clock != "monotonic" && clock != "boottime" {
            return Err(invalid("linux.timeOffsets", format!("{clock:?} is not monotonic or boottime")));
        }
        if offset.nanosecs().is_some_and(|nanosecs| nanosecs >= 1_000_000_000) {
            return Err(invalid("linux.timeOffsets", "nanosecs is not below 1000000000"));
        }
    }
    Ok(())
}

fn check_device(field: &str, device: &LinuxDevice) -> Result<()> {
    let path = device.path();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(invalid(field, format!("path {} is not absolute or has ..", path.display())));
    }
    if path.file_name().is_none() {
        return Err(invalid(field, "path is /"));
    }
    match device.typ() {
        LinuxDeviceType::A => Err(invalid(field, "type a is for cgroup rules only")),
        LinuxDeviceType::P => Ok(()),
        _ if !(0..=MAX_MAJOR).contains(&device.major()) || !(0..=MAX_MINOR).contains(&device.minor()) => {
            Err(invalid(field, format!("{}:{} is not a device number", device.major(), device.minor())))
        }
        _ => Ok(()),
    }
}

fn check_paths(linux: &Linux) -> Result<()> {
    for (field, paths) in [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())]
    {
        if let Some(path) = paths.iter().flatten().find(|path| !path.starts_with('/')) {
            return Err(invalid(field, format!("{path:?} is not an absolute path")));
        }
    }
    if let Some(path) = linux.cgroups_path()
        && path.components().any(|part| part == Component::ParentDir)
    {
        return Err(invalid("linux.cgroupsPath", format!("{} has ..", path.display())));
    }
    match linux.rootfs_propagation().as_deref() {
        None | Some("") => Ok(()),
        Some(propagation) if PROPAGATIONS.contains(&propagation) => Ok(()),
        Some(other) => Err(invalid("linux.rootfsPropagation", format!("{other:?} is unknown"))),
    }
}
