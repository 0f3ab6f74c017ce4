//! An OCI profile (config-linux.md, "Seccomp") read as a policy.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

use super::abi::{Abi, HostArch};
use super::policy::{Condition, Operator, Policy, Rule, ret};
use super::{Filter, assemble, flag};
use crate::{Error, Result};

/// The largest errno the kernel returns (`MAX_ERRNO` of linux/err.h); it cuts larger ones.
const MAX_ERRNO: u32 = 4095;
/// What errno and trace data are without `errnoRet`.
const EPERM: u32 = 1;

fn refuse(field: &str, reason: &str) -> Error {
    Error::invalid("compile", "seccomp profile", format!("{field}: {reason}"))
}

/// Compiles an OCI profile for a host.
///
/// System calls no ABI of the host has are ignored, as are architectures its kernel cannot run. Errors name the field.
pub fn compile(profile: &LinuxSeccomp, host: &HostArch) -> Result<Filter> {
    let default = action(profile.default_action(), profile.default_errno_ret(), "defaultErrnoRet")?;
    if default == ret::USER_NOTIF {
        return Err(refuse("defaultAction", "SCMP_ACT_NOTIFY cannot be the default"));
    }
    let syscalls = profile.syscalls().as_deref().unwrap_or_default();
    let mut rules = Vec::with_capacity(syscalls.len());
    for (index, syscall) in syscalls.iter().enumerate() {
        add_rules(&mut rules, syscall, &format!("syscalls[{index}]"))?;
    }
    let notify = rules.iter().any(|rule| rule.action == ret::USER_NOTIF);
    if notify && profile.listener_path().as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        return Err(refuse("listenerPath", "needed by SCMP_ACT_NOTIFY"));
    }
    let listed = profile.architectures().iter().flatten().filter_map(|arch| abi_of(*arch, *host)).collect();
    Ok(Filter {
        flags: flags(profile, notify)?,
        notify,
        listener_path: profile.listener_path().clone(),
        listener_metadata: profile.listener_metadata().clone(),
        program: assemble(&Policy { host: *host, listed, default, rules })?.into(),
    })
}

/// The `SECCOMP_RET_*` value of an action. An `errnoRet` the action has no use for is an error, says the specification.
fn action(action: LinuxSeccompAction, errno_ret: Option<u32>, field: &str) -> Result<u32> {
    use LinuxSeccompAction as A;
    let (value, limit) = match action {
        A::ScmpActKill | A::ScmpActKillThread => (ret::KILL_THREAD, None),
        A::ScmpActKillProcess => (ret::KILL_PROCESS, None),
        A::ScmpActTrap => (ret::TRAP, None),
        A::ScmpActErrno => (ret::ERRNO, Some(MAX_ERRNO)),
        A::ScmpActNotify => (ret::USER_NOTIF, None),
        A::ScmpActTrace => (ret::TRACE, Some(u32::from(u16::MAX))),
        A::ScmpActLog => (ret::LOG, None),
        A::ScmpActAllow => (ret::ALLOW, None),
    };
    match (errno_ret, limit) {
        (None, None) => Ok(value),
        (Some(_), None) => Err(refuse(field, &format!("{action} takes none"))),
        (data, Some(limit)) => match data.unwrap_or(EPERM) {
            data if data <= limit => Ok(value | data),
            data => Err(refuse(field, &format!("{data} is more than {limit}"))),
        },
    }
}

fn add_rules<'a>(rules: &mut Vec<Rule<'a>>, syscall: &'a LinuxSyscall, field: &str) -> Result<()> {
    let names = || syscall.names().iter().map(String::as_str);
    if names().len() == 0 {
        return Err(refuse(&format!("{field}.names"), "empty"));
    }
    if names().any(str::is_empty) {
        return Err(refuse(&format!("{field}.names"), "an empty name"));
    }
    let action = action(syscall.action(), syscall.errno_ret(), &format!("{field}.errnoRet"))?;
    // The listener's descriptor is on its way when the filter is already in force; runc refuses it too.
    if action == ret::USER_NOTIF && names().any(|name| name == "write") {
        return Err(refuse(&format!("{field}.names"), "SCMP_ACT_NOTIFY cannot be used for write"));
    }
    let mut conditions = Vec::new();
    for (index, argument) in syscall.args().iter().flatten().enumerate() {
        conditions.push(condition(argument, &format!("{field}.args[{index}]"))?);
    }
    let mut arguments: Vec<u8> = conditions.iter().map(|condition| condition.argument).collect();
    arguments.sort_unstable();
    if arguments.windows(2).any(|pair| pair[0] == pair[1]) {
        // Two tests of one argument: each test is a rule of its own (runc's matchCall, its issue 2735).
        rules.extend(conditions.into_iter().map(|condition| Rule::new(names(), action, vec![condition])));
    } else {
        rules.push(Rule::new(names(), action, conditions));
    }
    Ok(())
}

fn condition(argument: &LinuxSeccompArg, field: &str) -> Result<Condition> {
    let index = u8::try_from(argument.index()).ok().filter(|index| *index < 6);
    let index =
        index.ok_or_else(|| refuse(&format!("{field}.index"), &format!("{} is more than 5", argument.index())))?;
    let mut value = argument.value();
    let operator = match argument.op() {
        LinuxSeccompOperator::ScmpCmpNe => Operator::Ne,
        LinuxSeccompOperator::ScmpCmpLt => Operator::Lt,
        LinuxSeccompOperator::ScmpCmpLe => Operator::Le,
        LinuxSeccompOperator::ScmpCmpEq => Operator::Eq,
        LinuxSeccompOperator::ScmpCmpGe => Operator::Ge,
        LinuxSeccompOperator::ScmpCmpGt => Operator::Gt,
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let mask = std::mem::replace(&mut value, argument.value_two().unwrap_or(0));
            Operator::MaskedEq(mask)
        }
    };
    Ok(Condition { argument: index, operator, value })
}

fn abi_of(arch: Arch, host: HostArch) -> Option<Abi> {
    let abi = match arch {
        Arch::ScmpArchNative => host.native_abi(),
        Arch::ScmpArchX86_64 => Abi::X86_64,
        Arch::ScmpArchX86 => Abi::X86,
        Arch::ScmpArchX32 => Abi::X32,
        Arch::ScmpArchAarch64 => Abi::Aarch64,
        Arch::ScmpArchArm => Abi::Arm,
        _ => return None,
    };
    host.abis().contains(&abi).then_some(abi)
}

/// Without a list of flags SPEC_ALLOW is set, as runc does since 1.2; an empty list means none.
fn flags(profile: &LinuxSeccomp, notify: bool) -> Result<u32> {
    use LinuxSeccompFilterFlag as F;
    let mut flags = if notify { flag::NEW_LISTENER } else { 0 };
    let Some(names) = profile.flags() else {
        return Ok(flags | flag::SPEC_ALLOW);
    };
    for name in names {
        flags |= match name {
            F::SeccompFilterFlagTsync if notify => flag::TSYNC | flag::TSYNC_ESRCH,
            F::SeccompFilterFlagTsync => flag::TSYNC,
            F::SeccompFilterFlagLog => flag::LOG,
            F::SeccompFilterFlagSpecAllow => flag::SPEC_ALLOW,
            F::SeccompFilterFlagWaitKillableRecv if notify => flag::WAIT_KILLABLE_RECV,
            F::SeccompFilterFlagWaitKillableRecv => {
                return Err(refuse("flags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs SCMP_ACT_NOTIFY"));
            }
        };
    }
    Ok(flags)
}
