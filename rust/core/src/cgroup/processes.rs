//! The processes of a group: listing, moving, signalling.

use rustix::io::Errno;

use super::file;
use crate::{Error, Result};

/// All processes of a group and the groups below it, as this process's pid namespace numbers them.
pub(super) fn list(directory: &str) -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    collect(directory, &mut pids)?;
    Ok(pids)
}

fn collect(directory: &str, pids: &mut Vec<i32>) -> Result<()> {
    let mut path = format!("{directory}/cgroup.procs");
    let mut text = file::read(&path);
    if text == Err(Errno::OPNOTSUPP) {
        // A threaded v2 group lists threads only.
        path = format!("{directory}/cgroup.threads");
        text = file::read(&path);
    }
    match text {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()), // gone
        Err(errno) => return Err(Error::kernel("read", &path, errno)),
    }
    match file::children(directory) {
        Ok(names) => names.iter().try_for_each(|name| collect(&format!("{directory}/{name}"), pids)),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::kernel("list control group", directory, errno)),
    }
}

/// More rounds than even a quickly forking container needs: a child is born where its parent is, so each round leaves only children of
/// processes the round before had not reached.
const MOVE_ROUNDS: u32 = 1000;

/// Moves what is in one group (of another hierarchy) into another, until nothing is left outside.
pub(super) fn gather(from: &str, into: &str) -> Result<()> {
    let procs = format!("{into}/cgroup.procs");
    for _ in 0..MOVE_ROUNDS {
        let inside = list(into)?;
        let outside: Vec<i32> = list(from)?.into_iter().filter(|pid| *pid > 0 && !inside.contains(pid)).collect();
        if outside.is_empty() {
            return Ok(());
        }
        for pid in outside {
            match file::write(&procs, &pid.to_string()) {
                // ESRCH: it has ended. EINVAL: it is just being born; the next round finds it.
                Ok(()) | Err(Errno::SRCH | Errno::INVAL) => {}
                Err(errno) => return Err(Error::kernel(format!("move process {pid} by"), &procs, errno)),
            }
        }
    }
    Err(Error::kernel("move processes into", into, Errno::AGAIN))
}

/// Signals processes; those that have ended are passed over.
pub(super) fn signal(pids: &[i32], signal: i32) -> Result<()> {
    for pid in pids.iter().filter(|pid| **pid > 0) {
        match crate::sys::processes::kill(*pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(Error::kernel(format!("send signal {signal} to process"), pid.to_string(), errno));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_list_goes_into_nested_groups() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (level, pids) in [("", "1\n2\n"), ("a", "3\n"), ("a/b", "4\n")] {
            std::fs::write(dir.path().join(level).join("cgroup.procs"), pids).unwrap();
        }
        let mut pids = list(dir.path().to_str().unwrap()).unwrap();
        pids.sort_unstable();
        assert_eq!(pids, [1, 2, 3, 4]);
        assert_eq!(list(dir.path().join("gone").to_str().unwrap()).unwrap(), [0; 0]);
    }

    #[test]
    fn test_signal_out_of_range_is_an_error() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(signal(&[own], 999).is_err());
        signal(&[own], 0).unwrap();
    }
}
