//! Random profiles and calls, the same in every run.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator as Op, LinuxSyscall,
};
use pyctr_core::seccomp::{Abi, HostArch, syscall_number};

use crate::bpf::Data;
use crate::reference;

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    pub fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

const VALUES: [u64; 16] = [
    0,
    1,
    2,
    5,
    7,
    0xff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x1_0000_0005,
    0x5_0000_0000,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    u64::MAX,
];
const NAMES: [&str; 26] = [
    "read",
    "write",
    "open",
    "close",
    "socket",
    "socketcall",
    "ipc",
    "shmat",
    "semop",
    "accept",
    "accept4",
    "clone",
    "clone3",
    "personality",
    "waitpid",
    "mmap2",
    "set_tls",
    "execve",
    "io_setup",
    "ptrace",
    "mseal",
    "rt_sigreturn",
    "no_such_call",
    "send",
    "openat2",
    "renameat",
];
/// All comparisons.
pub const OPERATORS: &[Op] =
    &[Op::ScmpCmpNe, Op::ScmpCmpLt, Op::ScmpCmpLe, Op::ScmpCmpEq, Op::ScmpCmpGe, Op::ScmpCmpGt, Op::ScmpCmpMaskedEq];
const ACTIONS: [Action; 7] = [
    Action::ScmpActAllow,
    Action::ScmpActErrno,
    Action::ScmpActKillProcess,
    Action::ScmpActTrap,
    Action::ScmpActLog,
    Action::ScmpActTrace,
    Action::ScmpActKill,
];
const ARCHES: [Arch; 7] = [
    Arch::ScmpArchNative,
    Arch::ScmpArchX86_64,
    Arch::ScmpArchX86,
    Arch::ScmpArchX32,
    Arch::ScmpArchAarch64,
    Arch::ScmpArchArm,
    Arch::ScmpArchMips,
];

/// How wild a profile may be.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Rules of one call may have different actions.
    pub conflicts: bool,
    /// A rule may test several arguments.
    pub several_arguments: bool,
    /// Values that do not fit into 32 bits.
    pub wide_values: bool,
    /// The comparisons to choose from.
    pub operators: &'static [Op],
}

pub fn profile(random: &mut Random, shape: Shape) -> LinuxSeccomp {
    let mut profile = LinuxSeccomp::default();
    let default = random.of(&ACTIONS);
    profile.set_default_action(default);
    if default == Action::ScmpActErrno {
        profile.set_default_errno_ret(random.of(&[None, Some(1), Some(38), Some(4095)]));
    }
    let arches = (0..random.below(5)).map(|_| random.of(&ARCHES)).collect();
    profile.set_architectures(Some(arches).filter(|_| random.below(5) > 0));
    let action = random.of(&ACTIONS);
    let most = if random.below(10) == 0 { 120 } else { 12 };
    let rules = 1 + random.below(most);
    profile.set_syscalls(Some((0..rules).map(|_| rule(random, shape, action)).collect()));
    profile
}

fn rule(random: &mut Random, shape: Shape, action: Action) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names((0..=random.below(4)).map(|_| random.of(&NAMES).to_owned()).collect());
    let action = if shape.conflicts { random.of(&ACTIONS) } else { action };
    rule.set_action(action);
    if matches!(action, Action::ScmpActErrno | Action::ScmpActTrace) && shape.conflicts {
        rule.set_errno_ret(random.of(&[None, Some(2), Some(38)]));
    }
    let count = if shape.several_arguments { random.below(4) } else { random.below(4).min(1) };
    let args = (0..count).map(|_| argument(random, shape)).collect();
    rule.set_args(Some(args));
    rule
}

fn argument(random: &mut Random, shape: Shape) -> LinuxSeccompArg {
    let values = if shape.wide_values { &VALUES[..] } else { &VALUES[..9] };
    LinuxSeccompArgBuilder::default()
        // Mostly the first argument, so that rules overlap.
        .index(if shape.several_arguments { random.below(6) } else { random.below(4).saturating_sub(2) })
        .op(random.of(shape.operators))
        .value(random.of(values))
        .value_two(random.of(values))
        .build()
        .unwrap()
}

/// Calls worth asking about: every number near one the profile names, with arguments near the values it compares.
pub fn calls(random: &mut Random, profile: &LinuxSeccomp, host: HostArch) -> Vec<Data> {
    let mut numbers =
        vec![0, 102, 117, 1000, 0x4000_0000, 0x4000_0001, 0x7fff_ffff, 0x8000_0000, 0xc000_0000, u32::MAX];
    let mut values = vec![0, 1, 21, 0xffff_ffff, u64::MAX];
    for rule in profile.syscalls().iter().flatten() {
        for name in rule.names() {
            for abi in reference::abis(profile, host) {
                let number = syscall_number(name, abi).into_iter();
                numbers.extend(number.flat_map(|n| [n.wrapping_sub(1), n, n + 1, n ^ 0x4000_0000]));
            }
        }
        for arg in rule.args().iter().flatten() {
            for value in [arg.value(), arg.value_two().unwrap_or(0)] {
                values.extend([value, value.wrapping_sub(1), value.wrapping_add(1), value ^ 1 << 32, value << 32]);
            }
        }
    }
    let mut arches: Vec<u32> = host.abis().iter().map(|abi| abi.audit_arch()).collect();
    arches.push(Abi::Arm.audit_arch());
    arches.push(Abi::X86.audit_arch());
    let mut calls = Vec::new();
    for nr in numbers {
        for _ in 0..6 {
            let args = std::array::from_fn(|_| random.of(&values));
            calls.push(Data { nr, arch: random.of(&arches), args });
        }
    }
    calls
}
