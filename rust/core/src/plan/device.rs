//! Device nodes and the links beside them.

use std::ffi::CString;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use pyctr_init::SetupOp;

use super::{SetupList, clean_path};
use crate::{Error, Result};

/// A device node to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// Where, inside the root.
    pub path: CString,
    /// Type and permission bits.
    pub mode: u32,
    /// The number as mknod(2) takes it.
    pub device: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The devices every container has (runtime-spec, "Default Devices"): path, major, minor.
const DEFAULT_DEVICES: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links every container has (runtime-spec, "Default Devices" and runc): path, target.
const DEFAULT_LINKS: [(&std::ffi::CStr, &std::ffi::CStr); 5] = [
    (c"/dev/fd", c"/proc/self/fd"),
    (c"/dev/stdin", c"/proc/self/fd/0"),
    (c"/dev/stdout", c"/proc/self/fd/1"),
    (c"/dev/stderr", c"/proc/self/fd/2"),
    (c"/dev/ptmx", c"pts/ptmx"),
];

const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;

/// A device number as the kernel encodes it (new_encode_dev).
pub fn encode(major: u64, minor: u64) -> u64 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The devices of a specification, the default ones first; a device named twice is the specification's.
pub fn plan(asked: &[LinuxDevice]) -> Result<Vec<DevicePlan>> {
    let asked: Vec<DevicePlan> = asked.iter().map(plan_one).collect::<Result<_>>()?;
    let mut devices = Vec::with_capacity(DEFAULT_DEVICES.len() + asked.len());
    for (path, major, minor) in DEFAULT_DEVICES {
        let path = super::c_string("device", path.as_bytes())?;
        if asked.iter().all(|device| device.path != path) {
            devices.push(DevicePlan { path, mode: S_IFCHR | 0o666, device: encode(major, minor), uid: 0, gid: 0 });
        }
    }
    // /dev/ptmx is the link into the container's devpts, never the host's multiplexer.
    devices.extend(asked.into_iter().filter(|device| device.path.as_c_str() != c"/dev/ptmx"));
    Ok(devices)
}

fn plan_one(device: &LinuxDevice) -> Result<DevicePlan> {
    let number = |value: i64| {
        u64::try_from(value)
            .map_err(|_| Error::invalid("read device", device.path(), format!("number {value} is negative")))
    };
    let kind = match device.typ() {
        LinuxDeviceType::B => S_IFBLK,
        LinuxDeviceType::P => S_IFIFO,
        LinuxDeviceType::C | LinuxDeviceType::U => S_IFCHR,
        LinuxDeviceType::A => {
            return Err(Error::invalid("read device", device.path(), "type a is for rules only"));
        }
    };
    let device_number = if kind == S_IFIFO { 0 } else { encode(number(device.major())?, number(device.minor())?) };
    Ok(DevicePlan {
        path: clean_path(device.path())?,
        mode: kind | (device.file_mode().unwrap_or(0o666) & 0o7777),
        device: device_number,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

/// Appends the operations for devices and links. `bind_fds` holds a detached mount of the host's own node for each device
/// where nodes cannot be made (user namespaces), or is empty.
pub fn push(list: &mut SetupList, devices: &[DevicePlan], bind_fds: &[i32]) {
    for (index, device) in devices.iter().enumerate() {
        list.push(&SetupOp::Device {
            path: &device.path,
            mode: device.mode,
            device: device.device,
            uid: device.uid,
            gid: device.gid,
            bind_fd: bind_fds.get(index).copied().unwrap_or(-1),
        });
    }
    for (path, target) in DEFAULT_LINKS {
        list.push(&SetupOp::Symlink { path, target });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use oci_spec::runtime::LinuxDeviceBuilder;

    use super::*;

    #[test]
    fn device_named_again_replaces_the_default() {
        let mine = LinuxDeviceBuilder::default()
            .path("/dev/null")
            .typ(LinuxDeviceType::C)
            .major(1)
            .minor(3)
            .file_mode(0o600u32)
            .build()
            .unwrap();
        let devices = plan(&[mine]).unwrap();
        assert_eq!(devices.len(), 6);
        assert_eq!(devices.last().unwrap().mode, S_IFCHR | 0o600);
    }

    #[test]
    fn large_minor_is_encoded_as_the_kernel_does() {
        assert_eq!(encode(8, 0x1234), 0x0120_0834);
    }

    #[test]
    fn negative_number_is_refused() {
        let bad =
            LinuxDeviceBuilder::default().path("/dev/x").typ(LinuxDeviceType::B).major(-1).minor(0).build().unwrap();
        assert!(plan(&[bad]).is_err());
    }
}
