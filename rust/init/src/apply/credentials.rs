//! Who the command runs as and what it may do.

use crate::codec::Numbers;
use crate::sys::{self, Errno, Result};

pub(super) const PR_SET_PDEATHSIG: u32 = 1;
const PR_SET_KEEPCAPS: u32 = 8;
const PR_CAPBSET_DROP: u32 = 24;
const PR_SET_NO_NEW_PRIVS: u32 = 38;
const PR_CAP_AMBIENT: u32 = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const S_IFIFO: u32 = 0o010_000;
const S_IFSOCK: u32 = 0o140_000;
const MAX_GROUPS: usize = 65536;

pub(super) fn become_root() -> Result<()> {
    sys::set_gid(0)?;
    sys::set_uid(0)
}

pub(super) fn limit_bounding_set(keep: u64) -> Result<()> {
    for capability in 0..64usize {
        if keep & (1 << capability) != 0 {
            continue;
        }
        match sys::prctl(PR_CAPBSET_DROP, [capability, 0, 0, 0]) {
            Ok(_) => {}
            Err(Errno::INVAL) => break, // past the last one this kernel knows
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

pub(super) fn change_user(uid: u32, gid: u32, groups: Numbers<'_>, set_groups: bool) -> Result<()> {
    give_standard_descriptors_to(uid);
    // Permitted capabilities survive the change of user, so that the final sets can still be chosen afterwards.
    sys::prctl(PR_SET_KEEPCAPS, [1, 0, 0, 0])?;
    if set_groups {
        let count = groups.count();
        if count > MAX_GROUPS {
            return Err(Errno::INVAL);
        }
        let mut few = [0u32; 64];
        if count <= few.len() {
            for (slot, group) in few.iter_mut().zip(groups.iter()) {
                *slot = group;
            }
            sys::setgroups(&few[..count])?;
        } else {
            set_many_groups(groups)?;
        }
    }
    sys::set_gid(gid)?;
    sys::set_uid(uid)
}

fn set_many_groups(groups: Numbers<'_>) -> Result<()> {
    let words = sys::map_words(groups.count().div_ceil(2))?;
    for (index, group) in groups.iter().enumerate() {
        // Two 32-bit ids a word, low half first on the little-endian machines this runs on.
        words[index / 2] |= (group as usize) << (32 * (index % 2));
    }
    sys::setgroups_words(words, groups.count())
}

/// A pipe of the monitor's belongs to root: /dev/stdout could not be opened again by another user.
fn give_standard_descriptors_to(uid: u32) {
    if uid == 0 {
        return;
    }
    for file in 0..3 {
        if let Ok(stat) = sys::fstat(file) {
            let kind = stat.mode & sys::S_IFMT;
            if kind == S_IFIFO || kind == S_IFSOCK {
                let _ = sys::fchown(file, uid, u32::MAX);
            }
        }
    }
}

pub(super) fn set_no_new_privileges() -> Result<()> {
    sys::prctl(PR_SET_NO_NEW_PRIVS, [1, 0, 0, 0]).map(drop)
}

pub(super) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Result<()> {
    sys::capset(effective, permitted, inheritable)?;
    match sys::prctl(PR_CAP_AMBIENT, [PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0]) {
        Ok(_) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    for capability in (0..64usize).filter(|bit| ambient & (1 << bit) != 0) {
        sys::prctl(PR_CAP_AMBIENT, [PR_CAP_AMBIENT_RAISE, capability, 0, 0])?;
    }
    Ok(())
}
