//! What a profile means, said as plainly as possible: no trees, no ranges, one call at a time. See docs/seccomp.md.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator as Op, LinuxSyscall,
};
use pyctr_core::seccomp::{Abi, HostArch, syscall_number};

use crate::bpf::Data;

pub const KILL: u32 = 0;
pub const ALLOW: u32 = 0x7fff_0000;
pub const ENOSYS: u32 = 0x0005_0026;
pub const EPERM: u32 = 0x0005_0001;

const SOCKETCALLS: [&str; 21] = [
    "",
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];
const IPCS: [&str; 25] = [
    "",
    "semop",
    "semget",
    "semctl",
    "semtimedop",
    "",
    "",
    "",
    "",
    "",
    "",
    "msgsnd",
    "msgrcv",
    "msgget",
    "msgctl",
    "",
    "",
    "",
    "",
    "",
    "",
    "shmat",
    "shmdt",
    "shmget",
    "shmctl",
];

pub fn abis(profile: &LinuxSeccomp, host: HostArch) -> Vec<Abi> {
    host.abis().iter().copied().filter(|abi| *abi == host.native_abi() || lists(profile, *abi, host)).collect()
}

fn lists(profile: &LinuxSeccomp, abi: Abi, host: HostArch) -> bool {
    profile.architectures().iter().flatten().any(|arch| match arch {
        Arch::ScmpArchNative => abi == host.native_abi(),
        Arch::ScmpArchX86_64 => abi == Abi::X86_64,
        Arch::ScmpArchX86 => abi == Abi::X86,
        Arch::ScmpArchX32 => abi == Abi::X32,
        Arch::ScmpArchAarch64 => abi == Abi::Aarch64,
        Arch::ScmpArchArm => abi == Abi::Arm,
        _ => false,
    })
}

/// runc's ENOSYS for what the profile does not know, if it applies.
pub fn stub(profile: &LinuxSeccomp, host: HostArch, data: &Data) -> Option<u32> {
    let default = profile.default_action().as_u32(None) & 0xffff_0000;
    if [ALLOW, 0x7ffc_0000, 0x7ff0_0000].contains(&default) {
        return None;
    }
    let x32 = data.nr & 0x4000_0000 != 0;
    let abi = host.abis().iter().copied().find(|abi| {
        abi.audit_arch() == data.arch && (data.arch != Abi::X32.audit_arch() || (*abi == Abi::X32) == x32)
    })?;
    if !lists(profile, abi, host) {
        return None;
    }
    let names = profile.syscalls().iter().flatten().flat_map(LinuxSyscall::names);
    let known = names.flat_map(|name| {
        let multiplexer = (abi == Abi::X86 && !name.is_empty())
            .then(|| if SOCKETCALLS.contains(&&**name) { Some(102) } else { IPCS.contains(&&**name).then_some(117) })
            .flatten();
        syscall_number(name, abi).into_iter().chain(multiplexer)
    });
    let last = known.max().filter(|last| *last != 0)?;
    (data.nr > last).then_some(ENOSYS)
}

/// What happens to a call.
pub fn decide(profile: &LinuxSeccomp, host: HostArch, data: &Data) -> u32 {
    stub(profile, host, data).unwrap_or_else(|| filter(profile, host, data))
}

fn filter(profile: &LinuxSeccomp, host: HostArch, data: &Data) -> u32 {
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let known = abis(profile, host);
    let is_x32 = data.arch == Abi::X32.audit_arch() && data.nr >= 0x4000_0000;
    let wanted = if is_x32 && known.contains(&Abi::X32) { Some(Abi::X32) } else { None };
    let Some(abi) = wanted.or_else(|| known.into_iter().find(|a| *a != Abi::X32 && a.audit_arch() == data.arch)) else {
        return KILL;
    };
    if is_x32 && abi != Abi::X32 {
        return if data.nr == u32::MAX { default } else { KILL };
    }
    let mut found: Vec<(Vec<LinuxSeccompArg>, u32)> = Vec::new();
    for rule in profile.syscalls().iter().flatten() {
        let action = rule.action().as_u32(rule.errno_ret());
        if action == default {
            continue;
        }
        for name in rule.names() {
            for args in alternatives(rule) {
                for args in matching(abi, name, args, data.nr) {
                    found.push((args.into_iter().filter(|arg| !is_tautology(abi, arg)).collect(), action));
                }
            }
        }
    }
    if let Some((_, action)) = found.iter().find(|(args, _)| args.is_empty()) {
        return *action;
    }
    found.retain(|(args, _)| args.iter().all(|arg| holds(abi, arg, data.args[arg.index()])));
    found.sort_by_key(|(args, _)| args.iter().map(|arg| rank(abi, arg)).collect::<Vec<_>>());
    found.first().map_or(default, |(_, action)| *action)
}

/// Two tests of one argument make every test a rule of its own.
fn alternatives(rule: &LinuxSyscall) -> Vec<Vec<LinuxSeccompArg>> {
    let mut args = rule.args().clone().unwrap_or_default();
    args.sort_by_key(LinuxSeccompArg::index);
    if args.windows(2).any(|pair| pair[0].index() == pair[1].index()) {
        args.into_iter().map(|arg| vec![arg]).collect()
    } else {
        vec![args]
    }
}

/// The argument tests under which a rule for this name is about this number: directly, and through x86's multiplexers.
fn matching(abi: Abi, name: &str, args: Vec<LinuxSeccompArg>, nr: u32) -> Vec<Vec<LinuxSeccompArg>> {
    let mut found = Vec::new();
    let (table, mask) = match (abi, nr) {
        (Abi::X86, 102) => (&SOCKETCALLS[..], u64::from(u32::MAX)),
        (Abi::X86, 117) => (&IPCS[..], 0xffff),
        _ => (&[][..], 0),
    };
    if let Some(call) = table.iter().position(|known| *known == name) {
        let first = LinuxSeccompArgBuilder::default().op(Op::ScmpCmpMaskedEq).value(mask).value_two(call as u64);
        let first = first.build().unwrap();
        let rest = args.iter().copied().filter(|arg| arg.index() > 0);
        found.push(std::iter::once(first).chain(rest).collect());
    }
    if syscall_number(name, abi) == Some(nr) {
        found.push(args);
    }
    found
}

fn word(abi: Abi) -> u64 {
    if abi.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) }
}

fn is_tautology(abi: Abi, arg: &LinuxSeccompArg) -> bool {
    arg.op() == Op::ScmpCmpMaskedEq && arg.value() & word(abi) == 0
}

fn holds(abi: Abi, arg: &LinuxSeccompArg, value: u64) -> bool {
    let (value, wanted) = (value & word(abi), arg.value() & word(abi));
    match arg.op() {
        Op::ScmpCmpNe => value != wanted,
        Op::ScmpCmpLt => value < wanted,
        Op::ScmpCmpLe => value <= wanted,
        Op::ScmpCmpEq => value == wanted,
        Op::ScmpCmpGe => value >= wanted,
        Op::ScmpCmpGt => value > wanted,
        Op::ScmpCmpMaskedEq => value & wanted == arg.value_two().unwrap_or(0) & wanted,
    }
}

/// Higher arguments first; equalities from the largest, upper bounds from the smallest, lower bounds from the largest.
fn rank(abi: Abi, arg: &LinuxSeccompArg) -> (usize, u8, u64) {
    let value = arg.value() & word(abi);
    let (class, order) = match arg.op() {
        Op::ScmpCmpEq | Op::ScmpCmpNe => (0, u64::MAX - value),
        Op::ScmpCmpMaskedEq => (0, u64::MAX - (arg.value_two().unwrap_or(0) & value)),
        Op::ScmpCmpLe | Op::ScmpCmpLt => (1, value),
        Op::ScmpCmpGe | Op::ScmpCmpGt => (2, u64::MAX - value),
    };
    (5 - arg.index(), class, order)
}
