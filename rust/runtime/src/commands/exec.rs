//! `exec`.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, Process, Spec};
use pyctr_core::process::{Exec, SeccompChoice, Stdio};
use pyctr_core::{Error, Kind, Result, spec};

use super::foreground;
use super::launch::{Mode, Outputs, explain_exec, profile, terminal_size};
use super::{Context, preserved_fds};
use crate::args::Parsed;
use crate::container::{State, Status};
use crate::sys::Signals;
use crate::{cgroups, files, process};

/// Runs a further process in a container.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    try_run(context, parsed).map_err(|error| Error { operation: format!("exec failed: {}", error.operation), ..error })
}

fn try_run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let (directory, state) = context.container(parsed)?;
    match process::status(&directory, &state)? {
        Status::Stopped | Status::Creating => {
            return Err(Error::new(Kind::State, "cannot exec in a stopped container", "", ""));
        }
        Status::Paused if !parsed.is_set("ignore-paused") => {
            let message = "cannot exec in a paused container (use --ignore-paused to override)";
            return Err(Error::new(Kind::State, message, "", ""));
        }
        _ => {}
    }
    let outputs = Outputs::new(parsed)?;
    let (spec, process) = read(context, parsed, &state)?;
    let detach = parsed.is_set("detach");
    let terminal = process.terminal() == Some(true);
    outputs.check(terminal, if detach { Mode::Detached } else { Mode::Foreground })?;
    let cgroup = cgroups::open_for_exec(&state, &sub_cgroups(parsed)?)?;
    let seccomp = match profile(&spec) {
        Some(profile) => SeccompChoice::Filter(cgroups::compile(profile)?),
        None => SeccompChoice::Unconfined,
    };
    let (listen, extra) = preserved_fds(parsed)?;
    let stopped = || Error::new(Kind::State, "cannot exec in a stopped container", "", "");
    let container = process::open(&state).ok_or_else(stopped)?;
    let signals = if detach { None } else { Some(Signals::block_all()?) };
    let request = Exec {
        container: container.as_fd(),
        container_pid: rustix::process::Pid::from_raw(state.pid).ok_or_else(stopped)?,
        process: &process,
        stdio: if terminal { Stdio::Terminal { size: terminal_size(&process) } } else { Stdio::Inherit },
        cgroup: cgroup.as_ref(),
        seccomp,
        profile: None,
        user: None,
        preserve_fds: listen + extra,
    };
    let command = process.args().as_ref().and_then(|args| args.first()).map_or("", String::as_str);
    let mut child = pyctr_core::process::exec(&request).map_err(|error| explain_exec(error, command))?;
    if let Err(error) = outputs.deliver(&mut child, "setns") {
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
        return Err(error);
    }
    match signals {
        Some(signals) => foreground::wait(&mut child, &signals),
        None => Ok(0),
    }
}

/// The container's configuration, and the process to run: from `--process`, or the container's own changed by options.
fn read(context: &Context, parsed: &Parsed, state: &State) -> Result<(Spec, Process)> {
    let bytes = files::read_bounded(&state.bundle.join("config.json"), spec::MAX_BYTES)?;
    let (spec, _) = spec::load_with_warnings(&bytes)?;
    let own = spec.process().clone().unwrap_or_default();
    let mut process = match parsed.path("process") {
        Some(path) => {
            let (mut process, warnings) = spec::load_process(&read_document(path)?)?;
            for warning in &warnings {
                context.log.warn(warning);
            }
            inherit(&mut process, &own);
            process
        }
        None => from_options(parsed, own)?,
    };
    let (listen, _) = preserved_fds(parsed)?;
    if listen > 0 {
        process.env_mut().get_or_insert_default().push(format!("LISTEN_FDS={listen}"));
    }
    spec::validate_process(&process)?;
    Ok((spec, process))
}

fn read_document(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        return files::read_all(&mut std::io::stdin(), spec::MAX_BYTES)
            .map_err(|error| Error::io("read", "standard input", &error));
    }
    files::read_bounded(path, spec::MAX_BYTES)
}

/// What a process document leaves out is the container's (runc: `newInitConfig`).
fn inherit(process: &mut Process, own: &Process) {
    if process.capabilities().is_none() {
        process.set_capabilities(own.capabilities().clone());
    }
    if process.no_new_privileges().is_none() {
        process.set_no_new_privileges(own.no_new_privileges());
    }
    if process.apparmor_profile().as_deref().unwrap_or_default().is_empty() {
        process.set_apparmor_profile(own.apparmor_profile().clone());
    }
    if process.selinux_label().as_deref().unwrap_or_default().is_empty() {
        process.set_selinux_label(own.selinux_label().clone());
    }
    if process.rlimits().as_deref().unwrap_or_default().is_empty() {
        process.set_rlimits(own.rlimits().clone());
    }
    if process.oom_score_adj().is_none() {
        process.set_oom_score_adj(own.oom_score_adj());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*own.io_priority());
    }
    if process.scheduler().is_none() {
        process.set_scheduler(own.scheduler().clone());
    }
    if process.exec_cpu_affinity().is_none() {
        process.set_exec_cpu_affinity(own.exec_cpu_affinity().clone());
    }
}

fn from_options(parsed: &Parsed, mut process: Process) -> Result<Process> {
    let args: Vec<String> = (1..parsed.arguments.len())
        .map(|index| parsed.argument(index).map(|argument| argument.unwrap_or_default().to_owned()))
        .collect::<Result<_>>()?;
    if args.is_empty() {
        return Err(Error::invalid("process args cannot be empty", "", ""));
    }
    process.set_args(Some(args));
    process.set_terminal(Some(parsed.is_set("tty")));
    if let Some(cwd) = parsed.text("cwd")? {
        process.set_cwd(PathBuf::from(cwd));
    }
    let environment = parsed.texts("env")?;
    process.env_mut().get_or_insert_default().extend(environment.into_iter().map(str::to_owned));
    if let Some(label) = parsed.text("process-label")? {
        process.set_selinux_label(Some(label.to_owned()));
    }
    if let Some(profile) = parsed.text("apparmor")? {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    if parsed.has("no-new-privs") {
        process.set_no_new_privileges(Some(parsed.is_set("no-new-privs")));
    }
    if let Some(user) = parsed.text("user")? {
        let (uid, gid) = parse_user(user)?;
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    let gids = parsed.texts("additional-gids")?;
    let gids = gids.iter().map(|text| parse_id("--additional-gids", text)).collect::<Result<Vec<_>>>()?;
    if !gids.is_empty() {
        process.user_mut().additional_gids_mut().get_or_insert_default().extend(gids);
    }
    let capabilities = parsed.texts("cap")?;
    if !capabilities.is_empty() {
        let extended = add_capabilities(process.capabilities().clone(), &capabilities)?;
        process.set_capabilities(Some(extended));
    }
    Ok(process)
}

/// Strict: a name here is an error, never root (CVE-2026-30892).
fn parse_user(text: &str) -> Result<(u32, Option<u32>)> {
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let gid = gid.map(|gid| parse_id("--user", gid)).transpose()?;
    Ok((parse_id("--user", uid)?, gid))
}

fn parse_id(option: &str, text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = digits.then(|| text.parse::<u32>().ok()).flatten().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| Error::invalid("parse", option, format!("{text:?} is not a numeric id")))
}

/// As runc: bounding, effective and permitted always; ambient only if there are inheritable ones.
fn add_capabilities(own: Option<LinuxCapabilities>, names: &[&str]) -> Result<LinuxCapabilities> {
    let mut added = Vec::with_capacity(names.len());
    for name in names {
        let value = serde_json::Value::from(*name);
        let capability: Capability = serde_json::from_value(value)
            .map_err(|_| Error::invalid("parse", "--cap", format!("unknown capability {name:?}")))?;
        added.push(capability);
    }
    let mut sets = match own {
        Some(own) => own,
        None => LinuxCapabilitiesBuilder::default()
            .build()
            .map_err(|error| Error::new(Kind::Corrupt, "make", "capabilities", error.to_string()))?,
    };
    let with = |set: &Option<oci_spec::runtime::Capabilities>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(added.iter().copied());
        Some(set)
    };
    sets.set_bounding(with(sets.bounding()));
    sets.set_effective(with(sets.effective()));
    sets.set_permitted(with(sets.permitted()));
    if sets.inheritable().as_ref().is_some_and(|set| !set.is_empty()) {
        sets.set_ambient(with(sets.ambient()));
    }
    Ok(sets)
}

/// `--cgroup [controller[,…]:]path`; the first part empty means every controller.
fn sub_cgroups(parsed: &Parsed) -> Result<Vec<(Option<String>, PathBuf)>> {
    let mut list = Vec::new();
    for text in parsed.texts("cgroup")? {
        let (controllers, path) = text.split_once(':').map_or((None, text), |(list, path)| (Some(list), path));
        let relative = Path::new(path.trim_start_matches('/'));
        if path.is_empty() || relative.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(Error::invalid(
                "parse",
                "--cgroup",
                format!("{text:?} does not lie below the container's cgroup"),
            ));
        }
        match controllers {
            None => list.push((None, relative.to_owned())),
            Some("") => return Err(Error::invalid("parse", "--cgroup", format!("{text:?} names no controller"))),
            Some(names) => {
                list.extend(names.split(',').map(|name| (Some(name.to_owned()), relative.to_owned())));
            }
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args;

    fn options(arguments: &[&str]) -> Parsed {
        Parsed::of(args::find("exec").unwrap(), arguments.iter().map(std::ffi::OsString::from)).unwrap()
    }

    #[test]
    fn test_from_options_changes_only_what_was_given() {
        let own = Process::default();
        let parsed = options(&[
            "--cwd",
            "/tmp",
            "-e",
            "A=b",
            "-u",
            "5:6",
            "-g",
            "7",
            "--cap",
            "CAP_SYS_TIME",
            "-t",
            "c",
            "ls",
            "-l",
        ]);
        let process = from_options(&parsed, own.clone()).unwrap();
        assert_eq!(process.args().as_ref().unwrap(), &["ls", "-l"]);
        assert_eq!(process.cwd(), Path::new("/tmp"));
        assert_eq!(process.env().as_ref().unwrap().last().unwrap(), "A=b");
        assert_eq!((process.user().uid(), process.user().gid()), (5, 6));
        assert_eq!(process.user().additional_gids().as_ref().unwrap(), &[7]);
        assert_eq!(process.terminal(), Some(true));
        let sets = process.capabilities().as_ref().unwrap();
        assert!(sets.bounding().as_ref().unwrap().contains(&Capability::SysTime));
        assert!(!sets.inheritable().as_ref().unwrap().contains(&Capability::SysTime));
        assert_eq!(process.rlimits(), own.rlimits());
    }

    #[test]
    fn test_parse_user_is_strict() {
        assert_eq!(parse_user("1000").unwrap(), (1000, None));
        assert_eq!(parse_user("0:5").unwrap(), (0, Some(5)));
        for text in ["", "root", ":", "1:", ":1", "-1", "+1", "4294967295", "4294967296", "1:x", "1:2:3", " 1"] {
            assert!(parse_user(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn test_unknown_capability_is_refused() {
        assert!(add_capabilities(None, &["CAP_TELEPORT"]).is_err());
    }

    #[test]
    fn test_inherit_fills_only_what_is_missing() {
        let own = Process::default();
        let (mut process, _) =
            spec::load_process(br#"{"user":{"uid":1},"args":["x"],"cwd":"/","noNewPrivileges":false}"#).unwrap();
        inherit(&mut process, &own);
        assert_eq!(process.capabilities(), own.capabilities());
        assert_eq!(process.no_new_privileges(), Some(false));
        assert_eq!(process.rlimits(), own.rlimits());
        assert_eq!(process.user().uid(), 1);
    }

    #[test]
    fn test_sub_cgroups_stay_below() {
        let list = sub_cgroups(&options(&["--cgroup", "cpu,memory:/a", "--cgroup", "b", "c", "x"])).unwrap();
        assert_eq!(list.len(), 3);
        assert_eq!(list[2], (None, PathBuf::from("b")));
        for text in ["../x", "cpu:a/../b", ":a", "cpu:", ""] {
            assert!(sub_cgroups(&options(&["--cgroup", text, "c", "x"])).is_err(), "{text}");
        }
    }
}
