//! A profile in its plainest form, and what it says about each system call of one ABI.
//!
//! The meaning is libseccomp's (db.c of 2.5) behind runc's (libcontainer/seccomp): see docs/seccomp.md. Shared with the build
//! script, so nothing here may use the rest of the crate.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use super::abi::{Abi, HostArch, Numbers};
use super::table::lookup;

/// `SECCOMP_RET_*` of linux/seccomp.h.
pub mod ret {
    /// End the thread with SIGSYS; also what an architecture outside the profile gets.
    pub const KILL_THREAD: u32 = 0;
    /// End the process with SIGSYS.
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    /// Send SIGSYS.
    pub const TRAP: u32 = 0x0003_0000;
    /// Fail with the errno in the low 16 bits.
    pub const ERRNO: u32 = 0x0005_0000;
    /// Ask the listener.
    pub const USER_NOTIF: u32 = 0x7fc0_0000;
    /// Tell the tracer, with the low 16 bits.
    pub const TRACE: u32 = 0x7ff0_0000;
    /// Allow and log.
    pub const LOG: u32 = 0x7ffc_0000;
    /// Allow.
    pub const ALLOW: u32 = 0x7fff_0000;
    /// Which part of a return value is the action.
    pub const ACTION: u32 = 0xffff_0000;
    /// `ERRNO(ENOSYS)`.
    pub const ENOSYS: u32 = ERRNO | 0x26;
}

/// The longest program the kernel takes (`BPF_MAXINSNS` of `linux/bpf_common.h`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Different from the value.
    Ne,
    /// Less than the value, unsigned.
    Lt,
    /// At most the value, unsigned.
    Le,
    /// The value.
    Eq,
    /// At least the value, unsigned.
    Ge,
    /// More than the value, unsigned.
    Gt,
    /// Equal to the value in the bits of this mask.
    MaskedEq(u64),
}

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// The comparison.
    pub operator: Operator,
    /// What it is compared with.
    pub value: u64,
}

/// What is done with calls of these names when all conditions hold.
#[derive(Debug, Clone)]
pub struct Rule<'a> {
    /// System calls. A name no ABI here has is left out: the kernel cannot be asked for it.
    pub calls: Vec<(&'a str, Numbers)>,
    /// A `SECCOMP_RET_*` value with its data.
    pub action: u32,
    /// At most one an argument; all must hold.
    pub conditions: Vec<Condition>,
}

/// A whole profile.
#[derive(Debug, Clone)]
pub struct Policy<'a> {
    /// The kernel it is for.
    pub host: HostArch,
    /// The ABIs the profile names. The native one is always filtered; the others only if named.
    pub listed: Vec<Abi>,
    /// A `SECCOMP_RET_*` value with its data.
    pub default: u32,
    /// In the profile's order.
    pub rules: Vec<Rule<'a>>,
}

/// Why a profile cannot become a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Two rules for this call have equal conditions and different actions.
    Conflict(String),
    /// More instructions than the kernel takes.
    TooLong(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(name) => write!(f, "two actions for the same arguments of {name}"),
            Self::TooLong(count) => write!(f, "{count} instructions, more than the kernel's 4096"),
        }
    }
}

/// One conditional outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// All must hold; sorted by argument, no argument twice, values within the ABI's word.
    pub conditions: Vec<Condition>,
    /// A `SECCOMP_RET_*` value with its data.
    pub action: u32,
}

/// What the profile says of one call number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same whatever the arguments.
    Always(u32),
    /// The first case that holds, or else the default action.
    Cases(Vec<Case>),
}

/// What the profile says of one ABI.
#[derive(Debug)]
pub struct Calls {
    /// Sorted by number, each once. A number not here gets the default action.
    pub verdicts: Vec<(u32, Verdict)>,
    /// Numbers above this one are unknown to the profile: they fail with ENOSYS (runc's patchbpf).
    pub last_known: Option<u32>,
}

/// The multiplexed calls of 32-bit x86 and their call numbers (linux/net.h, linux/ipc.h): a rule for one of these is a rule
/// for socketcall or ipc too. The second field says which.
const MULTIPLEXED: [(&str, Multiplexer, u64); 32] = {
    use Multiplexer::{Ipc, Socketcall};
    [
        ("socket", Socketcall, 1),
        ("bind", Socketcall, 2),
        ("connect", Socketcall, 3),
        ("listen", Socketcall, 4),
        ("accept", Socketcall, 5),
        ("getsockname", Socketcall, 6),
        ("getpeername", Socketcall, 7),
        ("socketpair", Socketcall, 8),
        ("send", Socketcall, 9),
        ("recv", Socketcall, 10),
        ("sendto", Socketcall, 11),
        ("recvfrom", Socketcall, 12),
        ("shutdown", Socketcall, 13),
        ("setsockopt", Socketcall, 14),
        ("getsockopt", Socketcall, 15),
        ("sendmsg", Socketcall, 16),
        ("recvmsg", Socketcall, 17),
        ("accept4", Socketcall, 18),
        ("recvmmsg", Socketcall, 19),
        ("sendmmsg", Socketcall, 20),
        ("semop", Ipc, 1),
        ("semget", Ipc, 2),
        ("semctl", Ipc, 3),
        ("semtimedop", Ipc, 4),
        ("msgsnd", Ipc, 11),
        ("msgrcv", Ipc, 12),
        ("msgget", Ipc, 13),
        ("msgctl", Ipc, 14),
        ("shmat", Ipc, 21),
        ("shmdt", Ipc, 22),
        ("shmget", Ipc, 23),
        ("shmctl", Ipc, 24),
    ]
};

#[derive(Debug, Clone, Copy)]
enum Multiplexer {
    Socketcall,
    Ipc,
}

impl Multiplexer {
    /// x86's number of the multiplexer, and the test of its first argument. The kernel keeps a version in the upper half of
    /// ipc's (ipc/syscall.c), which libseccomp forgets: a profile that denies shmat would let `0x10000 | SHMAT` through.
    fn condition(self, call: u64) -> (u32, Condition) {
        let (number, operator) = match self {
            Self::Socketcall => (102, Operator::Eq),
            Self::Ipc => (117, Operator::MaskedEq(0xffff)),
        };
        (number, Condition { argument: 0, operator, value: call })
    }
}

impl<'a> Rule<'a> {
    /// A rule for all calls of these names that exist.
    pub fn new(names: impl IntoIterator<Item = &'a str>, action: u32, conditions: Vec<Condition>) -> Self {
        let calls = names.into_iter().filter_map(|name| Some((name, lookup(name)?))).collect();
        Self { calls, action, conditions }
    }
}

impl Policy<'_> {
    /// The ABIs the filter knows; others get [`ret::KILL_THREAD`].
    pub fn filtered(&self) -> impl Iterator<Item = Abi> + '_ {
        let native = self.host.native_abi();
        self.host.abis().iter().copied().filter(move |abi| *abi == native || self.listed.contains(abi))
    }

    /// What the profile says of every call of one ABI.
    pub fn calls(&self, abi: Abi) -> Result<Calls, Fault> {
        let mut entries: Vec<(u32, usize, Option<Condition>)> = Vec::new();
        let mut last_known = 0;
        for (index, rule) in self.rules.iter().enumerate() {
            for (name, numbers) in &rule.calls {
                let direct = numbers.under(abi).map(|number| (number, index, None));
                let multiplexed = MULTIPLEXED.iter().find(|entry| abi == Abi::X86 && entry.0 == *name).map(|entry| {
                    let (number, condition) = entry.1.condition(entry.2);
                    (number, index, Some(condition))
                });
                for entry in direct.into_iter().chain(multiplexed) {
                    last_known = last_known.max(entry.0);
                    // Like runc: a rule that says what the default says is none, and cannot shadow another.
                    if rule.action != self.default {
                        entries.push(entry);
                    }
                }
            }
        }
        entries.sort_by_key(|entry| (entry.0, entry.1));
        let mut verdicts = Vec::new();
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            verdicts.push((group[0].0, self.verdict(abi, group)?));
        }
        let wants_enosys = self.listed.contains(&abi) && !is_permissive(self.default) && last_known != 0;
        Ok(Calls { verdicts, last_known: wants_enosys.then_some(last_known) })
    }

    /// Puts the rules of one call together: the first unconditional one decides alone; else cases, most specific first.
    fn verdict(&self, abi: Abi, group: &[(u32, usize, Option<Condition>)]) -> Result<Verdict, Fault> {
        let mut cases = Vec::new();
        for (_, index, call) in group {
            let rule = &self.rules[*index];
            let mut conditions: Vec<Condition> = call
                .iter()
                .copied()
                .chain(rule.conditions.iter().copied().filter(|c| call.is_none() || c.argument > 0))
                .filter_map(|condition| condition.within(abi))
                .collect();
            if conditions.is_empty() {
                return Ok(Verdict::Always(rule.action));
            }
            conditions.sort_by_key(|condition| condition.argument);
            cases.push(Case { conditions, action: rule.action });
        }
        if cases.len() > MAX_INSTRUCTIONS {
            return Err(Fault::TooLong(cases.len()));
        }
        cases.sort_by(|a, b| specificity(&a.conditions, &b.conditions));
        for pair in cases.windows(2) {
            if pair[0].conditions == pair[1].conditions && pair[0].action != pair[1].action {
                let (number, rule, _) = group[0];
                let name = self.rules[rule].calls.iter().find(|call| call.1.under(abi) == Some(number));
                return Err(Fault::Conflict(name.map_or_else(|| format!("call {number}"), |call| call.0.to_owned())));
            }
        }
        cases.dedup();
        Ok(Verdict::Cases(cases))
    }
}

impl Condition {
    /// The condition as the ABI's word size sees it; none if it always holds. 32-bit ABIs compare the low words only.
    fn within(mut self, abi: Abi) -> Option<Self> {
        let word = if abi.is_64_bit() { u64::MAX } else { u64::from(u32::MAX) };
        self.value &= word;
        if let Operator::MaskedEq(mask) = self.operator {
            self.value &= mask;
            self.operator = if mask & word == word { Operator::Eq } else { Operator::MaskedEq(mask & word) };
            return (mask & word != 0).then_some(self);
        }
        Some(self)
    }

    /// libseccomp's order of tests on one argument: equalities, then upper bounds from the smallest, then lower bounds from
    /// the largest.
    fn rank(&self) -> (Reverse<u8>, u8, u64) {
        let (class, order) = match self.operator {
            Operator::Eq | Operator::Ne | Operator::MaskedEq(_) => (0, !self.value),
            Operator::Lt | Operator::Le => (1, self.value),
            Operator::Ge | Operator::Gt => (2, !self.value),
        };
        (Reverse(self.argument), class, order)
    }
}

/// Which of two overlapping cases is asked first; see `_db_chain_lt` of libseccomp.
fn specificity(a: &[Condition], b: &[Condition]) -> Ordering {
    for (x, y) in a.iter().zip(b) {
        let order = x.rank().cmp(&y.rank());
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Whether calls nobody thought of go through: then there is nothing to be gained from ENOSYS (runc's `isAllowAction`).
fn is_permissive(action: u32) -> bool {
    matches!(action & ret::ACTION, ret::ALLOW | ret::LOG | ret::TRACE)
}
