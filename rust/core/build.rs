//! Builds what needs no work at run time: the table of system calls, Docker's default seccomp filter, and pyctr-init.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[allow(dead_code)] // the library uses the rest
#[path = "src/seccomp/abi.rs"]
mod abi;
#[allow(dead_code)] // the library uses the rest
#[path = "src/seccomp/docker.rs"]
mod docker;
#[path = "src/seccomp/emit.rs"]
mod emit;
#[path = "src/seccomp/graph.rs"]
mod graph;
#[path = "build/init.rs"]
mod init;
#[allow(dead_code)] // the library uses the rest
#[path = "src/seccomp/policy.rs"]
mod policy;

/// The library's module of that name, before there is a generated table.
mod table {
    use std::collections::BTreeMap;
    use std::sync::OnceLock;

    use super::abi::Numbers;

    pub static TABLE: OnceLock<BTreeMap<String, [u16; 5]>> = OnceLock::new();

    pub fn lookup(name: &str) -> Option<Numbers> {
        TABLE.get()?.get(name).copied().map(Numbers)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/seccomp");
    println!("cargo::rerun-if-changed=build.rs");
    init::build();
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let rows = parse_table(&fs::read_to_string("src/seccomp/syscalls.tbl")?)?;
    fs::write(out.join("syscall_table.rs"), render_table(&rows)?)?;
    let _ = table::TABLE.set(rows);

    let host = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => abi::HostArch::X86_64,
        "aarch64" => abi::HostArch::Aarch64,
        other => {
            return Err(format!("compile the seccomp filter for {other}: only x86_64 and aarch64 are known").into());
        }
    };
    for (file, capabilities) in [("docker_default.bpf", docker::DEFAULT_CAPABILITIES), ("docker_none.bpf", 0)] {
        let (graph, root) = graph::Graph::of(&docker::policy(capabilities, host)).map_err(|fault| fault.to_string())?;
        fs::write(out.join(file), emit::emit(&graph, root).map_err(|fault| fault.to_string())?)?;
    }
    Ok(())
}

#[allow(clippy::many_single_char_names)] // a column each
fn parse_table(text: &str) -> Result<BTreeMap<String, [u16; 5]>, Box<dyn Error>> {
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or("syscalls.tbl: an empty line")?;
        let numbers = words.map(parse_number).collect::<Result<Vec<u16>, _>>()?;
        let row = match numbers[..] {
            [one] => [one; 5],
            _ => <[u16; 5]>::try_from(numbers).map_err(|_| format!("syscalls.tbl: {name}: one or five numbers"))?,
        };
        rows.insert(name.to_owned(), row);
    }
    Ok(rows)
}

fn parse_number(word: &str) -> Result<u16, Box<dyn Error>> {
    if word == "-" {
        return Ok(abi::Numbers::ABSENT);
    }
    let number: u32 = word.parse()?;
    let packed = if number >= 0xf_0000 { number - 0xf_0000 + u32::from(abi::Numbers::ARM_PRIVATE) } else { number };
    Ok(u16::try_from(packed)?)
}

fn render_table(rows: &BTreeMap<String, [u16; 5]>) -> Result<String, Box<dyn Error>> {
    let names: String = rows.keys().map(String::as_str).collect();
    let mut offsets = vec![0_u16];
    for name in rows.keys() {
        offsets.push(offsets[offsets.len() - 1] + u16::try_from(name.len())?);
    }
    let mut text = String::new();
    writeln!(text, "static NAMES: &str = {names:?};")?;
    writeln!(text, "static OFFSETS: [u16; {}] = {offsets:?};", offsets.len())?;
    writeln!(text, "static NUMBERS: [[u16; 5]; {}] = {:?};", rows.len(), rows.values().collect::<Vec<_>>())?;
    Ok(text)
}
