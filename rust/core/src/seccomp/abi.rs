//! Hosts, the system-call ABIs their kernels run, and how the OCI and Docker spell them.
//!
//! Shared with the build script, so nothing here may use the rest of the crate.

/// The architecture of the kernel a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostArch {
    /// 64-bit x86; also runs x86 and x32.
    X86_64,
    /// 64-bit ARM; also runs arm.
    Aarch64,
}

/// One system-call calling convention: a numbering, a word size, a value of `seccomp_data.arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    /// x86, 64 bits.
    X86_64,
    /// x86, 32 bits (i386).
    X86,
    /// x86, 32-bit pointers in 64-bit mode: `X86_64` numbers with bit 30.
    X32,
    /// ARM, 64 bits.
    Aarch64,
    /// ARM, 32 bits (EABI).
    Arm,
}

/// The bit that tells an x32 call from an `x86_64` one (`__X32_SYSCALL_BIT` of asm/unistd.h).
pub const X32_BIT: u32 = 0x4000_0000;

impl HostArch {
    /// The architecture this program was compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The architecture this program was compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// The ABIs its kernel can run, the native one first.
    pub const fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &[Abi::X86_64, Abi::X86, Abi::X32],
            Self::Aarch64 => &[Abi::Aarch64, Abi::Arm],
        }
    }

    /// The native ABI.
    pub const fn native_abi(self) -> Abi {
        match self {
            Self::X86_64 => Abi::X86_64,
            Self::Aarch64 => Abi::Aarch64,
        }
    }

    /// The name Docker's profiles use in `arches`.
    pub const fn docker_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

impl Abi {
    /// The value of `seccomp_data.arch` (`AUDIT_ARCH_*` of linux/audit.h). `X86_64` and `X32` share one.
    pub const fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments are compared as 64 bits. x32 is treated as a 32-bit ABI, as libseccomp does.
    pub const fn is_64_bit(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    /// Its column in the table of system calls.
    pub const fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::X86 => 1,
            Self::X32 => 2,
            Self::Aarch64 => 3,
            Self::Arm => 4,
        }
    }
}

/// The numbers of one system call under every ABI, as the table packs them: x32 without its bit, arm's private calls
/// (0xf0000 and up) from 0xf000.
#[derive(Debug, Clone, Copy)]
pub struct Numbers(pub [u16; 5]);

impl Numbers {
    /// A number the ABI does not have.
    pub const ABSENT: u16 = u16::MAX;
    /// Where arm's private calls begin when packed.
    pub const ARM_PRIVATE: u16 = 0xf000;

    /// The number under one ABI as `seccomp_data.nr` shows it, if the ABI has the call.
    pub fn under(self, abi: Abi) -> Option<u32> {
        match (self.0[abi.column()], abi) {
            (Self::ABSENT, _) => None,
            (number, Abi::X32) => Some(u32::from(number) | X32_BIT),
            (number, _) if number >= Self::ARM_PRIVATE => Some(u32::from(number - Self::ARM_PRIVATE) | 0xf_0000),
            (number, _) => Some(u32::from(number)),
        }
    }
}
