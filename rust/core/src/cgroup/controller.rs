//! What every controller has in common: which options it serves, which files they become, what it counts.
//!
//! A plan is pure: resources in, a list of [`Write`]s out. [`apply`] carries it out.

use std::borrow::Cow;
use std::fmt;

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;

use super::file;
use super::hierarchy::Version;
use super::stats::Stats;
use crate::{Error, Kind, Result};

/// Whether a specification asks a controller for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// None of its options is given.
    Nothing,
    /// Only "no limit" is asked for: what a missing controller does anyway.
    Unlimited,
    /// This option is given, for the message where the controller is missing.
    Limit(&'static str),
}

impl Asked {
    /// The first option that is given.
    pub(super) fn first(options: &[(bool, &'static str)]) -> Self {
        options.iter().find(|(given, _)| *given).map_or(Self::Nothing, |(_, name)| Self::Limit(name))
    }
}

/// The directory a plan is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The interface its files follow.
    pub(super) version: Version,
    /// Its absolute path.
    pub(super) path: &'a str,
    /// It was just made and holds the kernel's defaults: what asks for a default need not be written.
    pub(super) fresh: bool,
}

/// What to make of a write the kernel refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// Report it.
    Fail,
    /// EINVAL may come of another value not yet written (swap below memory, quota over period): try again after the others.
    RetryLast,
    /// A file this kernel lacks is left alone: the value is what the kernel does without it.
    IgnoreMissing,
}

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// The option's name in messages.
    pub(super) option: &'static str,
    /// File and value; the first file that exists gets its value.
    pub(super) choices: Vec<(Cow<'static, str>, String)>,
    /// What an error means.
    pub(super) on_error: OnError,
}

impl Write {
    /// A value for a file.
    pub(super) fn new(option: &'static str, file: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        Self { option, choices: vec![(file.into(), value.to_string())], on_error: OnError::Fail }
    }

    /// Where the file is missing, this one.
    pub(super) fn or(mut self, file: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.choices.push((file.into(), value.to_string()));
        self
    }

    /// With another answer to errors.
    pub(super) fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    fn run(&self, directory: &str) -> rustix::io::Result<()> {
        let mut result = Err(Errno::NOENT);
        for (name, value) in &self.choices {
            result = file::write(&format!("{directory}/{name}"), value);
            if result != Err(Errno::NOENT) {
                break;
            }
        }
        result
    }
}

/// A resource controller of the kernel, on either interface.
pub(super) trait Controller: fmt::Debug + Sync {
    /// Its name: in v1's mount options, in v2's `cgroup.controllers`.
    fn name(&self, version: Version) -> &'static str;

    /// Whether its v1 directory is made for every container, because it counts or confines even without a limit.
    ///
    /// The others' are made when first needed: a directory costs some 60 µs of a start (make, open, join, remove).
    fn always(&self) -> bool {
        false
    }

    /// Whether v2 has it without a line in `cgroup.controllers`.
    fn is_core_of_v2(&self) -> bool {
        false
    }

    /// Which of its options are given.
    fn asked(&self, resources: &LinuxResources) -> Asked;

    /// The files to write; fails for values that cannot be right, whatever the kernel.
    fn plan(&self, target: Target<'_>, resources: &LinuxResources) -> Result<Vec<Write>>;

    /// Sets what was asked for.
    fn apply(&self, target: Target<'_>, resources: &LinuxResources) -> Result<()> {
        let writes = self.plan(target, resources)?;
        run(target, &writes, |write, errno| self.hint(target, write, errno))
    }

    /// What the user can do about a refused write.
    fn hint(&self, _target: Target<'_>, _write: &Write, _errno: Errno) -> Option<String> {
        None
    }

    /// Adds its counters; a missing file leaves the zero.
    fn stats(&self, version: Version, directory: &str, stats: &mut Stats) -> Result<()>;
}

/// Carries out a plan.
pub(super) fn run(target: Target<'_>, writes: &[Write], hint: impl Fn(&Write, Errno) -> Option<String>) -> Result<()> {
    let fail = |write: &Write, errno: Errno| {
        let (name, value) = &write.choices[0];
        let operation = format!("set {} to {value} in", write.option);
        let error = Error::kernel(operation, format!("{}/{name}", target.path), errno);
        Err(match hint(write, errno) {
            Some(hint) => error.with_hint(hint),
            None => error,
        })
    };
    let mut deferred = Vec::new();
    for write in writes {
        match (write.run(target.path), write.on_error) {
            (Ok(()), _) | (Err(Errno::NOENT | Errno::OPNOTSUPP), OnError::IgnoreMissing) => {}
            (Err(Errno::INVAL), OnError::RetryLast) => deferred.push(write),
            (Err(errno), _) => return fail(write, errno),
        }
    }
    for write in deferred {
        if let Err(errno) = write.run(target.path) {
            return fail(write, errno);
        }
    }
    Ok(())
}

/// A limit whose controller the host lacks.
pub(super) fn missing(controller: &str, option: &str) -> Error {
    Error::new(
        Kind::InvalidArgument,
        format!("set {option} with control-group controller"),
        controller,
        "the controller is not available on this host",
    )
    .with_hint("see /proc/cgroups and /sys/fs/cgroup/cgroup.controllers; without root it must be delegated to the user")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target(path: &str) -> Target<'_> {
        Target { version: Version::V1, path, fresh: true }
    }

    #[test]
    fn test_run_writes_the_first_file_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b"), "").unwrap();
        let write = Write::new("block weight", "a", 1).or("b", 2);
        run(target(dir.path().to_str().unwrap()), &[write], |_, _| None).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("b")).unwrap(), "2");
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn test_run_with_missing_file_names_option_and_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let ignored = Write::new("swap", "a", 1).on_error(OnError::IgnoreMissing);
        run(target(path), &[ignored], |_, _| None).unwrap();
        let error = run(target(path), &[Write::new("swap", "a", 1)], |_, _| Some("turn it on".into())).unwrap_err();
        assert_eq!(error.to_string(), format!("set swap to 1 in {path}/a: No such file or directory"));
        assert_eq!(error.hint.as_deref(), Some("turn it on"));
    }
}
