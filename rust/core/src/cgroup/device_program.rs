//! Device rules as a `BPF_PROG_TYPE_CGROUP_DEVICE` program. Pure; `sys::bpf` loads it.
//!
//! The program gets a `struct bpf_cgroup_dev_ctx` (linux/bpf.h) and returns 1 to allow. It walks the rules from the last to
//! the first with the set of accesses no rule has decided yet: an allowing rule that matches takes its accesses out and allows
//! when none is left; a denying one denies when it concerns one that is left.

use super::device_rules::{Access, Match, Rule};
use crate::sys::bpf::Instruction;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const LEFT: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_LDX | BPF_MEM | BPF_W`.
const LOAD_WORD: u8 = 0x61;
/// `BPF_ALU | BPF_MOV`, register and constant.
const MOVE_REGISTER: u8 = 0xbc;
const MOVE: u8 = 0xb4;
/// `BPF_ALU | BPF_AND | BPF_K`.
const AND: u8 = 0x54;
/// `BPF_ALU | BPF_RSH | BPF_K`.
const SHIFT_RIGHT: u8 = 0x74;
/// `BPF_JMP | BPF_JNE | BPF_K`.
const JUMP_NOT_EQUAL: u8 = 0x55;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const JUMP_EQUAL: u8 = 0x15;
/// `BPF_JMP | BPF_EXIT`.
const EXIT: u8 = 0x95;

const fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate }
}

const fn with_constant(code: u8, register: u8, immediate: i32) -> Instruction {
    instruction(code, register, 0, 0, immediate)
}

/// Assembles the program for rules in the specification's order.
pub(super) fn assemble(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        // access_type is access << 16 | kind.
        instruction(LOAD_WORD, LEFT, CONTEXT, 0, 0),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        instruction(MOVE_REGISTER, KIND, LEFT, 0, 0),
        with_constant(AND, KIND, 0xffff),
        with_constant(SHIFT_RIGHT, LEFT, 16),
    ];
    let mut default = false;
    for rule in rules.iter().rev() {
        match *rule {
            Rule::Everything { allow } => {
                default = allow;
                break;
            }
            Rule::Some { allow, device, access } => push_rule(&mut program, allow, device, access),
        }
    }
    push_verdict(&mut program, default);
    program
}

fn push_verdict(program: &mut Vec<Instruction>, allow: bool) {
    program.push(with_constant(MOVE, RESULT, i32::from(allow)));
    program.push(with_constant(EXIT, 0, 0));
}

fn push_rule(program: &mut Vec<Instruction>, allow: bool, device: Match, access: Access) {
    let mut action = Vec::with_capacity(5);
    let mask = i32::from(access.0);
    if allow {
        action.push(with_constant(AND, LEFT, !mask & 0xffff));
        action.push(instruction(JUMP_NOT_EQUAL, LEFT, 0, 2, 0));
    } else {
        action.push(instruction(MOVE_REGISTER, RESULT, LEFT, 0, 0));
        action.push(with_constant(AND, RESULT, mask));
        action.push(instruction(JUMP_EQUAL, RESULT, 0, 2, 0));
    }
    push_verdict(&mut action, allow);

    let mut tests = vec![(KIND, device.kind as u32)];
    tests.extend(device.major.map(|major| (MAJOR, major)));
    tests.extend(device.minor.map(|minor| (MINOR, minor)));
    let mut skip = tests.len() + action.len();
    for (register, number) in tests {
        skip -= 1;
        // At most 8 instructions a rule. A number over 2³¹ would be sign-extended and match nothing; device numbers have 20 bits.
        let offset = i16::try_from(skip).unwrap_or(i16::MAX);
        program.push(instruction(JUMP_NOT_EQUAL, register, 0, offset, number.cast_signed()));
    }
    program.extend(action);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::device_rules::{DEFAULTS, Kind};
    use super::*;

    /// Runs a program as the kernel would.
    fn interpret(program: &[Instruction], context: [u32; 3]) -> bool {
        let mut registers = [0_u64; 11];
        let mut at = 0_usize;
        for _ in 0..10_000 {
            let one = program[at];
            let (to, from) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            let constant = i64::from(one.immediate).cast_unsigned();
            let word = |number: u64| number & 0xffff_ffff;
            let mut jump = false;
            match one.code {
                LOAD_WORD => registers[to] = u64::from(context[usize::try_from(one.offset).unwrap() / 4]),
                MOVE_REGISTER => registers[to] = word(registers[from]),
                MOVE => registers[to] = word(constant),
                AND => registers[to] = word(registers[to] & constant),
                SHIFT_RIGHT => registers[to] = word(registers[to]) >> constant,
                JUMP_NOT_EQUAL => jump = registers[to] != constant,
                JUMP_EQUAL => jump = registers[to] == constant,
                EXIT => return registers[0] == 1,
                code => panic!("instruction {code:#x}"),
            }
            at += 1;
            if jump {
                at += usize::try_from(one.offset).unwrap();
            }
        }
        panic!("the program does not end");
    }

    /// The meaning of the rules, said once more in the plainest way: each access by itself, the last rule that matches.
    fn oracle(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        [Access::MKNOD, Access::READ, Access::WRITE].iter().filter(|one| access & one.0 != 0).all(|one| {
            rules
                .iter()
                .rev()
                .find_map(|rule| match *rule {
                    Rule::Everything { allow } => Some(allow),
                    Rule::Some { allow, device, access } => (device.kind == kind
                        && device.major.is_none_or(|number| number == major)
                        && device.minor.is_none_or(|number| number == minor)
                        && access.0 & one.0 != 0)
                        .then_some(allow),
                })
                .unwrap_or(false)
        })
    }

    fn check(rules: &[Rule]) {
        let program = assemble(rules);
        for kind in [Kind::Block, Kind::Character] {
            for major in [0, 1, 2, 5, 136] {
                for minor in [0, 1, 2, 3] {
                    for access in 1..8_u8 {
                        let context = [u32::from(access) << 16 | kind as u32, major, minor];
                        assert_eq!(
                            interpret(&program, context),
                            oracle(rules, kind, major, minor, access),
                            "{rules:?} {kind:?} {major}:{minor} {access}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn test_assemble_of_the_defaults_allows_them_alone() {
        check(&DEFAULTS);
        let program = assemble(&DEFAULTS);
        assert!(interpret(&program, [6 << 16 | 2, 1, 3]));
        assert!(!interpret(&program, [2 << 16 | 1, 8, 0]));
        assert!(interpret(&program, [1 << 16 | 1, 8, 0]));
    }

    #[test]
    fn test_assemble_of_random_rules_means_what_the_rules_mean() {
        // A fixed linear congruential sequence: the same rules every time.
        let mut state = 12345_u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..300 {
            let rules: Vec<Rule> = (0..next(9))
                .map(|_| {
                    let allow = next(2) == 0;
                    if next(12) == 0 {
                        return Rule::Everything { allow };
                    }
                    let kind = if next(2) == 0 { Kind::Block } else { Kind::Character };
                    let mut number = || u32::try_from(next(5)).ok().filter(|number| *number < 4);
                    let device = Match { kind, major: number(), minor: number() };
                    let access = Access(u8::try_from(1 + next(7)).unwrap());
                    Rule::Some { allow, device, access }
                })
                .collect();
            check(&rules);
        }
    }

    #[test]
    fn test_assemble_later_rule_overrides_even_within_a_wildcard() {
        let device = |minor| Match { kind: Kind::Character, major: Some(1), minor };
        let rules = [
            Rule::Some { allow: true, device: device(None), access: Access::ALL },
            Rule::Some { allow: false, device: device(Some(3)), access: Access::WRITE },
        ];
        let program = assemble(&rules);
        assert!(!interpret(&program, [6 << 16 | 2, 1, 3]));
        assert!(interpret(&program, [2 << 16 | 2, 1, 3]));
        assert!(interpret(&program, [6 << 16 | 2, 1, 4]));
    }
}
