//! Archives, compressed or not, read to their end: no panic, no more content than there are bytes.
#![no_main]

use std::io::{BufReader, Read};

use libfuzzer_sys::fuzz_target;
use pyctr_core::layer::codec;
use pyctr_core::layer::tar::TarReader;

const MAX_BYTES: u64 = 16 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(decoder) = codec::decoder(data) else { return };
    let mut reader = TarReader::new(BufReader::new(decoder.take(MAX_BYTES)));
    let mut content = 0;
    while let Ok(Some(entry)) = reader.next_entry() {
        assert!(!entry.path.contains(&0) && !entry.link.contains(&0));
        match std::io::copy(&mut reader, &mut std::io::sink()) {
            Ok(count) => content += count,
            Err(_) => break,
        }
        assert!(content <= MAX_BYTES);
    }
});
