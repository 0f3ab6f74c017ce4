//! Users and groups by name, looked up in the container's own files, strictly (CVE-2026-30892): what is no user is an
//! error, never root.

use std::os::fd::BorrowedFd;
use std::path::Path;

use pyctr_init::sys;
use rustix::io::Errno;

use crate::plan::process::Credentials;
use crate::process::UserRequest;
use crate::{Error, Result};

/// /etc/passwd and /etc/group are the image's: no more of them than this is read.
const FILE_MAX_BYTES: usize = 16 << 20;
/// The kernel's ids reach further, but Docker's do not.
const ID_MAX: u32 = i32::MAX as u32;

#[derive(Debug, Clone, PartialEq, Eq)]
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: Vec<&'a str>,
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [name, _, uid, gid, _, home, ..] if !name.is_empty() => {
                Some(User { name, uid: number(uid)?, gid: number(gid)?, home })
            }
            _ => None,
        }
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields[..] {
            [name, _, gid, members, ..] if !name.is_empty() => Some(Group {
                name,
                gid: number(gid)?,
                members: members.split(',').filter(|name| !name.is_empty()).collect(),
            }),
            _ => None,
        }
    })
}

/// Digits only: no sign, no space, nothing behind them.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| *id <= ID_MAX)
}

/// Resolves a request with the contents of the two files; a missing file is an empty one.
///
/// A user given by number need not be listed; one given by name must. Without an explicit group the listed user's primary and
/// supplementary groups apply; with one, only that.
pub fn resolve(request: &UserRequest, passwd: &str, group: &str) -> Result<Credentials> {
    let fail = |reason: &str| Error::invalid("find user", &request.user, reason);
    let (user_part, group_part) = match request.user.split_once(':') {
        Some((_, "")) => return Err(fail("empty group after the colon")),
        Some((_, part)) if part.contains(':') => return Err(fail("more than one colon")),
        Some((user, part)) => (user, Some(part)),
        None => (request.user.as_str(), None),
    };
    let wanted = if user_part.is_empty() { "0" } else { user_part };
    let listed = users(passwd).find(|user| user.name == wanted).or_else(|| {
        let uid = number(wanted)?;
        users(passwd).find(|user| user.uid == uid)
    });
    let mut credentials = match (&listed, number(wanted)) {
        (Some(user), _) => {
            Credentials { uid: user.uid, gid: user.gid, groups: Vec::new(), home: Some(user.home.to_owned()) }
        }
        (None, Some(uid)) => Credentials { uid, gid: 0, groups: Vec::new(), home: None },
        (None, None) => return Err(fail("no matching entries in passwd file")),
    };
    match group_part {
        Some(part) => {
            credentials.gid = group_id(part, group).ok_or_else(|| fail("no matching entries in group file"))?;
        }
        None => {
            if let Some(user) = &listed {
                credentials.groups =
                    groups(group).filter(|group| group.members.contains(&user.name)).map(|group| group.gid).collect();
            }
        }
    }
    for name in &request.additional_groups {
        let gid = group_id(name, group)
            .ok_or_else(|| Error::invalid("find group", name, "no matching entries in group file"))?;
        if !credentials.groups.contains(&gid) {
            credentials.groups.push(gid);
        }
    }
    credentials.home = credentials.home.filter(|home| !home.is_empty()).or_else(|| Some("/".to_owned()));
    Ok(credentials)
}

fn group_id(wanted: &str, group: &str) -> Option<u32> {
    groups(group).find(|group| group.name == wanted).map(|group| group.gid).or_else(|| number(wanted))
}

/// Resolves a request inside a root file system.
pub fn resolve_in(root: BorrowedFd<'_>, request: &UserRequest) -> Result<Credentials> {
    resolve(request, &read(root, "/etc/passwd")?, &read(root, "/etc/group")?)
}

/// HOME for a numeric user, as runc sets it: from the container's passwd file, else `/`.
pub fn home_of(root: BorrowedFd<'_>, uid: u32) -> Result<String> {
    let passwd = read(root, "/etc/passwd")?;
    Ok(users(&passwd).find(|user| user.uid == uid).map_or("/", |user| user.home).to_owned())
}

/// The file as text, undecodable bytes replaced; empty if it is missing, an error if it is no regular file (a FIFO would hang us).
fn read(root: BorrowedFd<'_>, path: &str) -> Result<String> {
    const NONBLOCK: i32 = 0o4000;
    let fail = |errno| Error::kernel("read the container's", path, errno);
    let file = match super::open_in_root(root, Path::new(path), sys::open::RDONLY | NONBLOCK | sys::open::NOCTTY) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        other => other.map_err(fail)?,
    };
    let stat = rustix::fs::fstat(&file).map_err(fail)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Error::invalid("read the container's", path, "not a regular file"));
    }
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
    if size > FILE_MAX_BYTES {
        return Err(Error::invalid("read the container's", path, format!("larger than {FILE_MAX_BYTES} bytes")));
    }
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::read(&file, &mut bytes[filled..]).map_err(fail)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/srv:/bin/sh\n42:x:7:8::/odd:/bin/sh\nbad line\nneg:x:-1:0::/:/x\n";
    const GROUP: &str = "root:x:0:\nweb:x:44:\ndisk:x:6:root,web\naudio:x:29:web\n";

    fn request(user: &str, additional_groups: &[&str]) -> UserRequest {
        UserRequest {
            user: user.to_owned(),
            additional_groups: additional_groups.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn listed_user_gets_its_groups_and_home() {
        let credentials = resolve(&request("web", &[]), PASSWD, GROUP).unwrap();
        assert_eq!(credentials, Credentials { uid: 33, gid: 44, groups: vec![6, 29], home: Some("/srv".to_owned()) });
    }

    #[test]
    fn empty_user_is_root_with_roots_groups() {
        let credentials = resolve(&request("", &[]), PASSWD, GROUP).unwrap();
        assert_eq!((credentials.uid, credentials.gid, credentials.groups), (0, 0, vec![6]));
    }

    #[test]
    fn explicit_group_replaces_the_supplementary_ones() {
        let credentials = resolve(&request("web:disk", &[]), PASSWD, GROUP).unwrap();
        assert_eq!((credentials.gid, credentials.groups), (6, vec![]));
    }

    #[test]
    fn name_of_digits_wins_over_the_number() {
        assert_eq!(resolve(&request("42", &[]), PASSWD, GROUP).unwrap().uid, 7);
    }

    #[test]
    fn unlisted_number_is_taken_as_it_is() {
        let credentials = resolve(&request("1000:1000", &["disk", "77"]), PASSWD, GROUP).unwrap();
        assert_eq!((credentials.uid, credentials.gid, credentials.groups), (1000, 1000, vec![6, 77]));
    }

    #[test]
    fn what_is_no_user_is_an_error_never_root() {
        for user in
            ["nobody", "-1", "+0", " 0", "0 ", "0x0", "neg", "web:", "web:x:y", "4294967296", "2147483648", "root\n"]
        {
            assert!(resolve(&request(user, &[]), PASSWD, GROUP).is_err(), "{user:?}");
        }
        assert!(resolve(&request("web:nogroup", &[]), PASSWD, GROUP).is_err());
        assert!(resolve(&request("web", &["nogroup"]), PASSWD, GROUP).is_err());
    }

    #[test]
    fn link_out_of_the_root_is_not_followed_and_fifo_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("etc/passwd")).unwrap();
        let root = rustix::fs::open(dir.path(), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        // in the root the link leads to itself
        assert!(resolve_in(std::os::fd::AsFd::as_fd(&root), &request("root", &[])).is_err());
        std::fs::remove_file(dir.path().join("etc/passwd")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("etc/passwd"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(resolve_in(std::os::fd::AsFd::as_fd(&root), &request("", &[])).is_err());
    }
}
