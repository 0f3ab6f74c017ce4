//! The whole list of a container's start, and that of a further process in it. The order of what is here matters; each
//! step that must stand where it stands says why.

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::{Hook, Process, Spec};
use pyctr_init::SetupOp;
use pyctr_init::codec::Numbers;
use pyctr_init::op::stage;
use pyctr_init::sys::attr;

use super::attributes::{affinity, persona, push_scheduling, resource};
use super::capability::{self, Sets};
use super::device::{self, DevicePlan};
use super::mount::MountPlan;
use super::namespace::{NEWNET, NEWNS, NamespacePlan};
use super::{SetupList, StringList, c_string, clean_path, mount};
use crate::seccomp::Filter;
use crate::{Error, Result};

/// Who the command runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// HOME if the environment has none.
    pub home: Option<String>,
}

/// Descriptors the command gets as 0, 1 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdioPlan {
    /// What the runtime has.
    Inherit,
    /// These.
    Descriptors([i32; 3]),
    /// A new terminal of this many rows and columns (0: unknown).
    Terminal(u16, u16),
}

/// What both a start and an exec need to know beside the specification.
#[derive(Debug, Clone)]
pub struct Common<'a> {
    /// The user, resolved.
    pub credentials: &'a Credentials,
    /// 0, 1 and 2.
    pub stdio: StdioPlan,
    /// The filter, if any.
    pub filter: Option<&'a Filter>,
    /// Descriptors from 3 on that the command inherits.
    pub preserve_fds: u32,
    /// A listening socket to wait on before exec.
    pub gate: Option<i32>,
    /// The signal to die of with the runtime.
    pub parent_death_signal: Option<u32>,
    /// PID 1 forwards and reaps.
    pub reaper: bool,
    /// What the runtime itself may use of capabilities.
    pub permitted: u64,
    /// Descriptors of cgroup files to write "0" to.
    pub join_cgroups: &'a [i32],
    /// Whether setgroups(2) is allowed (not in an unprivileged user namespace with one mapping).
    pub set_groups: bool,
    /// A session keyring of this name is joined.
    pub keyring: Option<&'a str>,
    /// The LSM that process labels go to.
    pub label_file: Option<&'a str>,
}

/// Where a mount comes from, in the order of the mount plans: a detached mount's descriptor for those the parent opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    /// The detached mount.
    pub fd: i32,
    /// Whether it is a directory.
    pub directory: bool,
}

/// What a start needs to know beside the specification.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Shared with exec.
    pub common: Common<'a>,
    /// The namespaces.
    pub namespaces: &'a NamespacePlan,
    /// Descriptors of the namespaces to be joined, in the plan's order.
    pub namespace_fds: &'a [i32],
    /// The detached root mount.
    pub root_fd: i32,
    /// Where it is attached on the host.
    pub root_target: &'a Path,
    /// The mounts.
    pub mounts: &'a [MountPlan],
    /// What the parent opened for each of `mounts` that is a bind or copy-up; None for the rest.
    pub prepared: &'a [Option<Prepared>],
    /// The devices.
    pub devices: &'a [DevicePlan],
    /// Detached mounts of the host's nodes, where nodes cannot be made.
    pub device_fds: &'a [i32],
    /// cgroup mount points to be made read-only after their hierarchies are in.
    pub readonly_cgroups: &'a [CString],
    /// The runtime has something to do when namespaces and mounts exist.
    pub sync: bool,
    /// chroot in place of pivot_root.
    pub no_pivot: bool,
}

/// What runc gives where the specification is silent.
const DEFAULT_UMASK: u32 = 0o022;

/// Plans the start of a container.
pub fn plan_start(spec: &Spec, start: &Start<'_>) -> Result<SetupList> {
    let mut list = SetupList::default();
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("read", "process", "missing"))?;
    push_oom_score(&mut list, process)?;
    push_namespaces(&mut list, start)?;
    if start.namespaces.makes(NEWNET) {
        list.push(&SetupOp::LoopbackUp {});
    }
    if let Some(name) = start.common.keyring {
        list.push(&SetupOp::Keyring { name: &c_string("keyring", name.as_bytes())? });
    }
    push_root(&mut list, spec, start, process)?;
    push_identity(&mut list, spec)?;
    if let Some(personality) = spec.linux().as_ref().and_then(|linux| linux.personality().as_ref()) {
        list.push(&SetupOp::Personality { persona: persona(personality.domain()) });
    }
    push_process(&mut list, process, &start.common, start_hooks(spec))?;
    Ok(list)
}

/// Plans a further process in the container whose namespaces `join` leads to (a pidfd and clone flags).
pub fn plan_exec(process: &Process, common: &Common<'_>, join: (i32, u32), joins_user: bool) -> Result<SetupList> {
    let mut list = SetupList::default();
    push_oom_score(&mut list, process)?;
    push_cgroups(&mut list, common);
    if let Some(mask) = affinity(process)? {
        list.push(&SetupOp::Affinity { mask: &mask });
    }
    list.push(&SetupOp::JoinNamespaces { fd: join.0, flags: join.1, object: c"of the container" });
    if joins_user {
        list.push(&SetupOp::BecomeRoot {});
    }
    list.push(&SetupOp::Fork {});
    list.push(&SetupOp::RootHere {});
    if labels(process) {
        list.push(&SetupOp::OpenProc {});
    }
    if let StdioPlan::Terminal(rows, columns) = common.stdio {
        list.push(&SetupOp::Terminal { rows, columns, console: false, uid: common.credentials.uid });
    }
    push_process(&mut list, process, common, &[])?;
    Ok(list)
}

fn start_hooks(spec: &Spec) -> &[Hook] {
    spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_deref()).unwrap_or_default()
}

/// First of all, while /proc is still the host's own.
fn push_oom_score(list: &mut SetupList, process: &Process) -> Result<()> {
    if let Some(score) = process.oom_score_adj() {
        list.push(&SetupOp::OomScoreAdj { text: &c_string("oomScoreAdj", score.to_string().as_bytes())? });
    }
    Ok(())
}

fn push_cgroups(list: &mut SetupList, common: &Common<'_>) {
    for &fd in common.join_cgroups {
        list.push(&SetupOp::JoinCgroup { fd });
    }
}

fn push_namespaces(list: &mut SetupList, start: &Start<'_>) -> Result<()> {
    // Cgroups before namespaces: the files are the host's, and the cgroup namespace takes its root from where we are.
    push_cgroups(list, &start.common);
    for ((flags, path), &fd) in start.namespaces.join.iter().zip(start.namespace_fds) {
        let object = c_string("namespace path", path.as_os_str().as_encoded_bytes())?;
        list.push(&SetupOp::JoinNamespaces { fd, flags: *flags, object: &object });
        if *flags == super::namespace::NEWUSER {
            list.push(&SetupOp::BecomeRoot {});
        }
    }
    if start.namespaces.unshare != 0 {
        list.push(&SetupOp::Unshare { flags: start.namespaces.unshare });
    }
    if start.namespaces.fork {
        list.push(&SetupOp::Fork {});
    }
    if start.namespaces.cgroup {
        list.push(&SetupOp::Unshare { flags: super::namespace::NEWCGROUP });
    }
    Ok(())
}

const MS_REC: u64 = 0x4000;
const MS_SLAVE: u64 = 0x8_0000;
const MS_SHARED: u64 = 0x10_0000;

fn push_root(list: &mut SetupList, spec: &Spec, start: &Start<'_>, process: &Process) -> Result<()> {
    let asked = match spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()) {
        Some(word) => Some(mount::rootfs_propagation(word)?),
        None => None,
    };
    let shared = asked.is_some_and(|flags| flags & MS_SHARED != 0);
    if start.namespaces.has(NEWNS) {
        // Nothing mounted from here on reaches the host, and pivot_root wants no shared parent.
        list.push(&SetupOp::Propagation { path: c"/", flags: MS_SLAVE | MS_REC });
    }
    let target = c_string("root path", start.root_target.as_os_str().as_encoded_bytes())?;
    let propagation = if shared { 0 } else { MS_SLAVE };
    list.push(&SetupOp::Root { fd: start.root_fd, target: &target, propagation });
    push_mounts(list, start);
    if mounts_dev(start) {
        device::push(list, start.devices, start.device_fds);
    }
    push_proc_writes(list, spec, process)?;
    if start.sync {
        list.push(&SetupOp::Sync { stage: stage::CREATED });
    }
    for hook in spec.hooks().iter().flat_map(|hooks| hooks.create_container().iter().flatten()) {
        push_hook(list, hook)?;
    }
    list.push(&SetupOp::Directory { path: &clean_path(process.cwd())?, mode: 0o755 });
    if let StdioPlan::Terminal(rows, columns) = start.common.stdio {
        list.push(&SetupOp::Terminal { rows, columns, console: true, uid: start.common.credentials.uid });
    }
    push_restrictions(list, spec, start)?;
    list.push(&SetupOp::PivotRoot { no_pivot: start.no_pivot, shared });
    if let Some(flags) = asked {
        list.push(&SetupOp::Propagation { path: c"/", flags });
    }
    Ok(())
}

fn push_mounts(list: &mut SetupList, start: &Start<'_>) {
    for (plan, prepared) in start.mounts.iter().zip(start.prepared) {
        match (plan, prepared) {
            (MountPlan::New { fstype, source, target, options, attributes, propagation, strict }, _) => {
                list.push(&SetupOp::Mount {
                    fstype,
                    source,
                    target,
                    options: options.as_strings(),
                    attributes: *attributes,
                    propagation: *propagation,
                    strict: *strict,
                });
            }
            (MountPlan::Bind { target, options, on_proc, .. }, Some(prepared)) => {
                let propagation = if options.propagation == 0 { 0x4_0000 | MS_REC } else { options.propagation };
                list.push(&SetupOp::Attach {
                    fd: prepared.fd,
                    target,
                    directory: prepared.directory,
                    propagation,
                    on_proc: *on_proc,
                });
            }
            (MountPlan::CopyUp { target, propagation, .. }, Some(prepared)) => {
                list.push(&SetupOp::Attach {
                    fd: prepared.fd,
                    target,
                    directory: true,
                    propagation: *propagation,
                    on_proc: false,
                });
            }
            (MountPlan::Bind { .. } | MountPlan::CopyUp { .. }, None) => {}
        }
    }
    for target in start.readonly_cgroups {
        list.push(&SetupOp::SetAttributes { target, set: attr::RDONLY, clear: 0, recursive: false });
    }
}

/// Device nodes are made unless /dev is the host's own.
fn mounts_dev(start: &Start<'_>) -> bool {
    !start.mounts.iter().any(|plan| matches!(plan, MountPlan::Bind { target, .. } if target.as_c_str() == c"/dev"))
}

fn labels(process: &Process) -> bool {
    process.apparmor_profile().is_some() || process.selinux_label().is_some()
}

/// Before anything of the container's /proc is masked: a user namespace may only mount procfs while a whole one is visible.
fn push_proc_writes(list: &mut SetupList, spec: &Spec, process: &Process) -> Result<()> {
    let empty = std::collections::HashMap::new();
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref()).unwrap_or(&empty);
    if sysctls.is_empty() && !labels(process) {
        return Ok(());
    }
    list.push(&SetupOp::OpenProc {});
    let mut names: Vec<&String> = sysctls.keys().collect();
    names.sort();
    for name in names {
        let path = format!("sys/{}", name.replace('.', "/"));
        let (path, value) = (c_string("sysctl", path.as_bytes())?, c_string("sysctl", sysctls[name].as_bytes())?);
        list.push(&SetupOp::Sysctl { path: &path, value: &value });
    }
    Ok(())
}

fn push_restrictions(list: &mut SetupList, spec: &Spec, start: &Start<'_>) -> Result<()> {
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    if start.namespaces.has(NEWNS) {
        for path in linux.readonly_paths().iter().flatten() {
            list.push(&SetupOp::Readonly { path: &clean_path(Path::new(path))? });
        }
        for path in linux.masked_paths().iter().flatten() {
            list.push(&SetupOp::Mask { path: &clean_path(Path::new(path))? });
        }
    }
    if spec.root().as_ref().is_some_and(|root| root.readonly().unwrap_or(false)) {
        // Last: mount points and the working directory had to be made below it.
        list.push(&SetupOp::SetAttributes { target: c"/", set: attr::RDONLY, clear: 0, recursive: false });
    }
    Ok(())
}

fn push_identity(list: &mut SetupList, spec: &Spec) -> Result<()> {
    if let Some(name) = spec.hostname().as_deref().filter(|name| !name.is_empty()) {
        list.push(&SetupOp::Hostname { name: &c_string("hostname", name.as_bytes())? });
    }
    if let Some(name) = spec.domainname().as_deref().filter(|name| !name.is_empty()) {
        list.push(&SetupOp::Domainname { name: &c_string("domainname", name.as_bytes())? });
    }
    Ok(())
}

fn push_hook(list: &mut SetupList, hook: &Hook) -> Result<()> {
    let path = c_string("hook", hook.path().as_os_str().as_encoded_bytes())?;
    let args = match hook.args() {
        Some(args) if !args.is_empty() => StringList::new("hook", args)?,
        _ => StringList::new("hook", [path.as_bytes()])?,
    };
    let env = StringList::new("hook", hook.env().iter().flatten())?;
    let timeout_s = u32::try_from(hook.timeout().unwrap_or(0)).unwrap_or(0);
    list.push(&SetupOp::Hook { path: &path, args: args.as_strings(), env: env.as_strings(), timeout_s });
    Ok(())
}

/// From here on the process is alone with its credentials; the same for a start and an exec.
fn push_process(list: &mut SetupList, process: &Process, common: &Common<'_>, hooks: &[Hook]) -> Result<()> {
    if let StdioPlan::Descriptors([stdin, stdout, stderr]) = common.stdio {
        list.push(&SetupOp::Stdio { stdin, stdout, stderr });
    }
    push_labels(list, process, common.label_file)?;
    push_scheduling(list, process)?;
    for limit in process.rlimits().iter().flatten() {
        list.push(&SetupOp::Rlimit { resource: resource(limit.typ()), soft: limit.soft(), hard: limit.hard() });
    }
    list.push(&SetupOp::Umask { mask: process.user().umask().unwrap_or(DEFAULT_UMASK) });
    let sets = Sets::of(process.capabilities().as_ref());
    let cwd = clean_path(process.cwd())?;
    // While CAP_SETPCAP is there.
    list.push(&SetupOp::BoundingSet { keep: sets.bounding });
    list.push(&SetupOp::WorkingDirectory { path: &cwd });
    let groups: Vec<u8> = common.credentials.groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
    list.push(&SetupOp::User {
        uid: common.credentials.uid,
        gid: common.credentials.gid,
        groups: Numbers::new(&groups),
        set_groups: common.set_groups,
    });
    list.push(&SetupOp::VerifyWorkingDirectory { path: &cwd });
    push_last_stage(list, process, common, sets, hooks)
}

fn push_last_stage(
    list: &mut SetupList,
    process: &Process,
    common: &Common<'_>,
    sets: Sets,
    hooks: &[Hook],
) -> Result<()> {
    let no_new_privileges = process.no_new_privileges().unwrap_or(false);
    if no_new_privileges {
        list.push(&SetupOp::NoNewPrivileges {});
    }
    // The parent must be there to take a listener; any other filter is loaded as late as can be, so that it judges only
    // what cannot be done earlier.
    let early = common.filter.is_some_and(|filter| filter.notify);
    if early {
        push_seccomp(list, common, sets, no_new_privileges);
    }
    if let Some(fd) = common.gate {
        list.push(&SetupOp::Gate { fd });
    }
    for hook in hooks {
        push_hook(list, hook)?;
    }
    list.push(&SetupOp::CloseFrom { first: 3 + common.preserve_fds });
    if let Some(signal) = common.parent_death_signal {
        // After the change of user, which clears it (prctl(2)).
        list.push(&SetupOp::ParentDeathSignal { signal });
    }
    if early {
        push_capabilities(list, sets);
    } else {
        if no_new_privileges || common.filter.is_none() {
            push_capabilities(list, sets);
        }
        push_seccomp(list, common, sets, no_new_privileges);
        if !no_new_privileges && common.filter.is_some() {
            push_capabilities(list, sets);
        }
    }
    let args = StringList::new("process.args", process.args().iter().flatten())?;
    let env = environment(process, common.credentials)?;
    list.push(&SetupOp::Exec { args: args.as_strings(), env: env.as_strings(), reaper: common.reaper });
    Ok(())
}

fn push_capabilities(list: &mut SetupList, sets: Sets) {
    list.push(&SetupOp::Capabilities {
        effective: sets.effective,
        permitted: sets.permitted,
        inheritable: sets.inheritable,
        ambient: sets.ambient,
    });
}

/// Without no_new_privs a filter takes CAP_SYS_ADMIN in force, which the change of user took away (seccomp(2)).
fn push_seccomp(list: &mut SetupList, common: &Common<'_>, sets: Sets, no_new_privileges: bool) {
    let Some(filter) = common.filter else { return };
    if !no_new_privileges && common.credentials.uid != 0 {
        let interim = (sets.permitted | capability::SYS_ADMIN) & common.permitted;
        list.push(&SetupOp::Capabilities { effective: interim, permitted: interim, inheritable: 0, ambient: 0 });
    }
    list.push(&SetupOp::Seccomp { program: &filter.program, flags: filter.flags, notify: filter.notify });
}

fn environment(process: &Process, credentials: &Credentials) -> Result<StringList> {
    let mut env = StringList::new("process.env", process.env().iter().flatten())?;
    let has_home = process.env().iter().flatten().any(|entry| entry.starts_with("HOME="));
    if let (false, Some(home)) = (has_home, &credentials.home) {
        env.push(&c_string("home directory", format!("HOME={home}").as_bytes())?);
    }
    Ok(env)
}

fn push_labels(list: &mut SetupList, process: &Process, file: Option<&str>) -> Result<()> {
    let (profile, label) = (process.apparmor_profile().as_deref(), process.selinux_label().as_deref());
    if let Some(profile) = profile.filter(|profile| !profile.is_empty()) {
        let file = match file {
            Some(file) if file.contains("apparmor") => file,
            _ => {
                return Err(Error::invalid("set AppArmor profile", profile, "the kernel has no AppArmor")
                    .with_hint("leave out --security-opt apparmor"));
            }
        };
        let value = c_string("AppArmor profile", format!("exec {profile}").as_bytes())?;
        list.push(&SetupOp::Label { file: &c_string("label", file.as_bytes())?, value: &value });
    }
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        let value = c_string("SELinux label", label.as_bytes())?;
        list.push(&SetupOp::Label { file: c"thread-self/attr/exec", value: &value });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "process_tests.rs"]
mod tests;
