//! Seccomp profiles in Docker's JSON form.
#![no_main]

#[path = "../entries/seccomp_json.rs"]
mod seccomp_json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| seccomp_json::run(data));
