//! The journal of events: one JSON object a line, appended in one write so that lines never mix.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Appends a container's event in Docker's form. A journal that cannot be written is no reason to stop a container.
pub fn append(path: &Path, action: &str, id: &str, attributes: &BTreeMap<String, String>) {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let entry = serde_json::json!({
        "Type": "container", "Action": action, "Actor": {"ID": id, "Attributes": attributes},
        "scope": "local", "time": time.tv_sec,
        "timeNano": i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec),
    });
    let mut line = entry.to_string().into_bytes();
    line.push(b'\n');
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)) {
        let _ = rustix::io::write(&file, &line);
    }
}
