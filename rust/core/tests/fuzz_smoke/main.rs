//! The fuzz targets without a fuzzer: every seed of the corpus and some thousand mutations of them, the same in every run.
//!
//! `PYCTR_FUZZ_ROUNDS` sets how many mutations a target gets.
#![allow(clippy::unwrap_used, missing_docs)]

mod mutate;

#[path = "../../../../fuzz/entries/dns_message.rs"]
mod dns_message;
#[path = "../../../../fuzz/entries/seccomp_json.rs"]
mod seccomp_json;

#[test]
fn test_dns_message_mutated_seeds_are_answered_readably_or_not_at_all() {
    let words = ["\0", "\u{1}", "\0\0)", "?", ".", "in-addr", "arpa", "\0\u{1}\0\u{1}"];
    mutate::run("dns_message", 100_000, &words, dns_message::run);
}

#[test]
fn test_seccomp_json_mutated_seeds_are_refused_or_compiled() {
    let words = [
        "\"SCMP_ACT_ERRNO\"",
        "\"SCMP_ACT_NOTIFY\"",
        "\"SCMP_CMP_MASKED_EQ\"",
        "\"SCMP_CMP_LT\"",
        "\"SCMP_ARCH_X86\"",
        "null",
        "\"socket\"",
        "\"CAP_BPF\"",
        "\"minKernel\": \"4.8\"",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1e400",
        "{}",
        "[]",
        ",",
        "\"args\": []",
        "\"errnoRet\": 4096",
        "\\ud800",
    ];
    mutate::run("seccomp_json", 30_000, &words, seccomp_json::run);
}
