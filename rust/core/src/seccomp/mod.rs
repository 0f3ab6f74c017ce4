//! Seccomp: OCI and Docker profiles compiled to classic BPF.

/// A compiled filter: what seccomp(2) SECCOMP_SET_MODE_FILTER takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `struct sock_filter[]`, native byte order, 8 bytes an instruction.
    pub program: std::borrow::Cow<'static, [u8]>,
    /// SECCOMP_FILTER_FLAG_*.
    pub flags: u32,
    /// A user-notification listener is wanted.
    pub notify: bool,
}
/// x
pub fn compile(_: &oci_spec::runtime::LinuxSeccomp) -> crate::Result<Filter> {
    Ok(Filter::default())
}
/// x
pub fn docker_default(_: u64) -> crate::Result<Filter> {
    Ok(Filter::default())
}
