//! A short, repeatable fuzz run of the specification's reader: the seed corpus, mutated by a fixed generator.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use pyctr_core::spec;
use serde_json::{Value, json};

/// xorshift64*: the same sequence everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/spec_json");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn check(bytes: &[u8]) -> bool {
    for error in [spec::load_process(bytes).err(), spec::load_resources(bytes).err()].into_iter().flatten() {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    match spec::load(bytes) {
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "{error}");
            false
        }
        Ok(parsed) => {
            let rendered = serde_json::to_vec(&parsed).unwrap();
            assert_eq!(spec::load(&rendered).unwrap(), parsed, "{}", String::from_utf8_lossy(bytes));
            assert!(!rendered.windows(6).any(|window| window == b"\\u0000"));
            true
        }
    }
}

/// Flips, cuts, doubles and splices bytes.
fn mutate_bytes(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(32)).min(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                bytes.splice(at..end, other[from..(from + 64).min(other.len())].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Replaces one value of the document by something unlikely.
fn mutate_value(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(&seeds[random.below(seeds.len())]).unwrap();
    let mut current = &mut document;
    for _ in 0..random.below(6) {
        let index = match &*current {
            Value::Array(list) if !list.is_empty() => random.below(list.len()),
            Value::Object(map) if !map.is_empty() => random.below(map.len()),
            _ => break,
        };
        current = match current {
            Value::Array(list) => &mut list[index],
            Value::Object(map) => map.values_mut().nth(index).unwrap(),
            _ => unreachable!(),
        };
    }
    let unlikely = [
        Value::Null,
        json!(""),
        json!("\0"),
        json!("../../etc"),
        json!("x".repeat(5000)),
        json!("a\nb+c=d"),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!([]),
        json!({}),
        json!([[[]]]),
        json!({"": ""}),
    ];
    *current = unlikely[random.below(unlikely.len())].clone();
    document.to_string().into_bytes()
}

#[test]
fn test_spec_corpus_is_accepted() {
    let seeds = corpus();
    assert!(seeds.len() >= 4);
    for seed in &seeds {
        assert!(check(seed), "{}", String::from_utf8_lossy(seed));
    }
}

#[test]
fn test_spec_mutated_documents_neither_panic_nor_change_meaning() {
    let seeds = corpus();
    let mut random = Random(0x5EED_0F5E_C0DE_0001);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3000 {
        let bytes = if round % 2 == 0 { mutate_bytes(&mut random, &seeds) } else { mutate_value(&mut random, &seeds) };
        if check(&bytes) {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    // A generator that only ever makes one kind would test nothing.
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}
