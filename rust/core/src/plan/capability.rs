//! Capability sets as bit masks (capabilities(7)).

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

/// CAP_SYS_ADMIN's bit: what loading a seccomp filter without no_new_privs takes.
pub const SYS_ADMIN: u64 = 1 << 21;

/// The kernel's number of a capability (include/uapi/linux/capability.h).
pub fn number(capability: Capability) -> u32 {
    match capability {
        Capability::Chown => 0,
        Capability::DacOverride => 1,
        Capability::DacReadSearch => 2,
        Capability::Fowner => 3,
        Capability::Fsetid => 4,
        Capability::Kill => 5,
        Capability::Setgid => 6,
        Capability::Setuid => 7,
        Capability::Setpcap => 8,
        Capability::LinuxImmutable => 9,
        Capability::NetBindService => 10,
        Capability::NetBroadcast => 11,
        Capability::NetAdmin => 12,
        Capability::NetRaw => 13,
        Capability::IpcLock => 14,
        Capability::IpcOwner => 15,
        Capability::SysModule => 16,
        Capability::SysRawio => 17,
        Capability::SysChroot => 18,
        Capability::SysPtrace => 19,
        Capability::SysPacct => 20,
        Capability::SysAdmin => 21,
        Capability::SysBoot => 22,
        Capability::SysNice => 23,
        Capability::SysResource => 24,
        Capability::SysTime => 25,
        Capability::SysTtyConfig => 26,
        Capability::Mknod => 27,
        Capability::Lease => 28,
        Capability::AuditWrite => 29,
        Capability::AuditControl => 30,
        Capability::Setfcap => 31,
        Capability::MacOverride => 32,
        Capability::MacAdmin => 33,
        Capability::Syslog => 34,
        Capability::WakeAlarm => 35,
        Capability::BlockSuspend => 36,
        Capability::AuditRead => 37,
        Capability::Perfmon => 38,
        Capability::Bpf => 39,
        Capability::CheckpointRestore => 40,
    }
}

/// A set as a bit mask; an absent one is empty.
pub fn mask(set: Option<&Capabilities>) -> u64 {
    set.map_or(0, |set| set.iter().fold(0, |mask, &capability| mask | 1 << number(capability)))
}

/// The five sets of a process as bit masks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    /// The limit of what can ever be gained.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Kept across exec by file capabilities.
    pub inheritable: u64,
    /// Kept across exec.
    pub ambient: u64,
}

impl Sets {
    /// The sets a specification asks for. Absent sets are empty: nothing is inherited from the runtime (CVE-2022-29162).
    pub fn of(capabilities: Option<&LinuxCapabilities>) -> Self {
        let Some(sets) = capabilities else {
            return Self::default();
        };
        Self {
            bounding: mask(sets.bounding().as_ref()),
            effective: mask(sets.effective().as_ref()),
            permitted: mask(sets.permitted().as_ref()),
            inheritable: mask(sets.inheritable().as_ref()),
            ambient: mask(sets.ambient().as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for (at, name) in crate::sys::capabilities::NAMES.iter().enumerate() {
            let capability = serde_json::from_value((*name).into()).map(number);
            assert_eq!(capability.ok(), u32::try_from(at).ok(), "{name}");
        }
    }

    #[test]
    fn absent_sets_are_empty() {
        assert_eq!(Sets::of(None), Sets::default());
    }

    #[test]
    fn mask_sets_the_kernel_bits() {
        let set = Capabilities::from([Capability::Chown, Capability::SysAdmin, Capability::CheckpointRestore]);
        assert_eq!(mask(Some(&set)), 1 | SYS_ADMIN | 1 << 40);
    }
}
