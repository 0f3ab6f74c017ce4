//! Device rules on v2: an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE (Documentation/bpf, include/uapi/linux/bpf.h).

use super::devices::{Policy, Rule};

/// One eBPF instruction, as the kernel takes it.
pub type Instruction = u64;

const LOAD_WORD: u8 = 0x61;
const MOVE_IMMEDIATE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const AND_IMMEDIATE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL_REGISTER: u8 = 0x5d;
const EXIT: u8 = 0x95;
/// Type values of `struct bpf_cgroup_dev_ctx`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    let [low, high] = offset.to_ne_bytes();
    let [a, b, c, d] = immediate.to_ne_bytes();
    Instruction::from_ne_bytes([code, target | source << 4, low, high, a, b, c, d])
}

/// Compiles a policy. Registers: r2 type, r3 access, r4 major, r5 minor.
pub fn compile(policy: &Policy) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE_REGISTER, 3, 2, 0, 0),
        instruction(SHIFT_RIGHT, 3, 0, 0, 16),
        instruction(AND_IMMEDIATE, 2, 0, 0, 0xffff),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for rule in &policy.exceptions {
        push_rule(&mut program, rule, policy.allow_by_default);
    }
    push_verdict(&mut program, policy.allow_by_default);
    program
}

fn push_rule(program: &mut Vec<Instruction>, rule: &Rule, allow_by_default: bool) {
    let mut body =
        vec![instruction(MOVE_REGISTER, 1, 3, 0, 0), instruction(AND_IMMEDIATE, 1, 0, 0, i32::from(rule.access.0))];
    // An allowance must cover all that is asked for; a denial bites when it covers any of it. The jump leads past the rule.
    body.push(if allow_by_default {
        instruction(JUMP_EQUAL, 1, 0, 0, 0)
    } else {
        instruction(JUMP_NOT_EQUAL_REGISTER, 1, 3, 0, 0)
    });
    for (register, number) in [(4, rule.major), (5, rule.minor)] {
        if let Some(number) = number {
            body.push(instruction(JUMP_NOT_EQUAL, register, 0, 0, number.cast_signed()));
        }
    }
    push_verdict(&mut body, !allow_by_default);
    let kind = if rule.kind == 'b' { BLOCK } else { CHARACTER };
    body.insert(0, instruction(JUMP_NOT_EQUAL, 2, 0, 0, kind));
    let length = body.len();
    program.extend(body.into_iter().enumerate().map(|(index, word)| land(word, length - index - 1)));
}

/// Gives a jump its distance; leaves any other instruction alone.
fn land(word: Instruction, distance: usize) -> Instruction {
    let mut bytes = word.to_ne_bytes();
    if matches!(bytes[0], JUMP_NOT_EQUAL | JUMP_EQUAL | JUMP_NOT_EQUAL_REGISTER) {
        let [low, high] = i16::try_from(distance).unwrap_or(i16::MAX).to_ne_bytes();
        (bytes[2], bytes[3]) = (low, high);
    }
    Instruction::from_ne_bytes(bytes)
}

fn push_verdict(program: &mut Vec<Instruction>, allow: bool) {
    program.push(instruction(MOVE_IMMEDIATE, 0, 0, 0, i32::from(allow)));
    program.push(instruction(EXIT, 0, 0, 0, 0));
}

#[cfg(test)]
mod tests {
    use super::super::devices::Access;
    use super::*;

    /// The handful of instructions the compiler emits, as the kernel executes them.
    fn run(program: &[Instruction], kind: char, major: u32, minor: u32, access: u8) -> bool {
        let mut registers = [0u64; 11];
        let context = [u32::from(access) << 16 | if kind == 'b' { 1 } else { 2 }, major, minor];
        let mut counter = 0;
        loop {
            let bytes = program[counter].to_ne_bytes();
            let (target, source) = (usize::from(bytes[1] & 15), usize::from(bytes[1] >> 4));
            let offset = i16::from_ne_bytes([bytes[2], bytes[3]]);
            let immediate = i32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            // eBPF sign-extends 32-bit immediates to 64 bits
            let wide = i64::from(immediate).cast_unsigned();
            let mut jump = false;
            match bytes[0] {
                LOAD_WORD => registers[target] = u64::from(context[usize::try_from(offset / 4).unwrap_or(9)]),
                MOVE_IMMEDIATE => registers[target] = wide,
                MOVE_REGISTER => registers[target] = registers[source],
                AND_IMMEDIATE => registers[target] &= wide,
                SHIFT_RIGHT => registers[target] >>= immediate,
                JUMP_NOT_EQUAL => jump = registers[target] != wide,
                JUMP_EQUAL => jump = registers[target] == wide,
                JUMP_NOT_EQUAL_REGISTER => jump = registers[target] != registers[source],
                EXIT => return registers[0] == 1,
                other => panic!("unknown instruction {other:#x}"),
            }
            counter += 1 + if jump { usize::try_from(offset).unwrap_or(0) } else { 0 };
        }
    }

    #[test]
    fn program_decides_as_the_policy() {
        let exceptions = vec![
            Rule { kind: 'c', major: None, minor: None, access: Access(Access::MKNOD) },
            Rule { kind: 'c', major: Some(1), minor: Some(3), access: Access(7) },
            Rule { kind: 'b', major: Some(8), minor: None, access: Access(Access::READ) },
        ];
        for allow_by_default in [true, false] {
            let policy = Policy { allow_by_default, exceptions: exceptions.clone() };
            let program = compile(&policy);
            for kind in ['b', 'c'] {
                for (major, minor) in [(1, 3), (1, 5), (8, 0), (8, 1), (9, 3)] {
                    for access in 1..8 {
                        assert_eq!(
                            run(&program, kind, major, minor, access),
                            policy.allows(kind, major, minor, access),
                            "{kind} {major}:{minor} {access} {allow_by_default}"
                        );
                    }
                }
            }
        }
    }
}
