//! Mutations of seeds: what a fuzzer without coverage does.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// A small generator of numbers (xorshift64*), so that a failure happens again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the limit; 0 if that is 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Feeds every file of `fuzz/corpus/NAME` to the target, then mutations of them; `words` are put in now and then. The input that
/// makes the target panic is printed.
pub fn run(name: &str, rounds: usize, words: &[&str], target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds in {}", directory.display());
    for seed in &seeds {
        attempt(seed, target);
    }
    let rounds = std::env::var("PYCTR_FUZZ_ROUNDS").map_or(rounds, |text| text.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let other = &seeds[random.below(seeds.len())];
            mutate(&mut input, other, words, &mut random);
        }
        attempt(&input, target);
    }
}

fn attempt(input: &[u8], target: fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        eprintln!("the input was: {}", input.escape_ascii());
        resume_unwind(panic);
    }
}

fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Random) {
    let at = random.below(input.len());
    let magnitude = random.below(7);
    let length = random.below(1 << magnitude);
    let end = (at + length).min(input.len());
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => {
            let values = [0, 0x7f, 0x80, 0xff, b'"', b'0', b'9', random.byte()];
            input[at] = values[random.below(values.len())];
        }
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => {
            let copy = input[at..end].to_vec();
            let to = random.below(input.len());
            input.splice(to..to, copy);
        }
        5 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            drop(input.splice(at..end, word.bytes()));
        }
        6 => {
            let from = random.below(other.len());
            let until = (from + length).min(other.len());
            input.splice(at..end, other[from..until].iter().copied());
        }
        _ => input.insert(at, random.byte()),
    }
}
