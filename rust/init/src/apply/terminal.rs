//! The container's terminal and its standard descriptors.

use super::Context;
use super::resolve;
use crate::op::Message;
use crate::sys::{self, Errno, Result, magic, open};

const TIOCSCTTY: u32 = 0x540e;
const TIOCSWINSZ: u32 = 0x5414;
const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCGPTPEER: u32 = 0x5441;
/// Major 5 minor 2, and the inode every devpts gives its own ptmx.
const PTMX_DEVICE: u64 = 0x502;
const PTMX_INODE: u64 = 2;
const KEEP_GROUP: u32 = u32::MAX;

impl Context {
    /// A new pseudo-terminal of the container's own devpts; each step verified by descriptor (CVE-2025-52565).
    pub(super) fn terminal(&self, rows: u16, columns: u16, console: bool, uid: u32) -> Result<()> {
        let master = resolve::open_file(self.root, c"/dev/pts/ptmx", open::RDWR | open::NOCTTY)?;
        let stat = sys::fstat(master)?;
        if sys::filesystem_type(master)? != magic::DEVPTS || stat.rdev != PTMX_DEVICE || stat.ino != PTMX_INODE {
            return Err(Errno::NOTTY);
        }
        let mut unlock = 0i32;
        sys::ioctl(master, TIOCSPTLCK, &mut unlock)?;
        #[allow(clippy::cast_sign_loss)] // open flags are small positive numbers
        let flags = (open::RDWR | open::NOCTTY | open::CLOEXEC) as usize;
        let peer = sys::ioctl_value(master, TIOCGPTPEER, flags)?;
        let peer = i32::try_from(peer).map_err(|_| Errno::INVAL)?;
        if sys::filesystem_type(peer)? != magic::DEVPTS {
            return Err(Errno::NOTTY);
        }
        sys::fchown(peer, uid, KEEP_GROUP)?;
        if rows != 0 || columns != 0 {
            let mut size = [rows, columns, 0, 0];
            sys::ioctl(master, TIOCSWINSZ, &mut size)?;
        }
        if console {
            // Through a link of the image the console would cover another file of it.
            let place = resolve::make_file(self.root, c"/dev/console", true)?;
            let mount = sys::clone_mount(peer, c"", false)?;
            let result = sys::move_mount(mount, place, c"");
            sys::close(mount);
            sys::close(place);
            result?;
        }
        sys::send(self.channel, &Message::Console.to_bytes(), master)?;
        sys::close(master);
        set_standard_descriptors([peer, peer, peer])?;
        sys::ioctl_value(0, TIOCSCTTY, 0)?;
        if peer > 2 {
            sys::close(peer);
        }
        Ok(())
    }
}

/// Makes 0, 1 and 2 out of three descriptors, whatever their numbers are now.
pub(super) fn set_standard_descriptors(mut from: [i32; 3]) -> Result<()> {
    // A source that is itself 0, 1 or 2 would be overwritten by an earlier copy.
    for (target, source) in (0..).zip(from.iter_mut()) {
        if *source < 3 && *source != target {
            *source = sys::duplicate_from(*source, 3)?;
        }
    }
    for (target, source) in (0..).zip(from) {
        sys::duplicate_onto(source, target)?;
    }
    Ok(())
}
