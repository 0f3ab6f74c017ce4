//! Is the command there? `create` says so, as runc's does: podman and dockerd expect it then, not at `start`.
//!
//! Only looks: nothing of the container's root is read or run, and nothing resolves out of it.

use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::Process;
use pyctr_core::{Error, Kind, Result};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;

/// Refuses a command that is certainly not there, or certainly not executable, in the root of process `pid`. In doubt it
/// is left to exec.
pub fn check(pid: i32, process: &Process) -> Result<()> {
    let root = format!("/proc/{pid}/root");
    let Ok(root) = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) else { return Ok(()) };
    let Some(command) = process.args().as_ref().and_then(|args| args.first()) else { return Ok(()) };
    let error = |kind, errno| Error::kernel("exec", command, errno).with_kind(kind);
    match find(&root, process, command) {
        Found::Executable => Ok(()),
        Found::Missing => Err(error(Kind::CommandNotFound, Errno::NOENT)),
        Found::Refused => Err(error(Kind::CommandNotExecutable, Errno::ACCESS)),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Executable,
    Missing,
    Refused,
}

fn find(root: &OwnedFd, process: &Process, command: &str) -> Found {
    if command.contains('/') {
        return probe(root, &process.cwd().join(command));
    }
    // The last PATH counts, as for execvp's getenv after duplicates are merged.
    let path = process.env().iter().flatten().rev().find_map(|variable| variable.strip_prefix("PATH="));
    let mut result = Found::Missing;
    for directory in path.unwrap_or_default().split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match probe(root, &process.cwd().join(directory).join(command)) {
            Found::Executable => return Found::Executable,
            Found::Refused => result = Found::Refused,
            Found::Missing => {}
        }
    }
    result
}

fn probe(root: &OwnedFd, path: &Path) -> Found {
    let file = loop {
        match openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(file) => break file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Found::Missing,
            // A rename raced with the resolution (openat2(2)).
            Err(Errno::AGAIN) => {}
            Err(_) => return Found::Executable,
        }
    };
    match fstat(&file) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => Found::Refused,
        Ok(stat) if stat.st_mode & 0o111 == 0 => Found::Refused,
        _ => Found::Executable,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn process(command: &str, path: Option<&str>) -> Process {
        let mut process = Process::default();
        process.set_args(Some(vec![command.to_owned()]));
        process.set_env(path.map(|path| vec![format!("PATH={path}")]));
        process
    }

    #[test]
    fn test_find_resolves_inside_the_root_only() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(at("bin")).unwrap();
        for (name, mode) in [("bin/good", 0o755), ("bin/plain", 0o644)] {
            std::fs::write(at(name), b"").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("/bin/good", at("bin/link")).unwrap();
        symlink("/bin/sh", at("bin/escape")).unwrap();
        let root = open(directory.path(), OFlags::PATH, Mode::empty()).unwrap();
        for (command, path, expected) in [
            ("good", Some("/nowhere:/bin"), Found::Executable),
            ("link", Some("/bin"), Found::Executable),
            ("/bin/good", None, Found::Executable),
            ("bin/good", None, Found::Executable),
            ("../../bin/good", None, Found::Executable),
            ("good", None, Found::Missing),
            ("none", Some("/bin"), Found::Missing),
            ("escape", Some("/bin"), Found::Missing),
            ("/bin/good/x", None, Found::Missing),
            ("plain", Some("/bin"), Found::Refused),
            ("/bin", None, Found::Refused),
        ] {
            assert_eq!(find(&root, &process(command, path), command), expected, "{command} {path:?}");
        }
    }
}
