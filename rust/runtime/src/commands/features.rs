//! `features`: what this runtime can do (runtime-spec, "Linux Features Structure").

use pyctr_core::spec::VERSION_RANGE;
use pyctr_core::{Error, Kind, Result};
use serde_json::json;

use super::print;

const HOOKS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];

/// Prints the structure, indented with four blanks as runc's.
pub fn run() -> Result<u8> {
    let features = json!({
        "ociVersionMin": VERSION_RANGE.0,
        "ociVersionMax": VERSION_RANGE.1,
        "hooks": HOOKS,
        "mountOptions": [],
        "linux": {
            "namespaces": NAMESPACES,
        }
    });
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(&features, &mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|error| Error::new(Kind::Corrupt, "render features", "", error.to_string()))?;
    bytes.push(b'\n');
    print(&String::from_utf8_lossy(&bytes))
}
