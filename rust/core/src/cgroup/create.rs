//! Making a container's group: which directories, in which order, and back again on failure.

use std::sync::atomic::AtomicBool;

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::controller::{Asked, Controller, Target, missing};
use super::group::{Group, Undo, enable_controllers};
use super::hierarchy::{Hierarchies, Version, is_refusal};
use super::path::{Location, Unit};
use super::{CONTROLLERS, Cgroup, Driver, file, systemd, unified};
use crate::{Error, Result};

pub(super) fn create(
    hierarchies: &Hierarchies,
    driver: Driver,
    path: &str,
    resources: &LinuxResources,
    rootless: bool,
) -> Result<Cgroup> {
    let mut cgroup = match driver {
        Driver::Cgroupfs => locate(hierarchies, &Location::parse(path)?, resources, None)?,
        Driver::Systemd => {
            let unit = Unit::parse(path, rootless)?;
            systemd::check(hierarchies)?;
            let scope = systemd::Scope::new(&unit, rootless)?;
            let location = Location::Absolute(format!("{}{}", scope.parent(), unit.directory()?));
            locate(hierarchies, &location, resources, Some(scope))?
        }
    };
    check(&cgroup, resources, rootless)?;
    let mut undo = Undo::new();
    let made = start_unit(&cgroup, resources).and_then(|()| make(&cgroup, resources, rootless, &mut undo)).and_then(
        |refused| {
            cgroup.groups.retain(|group| !refused.contains(&group.path));
            apply(&cgroup, resources, rootless, &undo)
        },
    );
    if let Err(error) = made {
        // The first error is the one to tell; what is not empty is not ours.
        for directory in undo.iter().rev() {
            let _ = file::remove_directory(directory);
        }
        if let Some(unit) = &cgroup.unit {
            let _ = unit.stop();
        }
        return Err(error);
    }
    Ok(cgroup)
}

fn start_unit(cgroup: &Cgroup, resources: &LinuxResources) -> Result<()> {
    cgroup.unit.as_ref().map_or(Ok(()), |unit| unit.start(cgroup, resources))
}

/// Every directory the container has or may come to have.
fn locate(
    hierarchies: &Hierarchies,
    location: &Location,
    resources: &LinuxResources,
    unit: Option<systemd::Scope>,
) -> Result<Cgroup> {
    let mut groups = Vec::new();
    let named_by_systemd = unit.is_some() || hierarchies.has_systemd();
    for hierarchy in hierarchies.iter() {
        let of_kernel = hierarchy.version == Version::V2
            || CONTROLLERS.iter().any(|one| hierarchy.controllers.iter().any(|name| name == one.name(Version::V1)));
        // systemd stops what it finds in a unit of its own: a container must not be found in its starter's.
        let of_systemd = named_by_systemd && hierarchy.controllers.iter().any(|name| name == "name=systemd");
        if of_kernel || of_systemd {
            groups.push(Group::new(hierarchy, location.directory(hierarchies, hierarchy)?));
        }
    }
    if groups.is_empty() {
        return Err(Error::invalid("make control group", "", "no hierarchy is mounted").with_kind(crate::Kind::State));
    }
    // On a hybrid host one file is read less where no limit may need the v2 hierarchy.
    let v1 = |controller: &dyn Controller| groups.iter().any(|group| group.has(controller.name(Version::V1)));
    let needs_v2 = hierarchies.is_v2_only()
        || resources.unified().as_ref().is_some_and(|map| !map.is_empty())
        || CONTROLLERS.iter().any(|one| (one.always() || one.asked(resources) != Asked::Nothing) && !v1(*one));
    let v2_controllers = if needs_v2 { hierarchies.v2_controllers()?.to_vec() } else { Vec::new() };
    Ok(Cgroup { groups, v2_controllers, unit, fresh: AtomicBool::new(true) })
}

/// Refuses what cannot work before anything is made: a limit without its controller, a value out of range.
pub(super) fn check(cgroup: &Cgroup, resources: &LinuxResources, rootless: bool) -> Result<()> {
    for controller in CONTROLLERS {
        let asked = controller.asked(resources);
        // A user's own container has the devices its user may open: the rules are the kernel's already.
        if asked == Asked::Nothing || (rootless && is_devices(controller)) {
            continue;
        }
        match (cgroup.group_of(controller), asked) {
            (Some(group), _) => {
                let target = Target { version: group.version, path: &group.path, fresh: false };
                controller.plan(target, resources)?;
            }
            (None, Asked::Limit(option)) => return Err(missing(controller.name(Version::V1), option)),
            (None, _) => {}
        }
    }
    if resources.unified().as_ref().is_some_and(|map| !map.is_empty()) {
        unified::plan(resources)?;
        let on_v1 = |name: &str| cgroup.groups.iter().any(|group| group.has(if name == "io" { "blkio" } else { name }));
        let v2 = cgroup.groups.iter().any(|group| group.version == Version::V2);
        for name in unified::controllers(resources) {
            if !v2 || on_v1(name) || !cgroup.v2_controllers.iter().any(|held| held == name) {
                return Err(
                    missing(name, "unified resource").with_hint("unified resources need the controller on cgroup v2")
                );
            }
        }
        if !v2 {
            return Err(missing("cgroup", "unified resource").with_hint("unified resources need cgroup v2"));
        }
    }
    Ok(())
}

fn is_devices(controller: &dyn Controller) -> bool {
    controller.name(Version::V1) == "devices"
}

/// The controllers a directory serves for this container.
fn served<'a>(cgroup: &'a Cgroup, group: &'a Group) -> impl Iterator<Item = &'static dyn Controller> + 'a {
    CONTROLLERS.into_iter().filter(move |one| cgroup.group_of(*one).is_some_and(|other| std::ptr::eq(other, group)))
}

/// Makes the directories; those this user may not make and nothing depends on are returned.
fn make(cgroup: &Cgroup, resources: &LinuxResources, rootless: bool, undo: &mut Undo) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for group in &cgroup.groups {
        let asked = |one: &dyn Controller| one.asked(resources) != Asked::Nothing && !(rootless && is_devices(one));
        let limited =
            |one: &dyn Controller| matches!(one.asked(resources), Asked::Limit(_)) && !(rootless && is_devices(one));
        let unified = group.version == Version::V2 && resources.unified().as_ref().is_some_and(|map| !map.is_empty());
        let wanted = served(cgroup, group).any(|one| one.always() || asked(one))
            || unified
            || cgroup.is_unified()
            || group.controllers.iter().any(|name| name.starts_with("name="))
            || (group.version == Version::V2 && cgroup.unit.is_some());
        if !wanted {
            group.set_absent(true);
            continue;
        }
        match group.make(undo) {
            Ok(true) => {}
            Ok(false) if cgroup.unit.is_some() => {} // systemd made it
            Ok(false) => group.check_unused()?,
            Err(errno) if rootless && is_refusal(errno) && !unified && !served(cgroup, group).any(limited) => {
                refused.push(group.path.clone());
                continue;
            }
            Err(errno) => {
                let error = Error::kernel("make control group", &group.path, errno);
                let hint = "a directory that belongs to the user is needed: the systemd driver gives one";
                return Err(if rootless && is_refusal(errno) { error.with_hint(hint) } else { error });
            }
        }
        group.prepare()?;
        if group.version == Version::V2 {
            hand_down(cgroup, group, resources)?;
        }
    }
    Ok(refused)
}

/// On v2 a directory has files only of controllers that every one above it hands down.
pub(super) fn hand_down(cgroup: &Cgroup, group: &Group, resources: &LinuxResources) -> Result<()> {
    let limited = |one: &&'static dyn Controller| matches!(one.asked(resources), Asked::Limit(_));
    let of_v2 = |one: &&'static dyn Controller| !one.is_core_of_v2();
    let required: Vec<&str> = served(cgroup, group)
        .filter(of_v2)
        .filter(limited)
        .map(|one| one.name(Version::V2))
        .chain(unified::controllers(resources))
        .collect();
    // What v2 counts it counts only where the controller is there: cpu too, which v1 does without unless limited.
    let counted: Vec<&dyn Controller> = served(cgroup, group)
        .filter(of_v2)
        .filter(|one| one.always() || one.name(Version::V2) == "cpu" || one.asked(resources) != Asked::Nothing)
        .map(|one| one as &dyn Controller)
        .collect();
    enable_controllers(group, &counted, &required)
}

fn apply(cgroup: &Cgroup, resources: &LinuxResources, rootless: bool, new: &Undo) -> Result<()> {
    for controller in CONTROLLERS {
        // Device rules are set even where none is given: nobody gets every device for want of a rule.
        let devices = is_devices(controller);
        if (controller.asked(resources) == Asked::Nothing && !devices) || (devices && rootless) {
            continue;
        }
        let Some(group) = cgroup.group_of(controller).filter(|group| !group.is_absent()) else {
            if devices {
                return Err(missing("devices", "device rules"));
            }
            continue;
        };
        let fresh = new.contains(&group.path);
        let target = Target { version: group.version, path: &group.path, fresh };
        let result = if devices && resources.devices().is_none() {
            controller.apply(target, LinuxResources::default().set_devices(Some(Vec::new())))
        } else {
            controller.apply(target, resources)
        };
        let refused = |error: &Error| error.errno.is_some_and(|errno| is_refusal(errno) || errno == Errno::NOENT);
        match result {
            Err(error) if rootless && refused(&error) && controller.asked(resources) == Asked::Unlimited => {}
            result => result?,
        }
    }
    apply_unified(cgroup, resources, true)
}

/// Writes the specification's `unified` files.
pub(super) fn apply_unified(cgroup: &Cgroup, resources: &LinuxResources, fresh: bool) -> Result<()> {
    if resources.unified().as_ref().is_none_or(std::collections::HashMap::is_empty) {
        return Ok(());
    }
    let Some(group) = cgroup.groups.iter().find(|group| group.version == Version::V2) else {
        return Err(missing("cgroup", "unified resource"));
    };
    if !fresh && !cgroup.is_unified() {
        let made =
            group.make(&mut Undo::new()).map_err(|errno| Error::kernel("make control group", &group.path, errno))?;
        enable_controllers(group, &[], &unified::controllers(resources))?;
        if let Some(members) = cgroup.members().filter(|_| made) {
            super::processes::gather(&members.path, &group.path)?;
        }
    }
    unified::apply(Target { version: Version::V2, path: &group.path, fresh }, resources)
}
