//! A graph of decisions laid out as classic BPF, back to front: jumps go forward only, conditional ones at most 255 far.
//!
//! Shared with the build script, so nothing here may use the rest of the crate.

use super::graph::{Compare, Graph, Id, Node};
use super::policy::{Fault, MAX_INSTRUCTIONS};

/// `BPF_LD | BPF_W | BPF_ABS` of `linux/bpf_common.h`.
const LD_W_ABS: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
const ALU_AND_K: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
const JMP_JA: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JMP_JEQ_K: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
const JMP_JGE_K: u16 = 0x35;
/// `BPF_RET | BPF_K`.
const RET_K: u16 = 0x06;

/// `struct sock_filter` of linux/filter.h.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    k: u32,
}

/// The program, last instruction first.
struct Layout<'a> {
    graph: &'a Graph,
    reversed: Vec<Instruction>,
    /// For every node, the index in `reversed` of the nearest instruction that is the node or leads to it.
    nearest: Vec<Option<usize>>,
}

/// The program that starts at a node: `struct sock_filter[]` in the byte order of a little-endian host.
pub fn emit(graph: &Graph, root: Id) -> Result<Vec<u8>, Fault> {
    let mut layout = Layout { graph, reversed: Vec::new(), nearest: vec![None; graph.nodes.len()] };
    for id in post_order(graph, root) {
        layout.place(id);
        if layout.reversed.len() > MAX_INSTRUCTIONS {
            return Err(Fault::TooLong(layout.reversed.len()));
        }
    }
    let mut bytes = Vec::with_capacity(layout.reversed.len() * 8);
    for instruction in layout.reversed.iter().rev() {
        bytes.extend_from_slice(&instruction.code.to_le_bytes());
        bytes.extend_from_slice(&[instruction.jump_true, instruction.jump_false]);
        bytes.extend_from_slice(&instruction.k.to_le_bytes());
    }
    Ok(bytes)
}

/// Every node reachable from the root, after its children. Iterative: a hostile profile makes long chains.
fn post_order(graph: &Graph, root: Id) -> Vec<Id> {
    let mut order = Vec::new();
    let mut seen = vec![false; graph.nodes.len()];
    let mut stack = vec![(root, false)];
    while let Some((id, children_done)) = stack.pop() {
        if children_done {
            order.push(id);
        } else if !std::mem::replace(&mut seen[id as usize], true) {
            stack.push((id, true));
            match graph.nodes[id as usize] {
                Node::Return(_) => {}
                Node::Load(_, next) | Node::And(_, next) => stack.push((next, false)),
                // The last one pushed is laid out first, that is farthest away.
                Node::Test(_, _, yes, no) => stack.extend([(no, false), (yes, false)]),
            }
        }
    }
    order
}

impl Layout<'_> {
    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, k: u32) -> usize {
        self.reversed.push(Instruction { code, jump_true, jump_false, k });
        self.reversed.len() - 1
    }

    /// Instructions to skip from the one about to be pushed, if the target is placed.
    fn distance(&self, target: Id) -> Option<usize> {
        self.nearest[target as usize].map(|index| self.reversed.len() - 1 - index)
    }

    fn place(&mut self, id: Id) {
        let index = match self.graph.nodes[id as usize] {
            Node::Return(value) => self.push(RET_K, 0, 0, value),
            Node::Load(offset, next) => {
                self.adjoin(next);
                self.push(LD_W_ABS, 0, 0, offset)
            }
            Node::And(mask, next) => {
                self.adjoin(next);
                self.push(ALU_AND_K, 0, 0, mask)
            }
            Node::Test(compare, value, yes, no) => {
                // Bringing one target near pushes the other one instruction away.
                while self.far(yes) || self.far(no) {
                    let farther = if self.distance(yes) > self.distance(no) { yes } else { no };
                    self.bring_near(farther);
                }
                let near = |target| self.distance(target).and_then(|d| u8::try_from(d).ok()).unwrap_or(u8::MAX);
                let code = match compare {
                    Compare::Equal => JMP_JEQ_K,
                    Compare::AtLeast => JMP_JGE_K,
                };
                let (jump_true, jump_false) = (near(yes), near(no));
                self.push(code, jump_true, jump_false, value)
            }
        };
        self.nearest[id as usize] = Some(index);
    }

    fn far(&self, target: Id) -> bool {
        self.distance(target).is_none_or(|distance| distance > usize::from(u8::MAX))
    }

    /// Puts an instruction with the target's effect at the front of what is laid out so far.
    fn bring_near(&mut self, target: Id) {
        let index = if let Node::Return(value) = self.graph.nodes[target as usize] {
            self.push(RET_K, 0, 0, value)
        } else {
            let distance = self.distance(target).and_then(|d| u32::try_from(d).ok()).unwrap_or(u32::MAX);
            self.push(JMP_JA, 0, 0, distance)
        };
        self.nearest[target as usize] = Some(index);
    }

    /// Makes sure the target is what runs next.
    fn adjoin(&mut self, target: Id) {
        if self.distance(target) != Some(0) {
            self.bring_near(target);
        }
    }
}
