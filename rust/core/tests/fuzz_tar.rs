//! A short, repeatable fuzz run over the seed corpus: archives damaged at random, some with their checksums made right
//! again, are read to the end, and some extracted beside a victim.
#![cfg(feature = "layer")]
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

mod tar_builder;

use std::io::{BufReader, Read};
use std::path::Path;

use pyctr_core::Kind;
use pyctr_core::layer::codec;
use pyctr_core::layer::tar::TarReader;
use pyctr_core::layer::{Limits, blob};

const ROUNDS: u64 = 400;
const EXTRACT_EVERY: u64 = 16;
const MAX_BYTES: u64 = 4 << 20;

/// xorshift64*: the same damage in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn damage(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        match random.below(7) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = *b"\0\x80\xff07159/. =\n".get(random.below(13)).unwrap_or(&b'x'),
            // A header's fields are where damage tells: somewhere in the first bytes of a block.
            2 | 3 => {
                let field = (at / 512) * 512 + random.below(345);
                if let Some(byte) = data.get_mut(field) {
                    *byte = *b"01234567xSLKg25/\0\x80\xff.".get(random.below(20)).unwrap_or(&b' ');
                }
            }
            4 => data.truncate(at),
            5 => {
                let (from, to) = ((at / 512) * 512, random.below(data.len() / 512 + 1) * 512);
                let block = data[from..data.len().min(from + 512)].to_vec();
                data.splice(to..to, block);
            }
            _ => {
                let from = (at / 512) * 512;
                data.drain(from..data.len().min(from + 512));
            }
        }
        if data.is_empty() {
            data.push(0);
        }
    }
    data
}

/// Makes the checksum of every block that looks like a header right, so that damage gets past it.
fn mend(data: &mut [u8]) {
    for block in data.chunks_exact_mut(512) {
        let looks_like_header = block[257..262] == *b"ustar" || (block[148..154].iter().all(u8::is_ascii_digit));
        if looks_like_header {
            tar_builder::seal(block.try_into().unwrap());
        }
    }
}

/// Reads all there is; the number of entries.
fn read(data: &[u8]) -> u64 {
    let Ok(decoder) = codec::decoder(data) else { return 0 };
    let mut reader = TarReader::new(BufReader::new(decoder.take(MAX_BYTES)));
    let (mut entries, mut content) = (0, 0);
    while let Ok(Some(entry)) = reader.next_entry() {
        entries += 1;
        assert!(!entry.path.contains(&0) && !entry.link.contains(&0) && entry.mode <= 0o7777);
        match blob::digest_of(&mut reader) {
            Ok((_, count)) => content += count,
            Err(_) => break,
        }
        assert!(content <= MAX_BYTES);
    }
    entries
}

fn extract_beside_a_victim(data: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("root")).unwrap();
    std::fs::write(dir.path().join("victim"), "untouched").unwrap();
    if let Err(error) = tar_builder::unpack_at(&dir, data, Limits { max_bytes: MAX_BYTES, max_entries: 200 }) {
        assert!(matches!(error.kind, Kind::Corrupt | Kind::Kernel | Kind::InvalidArgument), "{error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert!(names == 2 && std::fs::read(dir.path().join("victim")).unwrap() == b"untouched");
}

#[test]
fn damaged_archives_are_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/tar");
    let mut seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(seeds.len() >= 9);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut runs, mut with_entries) = (0u64, 0u64);
    for seed in seeds {
        let original = std::fs::read(&seed).unwrap();
        assert!(read(&original) > 0, "{}", seed.display());
        for round in 0..ROUNDS {
            let mut data = damage(&original, &mut random);
            if round % 4 != 0 {
                mend(&mut data);
            }
            runs += 1;
            with_entries += u64::from(read(&data) > 0);
            if round % EXTRACT_EVERY == 0 {
                extract_beside_a_victim(&data);
            }
        }
    }
    // Damage that is always refused at once would test nothing behind the first check.
    assert!(with_entries * 2 > runs, "{with_entries} of {runs}");
}
