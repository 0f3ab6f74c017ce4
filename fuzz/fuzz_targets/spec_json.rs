//! Hostile `config.json`, process and resources documents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyctr_core::spec;

fuzz_target!(|bytes: &[u8]| {
    let _ = spec::load_process(bytes);
    let _ = spec::load_resources(bytes);
    let Ok(parsed) = spec::load(bytes) else { return };
    // What was accepted must be accepted again, unchanged, after a round trip.
    let Ok(rendered) = serde_json::to_vec(&parsed) else { panic!("cannot render what was parsed") };
    match spec::load(&rendered) {
        Ok(again) => assert_eq!(parsed, again),
        Err(error) => panic!("refused its own rendering: {error}"),
    }
});
