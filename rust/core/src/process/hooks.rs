//! OCI hooks that run in the runtime's namespaces (runtime-spec, "POSIX-platform Hooks").

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Spec};
use serde::Serialize;

use crate::{Error, Kind, Result};

/// The state of a container as hooks read it on their standard input (runtime-spec, "State").
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State<'a> {
    /// Version of the specification.
    pub oci_version: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// creating, created, running or stopped.
    pub status: &'a str,
    /// Its first process; absent when stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The bundle directory.
    pub bundle: &'a Path,
    /// The specification's annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<&'a std::collections::HashMap<String, String>>,
}

impl<'a> State<'a> {
    /// The state of the container this specification describes.
    pub fn new(spec: &'a Spec, id: &'a str, bundle: &'a Path, status: &'a str, pid: Option<i32>) -> Self {
        Self { oci_version: spec.version(), id, status, pid, bundle, annotations: spec.annotations().as_ref() }
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Runs hooks in order with `state` on their standard input; stops at the first that fails.
pub fn run_all(stage: &str, hooks: Option<&Vec<Hook>>, state: &State<'_>) -> Result<()> {
    let Some(hooks) = hooks else { return Ok(()) };
    hooks.iter().try_for_each(|hook| run(stage, hook, &state.to_json()))
}

fn run(stage: &str, hook: &Hook, state: &[u8]) -> Result<()> {
    let operation = format!("run {stage} hook");
    let path = hook.path();
    let mut command = Command::new(path);
    if let Some((first, rest)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(first).args(rest);
    }
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    for entry in hook.env().iter().flatten() {
        if let Some((name, value)) = entry.split_once('=') {
            command.env(name, value);
        }
    }
    let mut child = command.spawn().map_err(|error| Error::io(&operation, path, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(state); // a hook need not read it
    }
    let deadline = hook
        .timeout()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let status = loop {
        match deadline {
            None => break child.wait(),
            Some(deadline) => match child.try_wait() {
                Ok(None) if Instant::now() >= deadline => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Error::new(Kind::State, operation, path, "timed out"));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            },
        }
    }
    .map_err(|error| Error::io(&operation, path, &error))?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = std::io::Read::read_to_string(&mut std::io::Read::take(stderr, 4096), &mut said);
    }
    Err(Error::new(Kind::State, operation, path, format!("{status}: {}", said.trim())))
}
