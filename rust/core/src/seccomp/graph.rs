//! A filter as a graph of decisions: equal parts exist once, ranges of numbers are searched as a binary tree.
//!
//! Shared with the build script, so nothing here may use the rest of the crate.

use std::collections::HashMap;

use super::abi::{Abi, X32_BIT};
use super::policy::{Calls, Case, Condition, Fault, Operator, Policy, Verdict, ret};

/// Offset of `nr` in `struct seccomp_data` (linux/seccomp.h).
const NR: u32 = 0;
/// Offset of `arch`.
const ARCH: u32 = 4;
/// Offset of `args[0]`; 8 bytes each, low word first on the little-endian hosts supported.
const ARGS: u32 = 16;

/// A node of a [`Graph`].
pub type Id = u32;

/// One decision. `Test` looks at whatever was loaded last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// The end: a `SECCOMP_RET_*` value.
    Return(u32),
    /// Loads the 32-bit word at this offset of `struct seccomp_data`.
    Load(u32, Id),
    /// Keeps the bits of this mask.
    And(u32, Id),
    /// Compares, unsigned.
    Test(Compare, u32, Id, Id),
}

/// The comparisons of classic BPF that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// Equal.
    Equal,
    /// Greater or equal.
    AtLeast,
}

/// Nodes, children before parents.
#[derive(Debug, Default)]
pub struct Graph {
    /// All of them; some may have become unreachable.
    pub nodes: Vec<Node>,
    known: HashMap<Node, Id>,
}

/// A partition of the 32-bit numbers: where each part starts (the first at 0) and what is done there.
type Parts = Vec<(u32, Id)>;

/// How many single numbers may be asked for one after the other inside a range before the tree branches again.
const MAX_EXCEPTIONS: usize = 3;

impl Graph {
    /// The graph of a whole policy and its root.
    pub fn of(policy: &Policy) -> Result<(Self, Id), Fault> {
        let mut graph = Self::default();
        let mut root = graph.node(Node::Return(ret::KILL_THREAD));
        let abis: Vec<Abi> = policy.filtered().collect();
        for abi in abis.iter().rev().filter(|abi| **abi != Abi::X32) {
            let x32 = *abi == Abi::X86_64 && abis.contains(&Abi::X32);
            let parts = graph.number_parts(policy, *abi, x32)?;
            let tree = graph.tree(&parts);
            let load = graph.load(NR, tree);
            root = graph.test(Compare::Equal, abi.audit_arch(), load, root);
        }
        let root = graph.load(ARCH, root);
        Ok((graph, root))
    }

    fn node(&mut self, node: Node) -> Id {
        let next = Id::try_from(self.nodes.len()).unwrap_or(Id::MAX);
        let id = *self.known.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    fn test(&mut self, compare: Compare, value: u32, yes: Id, no: Id) -> Id {
        if yes == no { yes } else { self.node(Node::Test(compare, value, yes, no)) }
    }

    fn load(&mut self, offset: u32, next: Id) -> Id {
        if matches!(self.nodes[next as usize], Node::Return(_) | Node::Load(..)) {
            next
        } else {
            self.node(Node::Load(offset, next))
        }
    }

    /// What is done for every number under one value of `seccomp_data.arch`.
    fn number_parts(&mut self, policy: &Policy, abi: Abi, x32: bool) -> Result<Parts, Fault> {
        let default = self.node(Node::Return(policy.default));
        let calls = policy.calls(abi)?;
        let mut parts = vec![(0, default)];
        self.add_calls(&mut parts, &calls, abi, default);
        if abi != Abi::X86_64 {
            self.add_enosys(&mut parts, calls.last_known, 0, u32::MAX);
            return Ok(parts);
        }
        // Numbers from bit 30 on are x32's, or nobody's; but -1 is how a tracer skips a call (seccomp(2)).
        let mut x32_last_known = None;
        if x32 {
            parts.push((X32_BIT, default));
            let calls = policy.calls(Abi::X32)?;
            self.add_calls(&mut parts, &calls, Abi::X32, default);
            x32_last_known = calls.last_known;
        } else {
            let kill = self.node(Node::Return(ret::KILL_THREAD));
            parts.extend([(X32_BIT, kill), (u32::MAX, default)]);
        }
        // runc tells x32 by the bit alone, so there are four quarters.
        self.add_enosys(&mut parts, calls.last_known, 0, X32_BIT - 1);
        self.add_enosys(&mut parts, x32_last_known, X32_BIT, 2 * X32_BIT - 1);
        self.add_enosys(&mut parts, calls.last_known, 2 * X32_BIT, 3 * X32_BIT - 1);
        self.add_enosys(&mut parts, x32_last_known, 3 * X32_BIT, u32::MAX);
        Ok(parts)
    }

    fn add_calls(&mut self, parts: &mut Parts, calls: &Calls, abi: Abi, default: Id) {
        for (number, verdict) in &calls.verdicts {
            let id = match verdict {
                Verdict::Always(action) => self.node(Node::Return(*action)),
                Verdict::Cases(cases) => self.cases(cases, abi, default),
            };
            if parts.last().is_some_and(|part| part.0 == *number) {
                parts.pop();
            }
            parts.push((*number, id));
            parts.push((number + 1, default));
        }
    }

    /// ENOSYS for `first..=last` as far as it lies above the last number known.
    fn add_enosys(&mut self, parts: &mut Parts, last_known: Option<u32>, first: u32, last: u32) {
        let Some(known) = last_known else { return };
        let first = first.max(known + 1);
        if first > last {
            return;
        }
        let enosys = self.node(Node::Return(ret::ENOSYS));
        let at = parts.partition_point(|part| part.0 < first);
        let end = parts.partition_point(|part| part.0 <= last);
        let resumes = (last != u32::MAX && parts.get(end).is_none_or(|part| part.0 != last + 1))
            .then(|| (last + 1, parts[end - 1].1));
        parts.splice(at..end, std::iter::once((first, enosys)).chain(resumes));
    }

    /// The cases of one call, asked in turn. Neighbours that test only one argument, and the same one, become one search.
    fn cases(&mut self, cases: &[Case], abi: Abi, default: Id) -> Id {
        let mut next = default;
        let mergeable = |case: &Case| {
            matches!(case.conditions[..], [only] if !matches!(only.operator, Operator::MaskedEq(_)))
                .then(|| case.conditions[0].argument)
        };
        for run in cases.chunk_by(|a, b| mergeable(a).is_some() && mergeable(a) == mergeable(b)).rev() {
            if let Some(argument) = mergeable(&run[0]) {
                let tests: Vec<(Condition, Id)> =
                    run.iter().map(|case| (case.conditions[0], self.node(Node::Return(case.action)))).collect();
                next = self.value_search(argument, abi, &tests, next);
                continue;
            }
            let mut yes = self.node(Node::Return(run[0].action));
            for condition in run[0].conditions.iter().rev() {
                yes = match condition.operator {
                    Operator::MaskedEq(mask) => self.masked(*condition, mask, abi, yes, next),
                    _ => self.value_search(condition.argument, abi, &[(*condition, yes)], next),
                };
            }
            next = yes;
        }
        next
    }

    fn masked(&mut self, condition: Condition, mask: u64, abi: Abi, yes: Id, no: Id) -> Id {
        let low = word_offset(condition.argument, false);
        let mut node = self.masked_word(low, low_word(mask), low_word(condition.value), yes, no);
        if abi.is_64_bit() {
            let high = word_offset(condition.argument, true);
            node = self.masked_word(high, high_word(mask), high_word(condition.value), node, no);
        }
        node
    }

    fn masked_word(&mut self, offset: u32, mask: u32, value: u32, yes: Id, no: Id) -> Id {
        let test = match mask {
            0 => return yes,
            u32::MAX => self.test(Compare::Equal, value, yes, no),
            _ => {
                let test = self.test(Compare::Equal, value, yes, no);
                if test == yes { yes } else { self.node(Node::And(mask, test)) }
            }
        };
        self.load(offset, test)
    }

    /// One search over the values of an argument: the first test that holds decides, or `no`.
    fn value_search(&mut self, argument: u8, abi: Abi, tests: &[(Condition, Id)], no: Id) -> Id {
        let mut starts: Vec<u64> = vec![0];
        for (condition, _) in tests {
            starts.push(condition.value);
            starts.extend(condition.value.checked_add(1));
        }
        starts.sort_unstable();
        starts.dedup();
        let decide = |value: u64| tests.iter().find(|(test, _)| test.holds(value)).map_or(no, |test| test.1);
        let mut parts: Vec<(u64, Id)> = starts.into_iter().map(|start| (start, decide(start))).collect();
        parts.dedup_by_key(|part| part.1);
        if !abi.is_64_bit() {
            // Values were cut to the word, so only `value + 1` can lie outside it.
            let low = parts.iter().filter_map(|part| Some((u32::try_from(part.0).ok()?, part.1))).collect::<Parts>();
            let tree = self.tree(&low);
            return self.load(word_offset(argument, false), tree);
        }
        let tree = self.split_words(argument, &parts);
        self.load(word_offset(argument, true), tree)
    }

    /// A search over the high words; where a high word alone does not decide, one over the low words follows.
    fn split_words(&mut self, argument: u8, parts: &[(u64, Id)]) -> Id {
        let mut highs: Parts = Vec::new();
        let mut before = parts[0].1;
        for group in parts.chunk_by(|a, b| high_word(a.0) == high_word(b.0)) {
            let high = high_word(group[0].0);
            let mut lows: Parts = group.iter().map(|part| (low_word(part.0), part.1)).collect();
            if lows[0].0 != 0 {
                lows.insert(0, (0, before));
            }
            before = group[group.len() - 1].1;
            if let [(_, only)] = lows[..] {
                highs.push((high, only));
                continue;
            }
            let tree = self.tree(&lows);
            let mixed = self.load(word_offset(argument, false), tree);
            highs.push((high, mixed));
            if let Some(after) = high.checked_add(1) {
                highs.push((after, before));
            }
        }
        // A part may begin just where the previous high word's rest does.
        highs.reverse();
        highs.dedup_by_key(|part| part.0);
        highs.reverse();
        self.tree(&highs)
    }

    /// A search tree over what was loaded last.
    fn tree(&mut self, parts: &[(u32, Id)]) -> Id {
        let mut merged = parts.to_vec();
        merged.dedup_by_key(|part| part.1);
        let clusters = self.clusters(&merged);
        self.balanced(&clusters)
    }

    /// Takes single numbers out of the range around them: asking for one costs one comparison, ending and beginning a range
    /// around it costs two.
    fn clusters(&mut self, parts: &[(u32, Id)]) -> Parts {
        let is_single = |index: usize| {
            let end = parts.get(index + 1).map_or(u32::MAX, |next| next.0 - 1);
            parts[index].0 == end
        };
        let mut clusters = Vec::with_capacity(parts.len());
        let mut index = 0;
        while index < parts.len() {
            let (start, base) = parts[index];
            let mut exceptions = Vec::new();
            while exceptions.len() < MAX_EXCEPTIONS
                && index + 2 < parts.len()
                && parts[index + 2].1 == base
                && is_single(index + 1)
            {
                exceptions.push(parts[index + 1]);
                index += 2;
            }
            let node =
                exceptions.iter().rev().fold(base, |no, (value, yes)| self.test(Compare::Equal, *value, *yes, no));
            clusters.push((start, node));
            index += 1;
        }
        clusters.dedup_by_key(|part| part.1);
        clusters
    }

    fn balanced(&mut self, parts: &[(u32, Id)]) -> Id {
        if let [(_, only)] = parts {
            return *only;
        }
        let (below, above) = parts.split_at(parts.len() / 2);
        let (no, yes) = (self.balanced(below), self.balanced(above));
        self.test(Compare::AtLeast, above[0].0, yes, no)
    }
}

impl Condition {
    /// Whether it holds for a value of the argument.
    pub fn holds(&self, argument: u64) -> bool {
        match self.operator {
            Operator::Ne => argument != self.value,
            Operator::Lt => argument < self.value,
            Operator::Le => argument <= self.value,
            Operator::Eq => argument == self.value,
            Operator::Ge => argument >= self.value,
            Operator::Gt => argument > self.value,
            Operator::MaskedEq(mask) => argument & mask == self.value & mask,
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // cutting is the purpose
fn low_word(value: u64) -> u32 {
    value as u32
}

fn high_word(value: u64) -> u32 {
    low_word(value >> 32)
}

fn word_offset(argument: u8, high: bool) -> u32 {
    ARGS + 8 * u32::from(argument) + 4 * u32::from(high)
}
