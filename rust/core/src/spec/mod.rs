//! The OCI runtime specification: bytes to validated types.
//!
//! Owns the reading of `config.json`, of a process document (`exec --process`) and of a resources document (`update
//! --resources`). Everything that can be judged without asking the host is judged here; nothing here does input or output.
//! Follows the OCI runtime-spec 1.3 and, where that is silent, runc's validator.

#![allow(clippy::unnecessary_debug_formatting)] // quoted: a path may hold a newline, and an error is one line

mod lenient;
mod linux;
mod mount;
mod process;
mod seccomp;
mod sysctl;

use serde::de::DeserializeOwned;

use crate::{Error, Kind, Result};

pub use oci_spec::runtime::{LinuxResources, Process, Spec};

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The lowest and the highest version of the OCI runtime specification that is understood.
pub const VERSION_RANGE: (&str, &str) = ("1.0.0", "1.3.0");

const OPERATION: &str = "check config";

/// Reads and validates a container's `config.json`. What runc only warns about is repaired silently; see
/// [`load_with_warnings`] for the words.
pub fn load(bytes: &[u8]) -> Result<Spec> {
    load_with_warnings(bytes).map(|(spec, _)| spec)
}

/// As [`load`], with one line for everything that was repaired: unknown capabilities dropped, relative mount
/// destinations made absolute, sections for other platforms ignored.
pub fn load_with_warnings(bytes: &[u8]) -> Result<(Spec, Vec<String>)> {
    let mut warnings = Vec::new();
    let mut spec: Spec = parse(bytes, "config.json", &mut warnings)?;
    validate(&mut spec, &mut warnings)?;
    Ok((spec, warnings))
}

/// Reads and validates a process document, as `exec --process` takes it; the second value is the warnings.
pub fn load_process(bytes: &[u8]) -> Result<(Process, Vec<String>)> {
    let mut warnings = Vec::new();
    let process = parse(bytes, "process.json", &mut warnings)?;
    process::validate(&process)?;
    Ok((process, warnings))
}

/// Checks a process that was put together from options instead of read.
pub fn validate_process(process: &Process) -> Result<()> {
    process::validate(process)
}

/// Reads a resources document, as `update --resources` takes it. Values are judged by the controllers they are for.
pub fn load_resources(bytes: &[u8]) -> Result<LinuxResources> {
    parse(bytes, "resources", &mut Vec::new())
}

fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str, warnings: &mut Vec<String>) -> Result<T> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::invalid("read", name, format!("larger than {MAX_BYTES} bytes")));
    }
    // A derived struct would take a JSON array too, field by field.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Error::invalid("parse", name, "not a JSON object"));
    }
    if has_nul(bytes) {
        return Err(Error::invalid("parse", name, "contains a NUL character"));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => lenient::parse(bytes, error, warnings).map_err(|error| describe(name, &error)),
    }
}

fn describe(name: &str, error: &serde_json::Error) -> Error {
    let what = if error.is_data() { "not an OCI document" } else { "not valid JSON" };
    Error::new(Kind::InvalidArgument, "parse", name, format!("{what}: {error}"))
}

/// Whether any string holds U+0000, raw (which JSON forbids anyway) or escaped. No path, argument or name may: the
/// kernel's strings end there.
fn has_nul(bytes: &[u8]) -> bool {
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            0 => return true,
            b'\\' => {
                if bytes[index..].starts_with(b"\\u0000") {
                    return true;
                }
                index += 2;
            }
            _ => index += 1,
        }
    }
    false
}

fn validate(spec: &mut Spec, warnings: &mut Vec<String>) -> Result<()> {
    check_version(spec.version())?;
    let Some(root) = spec.root() else {
        return Err(invalid("root", "is missing"));
    };
    if root.path().as_os_str().is_empty() {
        return Err(invalid("root.path", "is empty"));
    }
    let Some(process) = spec.process() else {
        return Err(invalid("process", "is missing"));
    };
    process::validate(process)?;
    mount::validate(spec, warnings)?;
    linux::forget_empty_paths(spec);
    linux::validate(spec)?;
    check_hooks(spec)?;
    if spec.annotations().as_ref().is_some_and(|annotations| annotations.contains_key("")) {
        return Err(invalid("annotations", "has an empty key"));
    }
    for (name, present) in [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ] {
        if present {
            warnings.push(format!("section {name} is for another platform and ignored"));
        }
    }
    Ok(())
}

fn check_version(version: &str) -> Result<()> {
    let reject = |reason: String| Err(invalid("ociVersion", reason));
    if version.is_empty() {
        return reject("is missing; this is not an OCI runtime configuration".to_owned());
    }
    let number = version.split('+').next().unwrap_or_default();
    let (release, pre) = number.split_once('-').map_or((number, None), |(release, pre)| (release, Some(pre)));
    let mut parts = [0_u32; 3];
    let mut count = 0;
    for part in release.split('.') {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match (digits.then(|| part.parse().ok()).flatten(), parts.get_mut(count)) {
            (Some(value), Some(slot)) => *slot = value,
            _ => return reject(format!("{version:?} is not a version")),
        }
        count += 1;
    }
    if count != 3 || pre == Some("") {
        return reject(format!("{version:?} is not a version"));
    }
    // A pre-release is lower than its release (semver 2.0.0, 11.3).
    if parts[0] != 1 || (parts == [1, 0, 0] && pre.is_some()) {
        return reject(format!("{version:?} is not supported, only 1.0.0 and later 1.x"));
    }
    Ok(())
}

#[allow(deprecated)] // prestart hooks are still run, as runc does
fn check_hooks(spec: &Spec) -> Result<()> {
    let Some(hooks) = spec.hooks() else {
        return Ok(());
    };
    for (kind, list) in [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ] {
        for hook in list.iter().flatten() {
            if !hook.path().is_absolute() {
                return Err(invalid(
                    format!("hooks.{kind}"),
                    format!("path {} is not absolute", hook.path().display()),
                ));
            }
            if hook.timeout().is_some_and(|timeout| timeout <= 0) {
                return Err(invalid(format!("hooks.{kind}"), "timeout is not greater than 0"));
            }
        }
    }
    Ok(())
}

fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::invalid(OPERATION, field.into(), reason)
}

#[cfg(test)]
mod tests;
