//! Classic BPF as seccomp has it: the checks the kernel makes of a program, and running one.
//!
//! After `bpf_check_classic` (net/core/filter.c), `seccomp_check_filter` and `seccomp_is_const_allow` (kernel/seccomp.c).

/// `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub struct Data {
    pub nr: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

impl Data {
    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.nr,
            4 => self.arch,
            8 | 12 => 0x1234_5678, // the instruction pointer
            _ => {
                let arg = self.args[(offset as usize - 16) / 8];
                u32::try_from(if offset.is_multiple_of(8) { arg & 0xffff_ffff } else { arg >> 32 }).unwrap()
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

/// A program the kernel would take.
#[derive(Debug)]
pub struct Program(Vec<Instruction>);

impl Program {
    /// Reads and checks a program; panics with the reason where the kernel says EINVAL.
    pub fn check(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len() % 8, 0, "whole instructions");
        let program: Vec<Instruction> = bytes
            .chunks_exact(8)
            .map(|i| Instruction {
                code: u16::from_ne_bytes([i[0], i[1]]),
                jt: i[2],
                jf: i[3],
                k: u32::from_ne_bytes([i[4], i[5], i[6], i[7]]),
            })
            .collect();
        assert!((1..=4096).contains(&program.len()), "length {}", program.len());
        for (pc, i) in program.iter().enumerate() {
            let in_range = |jump: usize| assert!(pc + 1 + jump < program.len(), "{pc}: jump out of range: {i:?}");
            match i.code {
                0x20 => assert!(i.k < 64 && i.k.is_multiple_of(4), "{pc}: load at {}", i.k),
                0x54 | 0x06 => {}
                0x05 => in_range(i.k as usize),
                0x15 | 0x25 | 0x35 | 0x45 => {
                    in_range(usize::from(i.jt));
                    in_range(usize::from(i.jf));
                }
                code => panic!("{pc}: instruction {code:#x}"),
            }
        }
        assert_eq!(program.last().map(|i| i.code), Some(0x06), "ends with a return");
        Self(program)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The verdict on a call, how many instructions it took, and whether only number and architecture were looked at.
    pub fn run(&self, data: &Data) -> (u32, usize, bool) {
        let (mut pc, mut a, mut steps, mut constant) = (0_usize, 0_u32, 0, true);
        loop {
            let i = self.0[pc];
            steps += 1;
            pc += 1;
            let holds = match i.code {
                0x06 => return (i.k, steps, constant),
                0x20 => {
                    a = data.word(i.k);
                    constant &= i.k <= 4;
                    continue;
                }
                0x54 => {
                    a &= i.k;
                    continue;
                }
                0x05 => {
                    pc += i.k as usize;
                    continue;
                }
                0x15 => a == i.k,
                0x25 => a > i.k,
                0x35 => a >= i.k,
                _ => a & i.k != 0,
            };
            pc += usize::from(if holds { i.jt } else { i.jf });
        }
    }

    pub fn verdict(&self, data: &Data) -> u32 {
        self.run(data).0
    }
}
