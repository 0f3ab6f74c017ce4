//! Prints what a container's first process sees of its isolation. The one program of the image `hello`.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

const LABEL_WIDTH: usize = 14;

fn main() -> std::process::ExitCode {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("?").trim().to_owned()
    };
    let rows = [
        ("pid", format!("{} (of {} that are visible)", std::process::id(), processes())),
        ("hostname", rustix::system::uname().nodename().to_string_lossy().into_owned()),
        ("user", format!("uid {} gid {}", rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())),
        ("root", root_mount()),
        ("namespaces", namespaces()),
        ("interfaces", names_in("/sys/class/net")),
        ("capabilities", capabilities(&field("CapEff"))),
        ("seccomp", seccomp(&field("Seccomp"), &field("Seccomp_filters"))),
        ("no_new_privs", field("NoNewPrivs")),
        ("memory limit", first(&["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"])),
        ("pids limit", first(&["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"])),
        ("open files", limit()),
    ];
    let mut text = String::from("Hello from pyctr. This process is in a container, and this is what it sees:\n\n");
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:LABEL_WIDTH$}{value}");
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).count()
}

fn root_mount() -> String {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let line = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    let (head, tail) = line.split_once(" - ").unwrap_or_default();
    let access = if head.split(' ').nth(5).is_some_and(|options| options.split(',').any(|word| word == "ro")) {
        "read-only"
    } else {
        "writable"
    };
    let layers = tail.matches("lowerdir").count();
    format!("{} ({access}{})", tail.split(' ').next().unwrap_or("?"), if layers > 0 { ", layers below" } else { "" })
}

fn namespaces() -> String {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let ids = kinds.iter().map(|kind| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
        let text = link.to_string_lossy().into_owned();
        format!("{kind} {}", text.trim_start_matches(|letter: char| !letter.is_ascii_digit()).trim_end_matches(']'))
    });
    ids.collect::<Vec<_>>().join(", ")
}

fn names_in(path: &str) -> String {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join(" ")
}

fn capabilities(mask: &str) -> String {
    match u64::from_str_radix(mask, 16) {
        Ok(bits) => format!("{mask} ({} of 41)", bits.count_ones()),
        Err(_) => mask.to_owned(),
    }
}

fn seccomp(mode: &str, filters: &str) -> String {
    match mode {
        "0" => "off".to_owned(),
        "2" => format!("filtering (mode 2, {filters} filter)"),
        other => format!("mode {other}"),
    }
}

fn first(paths: &[&str]) -> String {
    let value = paths.iter().find_map(|path| fs::read_to_string(path).ok()).map(|text| text.trim().to_owned());
    match value.as_deref() {
        None => "not shown".to_owned(),
        Some("max" | "9223372036854771712") => "none".to_owned(),
        Some(value) => value.to_owned(),
    }
}

fn limit() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let show = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
    format!("{} (hard {})", show(limit.current), show(limit.maximum))
}
