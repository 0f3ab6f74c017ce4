//! Queries to the name server at 127.0.0.11.
#![no_main]

#[path = "../entries/dns_message.rs"]
mod dns_message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dns_message::run(data));
