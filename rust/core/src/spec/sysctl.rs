//! Which sysctls a container may set: those the kernel keeps per namespace, and only where the container has that
//! namespace to itself (CVE-2022-0811, CVE-2022-0812: anything else changes the host).

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

use super::invalid;
use crate::Result;

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks the names, the values and the namespaces of `linux.sysctl`.
pub fn validate(spec: &Spec, namespaces: &[LinuxNamespace]) -> Result<()> {
    let sysctls = spec.linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    for (name, value) in sysctls.into_iter().flatten() {
        let fail = |reason: &str| Err(invalid("linux.sysctl", format!("{name:?} {reason}")));
        let dotted = dotted(name);
        if !well_formed(&dotted) {
            return fail("is not a sysctl name");
        }
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') || value.contains('+') {
            return fail("has a value with a control character or a +");
        }
        if dotted == "kernel.hostname" {
            return fail("conflicts with the field hostname");
        }
        let Some((needed, word)) = namespace_of(&dotted) else {
            return fail("is not kept per namespace, so it cannot be set for a container");
        };
        let Some(namespace) = namespaces.iter().find(|namespace| namespace.typ() == needed) else {
            return fail(&format!("needs a private {word} namespace"));
        };
        if namespace.path().as_ref().is_some_and(|path| is_own(path)) {
            return fail(&format!("cannot be set in the host's {word} namespace"));
        }
    }
    Ok(())
}

/// The paths by which a process calls its own namespaces.
fn is_own(path: &std::path::Path) -> bool {
    path.starts_with("/proc/self") || path.starts_with("/proc/thread-self") || path.starts_with("/proc/1/ns")
}

/// sysctl(8) takes both separators; whichever comes first is the separator, and the other one is part of a name
/// (`net/ipv4/conf/eth0.1/forwarding`). The result has dots between parts and slashes inside.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn well_formed(name: &str) -> bool {
    name.len() <= 256
        && name.split('.').all(|part| !part.is_empty() && part.split('/').all(|piece| !piece.is_empty()))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:@".contains(&byte))
}

fn namespace_of(name: &str) -> Option<(LinuxNamespaceType, &'static str)> {
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        Some((LinuxNamespaceType::Ipc, "ipc"))
    } else if name.starts_with("net.") {
        Some((LinuxNamespaceType::Network, "network"))
    } else if name == "kernel.domainname" {
        Some((LinuxNamespaceType::Uts, "uts"))
    } else if name.starts_with("user.max_") {
        Some((LinuxNamespaceType::User, "user"))
    } else {
        None
    }
}
