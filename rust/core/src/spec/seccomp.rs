//! Rules for `linux.seccomp` that need no knowledge of system calls; compiling judges the rest.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

use super::invalid;
use crate::Result;

/// The largest errno seccomp(2) can return (SECCOMP_RET_DATA is capped at MAX_ERRNO).
const MAX_ERRNO: u32 = 4095;

/// Checks one profile.
pub fn validate(profile: &LinuxSeccomp) -> Result<()> {
    use LinuxSeccompAction::ScmpActNotify;
    check_errno("linux.seccomp.defaultErrnoRet", profile.default_action(), profile.default_errno_ret())?;
    let mut notify = profile.default_action() == ScmpActNotify;
    if notify {
        // Nobody could answer for the very calls that hand the listener over.
        return Err(invalid("linux.seccomp.defaultAction", "cannot be SCMP_ACT_NOTIFY"));
    }
    for (index, rule) in profile.syscalls().iter().flatten().enumerate() {
        let field = format!("linux.seccomp.syscalls[{index}]");
        if rule.names().is_empty() || rule.names().iter().any(String::is_empty) {
            return Err(invalid(field, "has no name"));
        }
        check_errno(&format!("{field}.errnoRet"), rule.action(), rule.errno_ret())?;
        notify |= rule.action() == ScmpActNotify;
        if rule.args().iter().flatten().any(|argument| argument.index() > 5) {
            return Err(invalid(field, "has an argument index above 5"));
        }
    }
    match profile.listener_path() {
        Some(path) if !path.is_absolute() => Err(invalid("linux.seccomp.listenerPath", "is not an absolute path")),
        None if notify => Err(invalid("linux.seccomp", "SCMP_ACT_NOTIFY needs a listenerPath")),
        None if profile.listener_metadata().as_ref().is_some_and(|text| !text.is_empty()) => {
            Err(invalid("linux.seccomp.listenerMetadata", "needs a listenerPath"))
        }
        _ => Ok(()),
    }
}

fn check_errno(field: &str, action: LinuxSeccompAction, errno: Option<u32>) -> Result<()> {
    let Some(errno) = errno else { return Ok(()) };
    match action {
        LinuxSeccompAction::ScmpActErrno if errno > MAX_ERRNO => {
            Err(invalid(field, format!("is larger than {MAX_ERRNO}")))
        }
        LinuxSeccompAction::ScmpActTrace if errno > u32::from(u16::MAX) => Err(invalid(field, "is larger than 65535")),
        _ => Ok(()),
    }
}
