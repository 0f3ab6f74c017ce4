//! The filter that runc really loads (its ENOSYS stub before libseccomp's program), read back from the kernel.
#![allow(unsafe_code)] // ptrace

use std::path::Path;
use std::process::{Command, Stdio};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};
use pyctr_core::seccomp::{Abi, DEFAULT_CAPABILITIES, HostArch, compile, resolve_docker_profile, syscall_names};

use crate::bpf::{Data, Program};

const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;

/// What this test needs and a machine may lack.
fn missing() -> Option<&'static str> {
    // SAFETY: has no arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    let has_runc =
        Command::new("runc").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    let needs = [
        (is_root, "root"),
        (has_runc, "runc"),
        (Path::new("/bin/busybox").exists(), "/bin/busybox"),
        (Path::new("/usr/share/containers/seccomp.json").exists(), "/usr/share/containers/seccomp.json"),
    ];
    needs.into_iter().find(|(is_there, _)| !is_there).map(|(_, what)| what)
}

fn bundle(directory: &Path, profile: &LinuxSeccomp) {
    std::fs::create_dir_all(directory.join("rootfs/bin")).unwrap();
    std::fs::create_dir(directory.join("rootfs/proc")).unwrap();
    std::fs::copy("/bin/busybox", directory.join("rootfs/bin/busybox")).unwrap();
    let config = serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/busybox", "sleep", "600"], "cwd": "/", "noNewPrivileges": true},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "seccomp": profile},
    });
    std::fs::write(directory.join("config.json"), config.to_string()).unwrap();
}

/// The filter a process of ours or below runs under.
fn loaded_filter(pid: libc::pid_t) -> Vec<u8> {
    let zero = std::ptr::null_mut::<libc::c_void>();
    let mut status = 0;
    // SAFETY: stops a process that is ours alone, copies its filter into a buffer of the length asked for, lets it go.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_ATTACH, pid, zero, zero), 0);
        assert_eq!(libc::waitpid(pid, &raw mut status, libc::__WALL), pid);
        let count = libc::ptrace(PTRACE_SECCOMP_GET_FILTER, pid, zero, zero);
        let mut program = vec![0_u8; usize::try_from(count).unwrap() * 8];
        assert_eq!(libc::ptrace(PTRACE_SECCOMP_GET_FILTER, pid, zero, program.as_mut_ptr()), count);
        libc::ptrace(libc::PTRACE_DETACH, pid, zero, zero);
        program
    }
}

fn runc(root: &Path, args: &[&str]) -> String {
    let output = Command::new("runc").arg("--root").arg(root).args(args).output().unwrap();
    assert!(output.status.success(), "runc {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn filter_of_runc(profile: &LinuxSeccomp) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (root, id) = (directory.path().join("state"), format!("pyctr-seccomp-{}", std::process::id()));
    bundle(directory.path(), profile);
    let run = Command::new("runc")
        .arg("--root")
        .arg(&root)
        .args(["run", "-d", "-b"])
        .arg(directory.path())
        .arg(&id)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    assert!(run.success());
    let state: serde_json::Value = serde_json::from_str(&runc(&root, &["state", &id])).unwrap();
    let pid = libc::pid_t::try_from(state["pid"].as_i64().unwrap()).unwrap();
    let filter = std::panic::catch_unwind(|| loaded_filter(pid));
    runc(&root, &["delete", "-f", &id]);
    filter.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn test_compile_a_whole_profile_decides_as_runc() {
    if let Some(what) = missing() {
        eprintln!("skipped: no {what} here");
        return;
    }
    let json = std::fs::read("/usr/share/containers/seccomp.json").unwrap();
    let mut profile = resolve_docker_profile(&json, DEFAULT_CAPABILITIES, (6, 18)).unwrap();
    // As Docker's: then what is unknown differs from what is denied.
    profile.set_default_action(LinuxSeccompAction::ScmpActErrno);
    profile.set_default_errno_ret(Some(1));
    // Both ends must know the same calls: nothing newer than the oldest libseccomp around, 2.5.4 (Linux 5.17).
    let recent = |name: &str| pyctr_core::seccomp::syscall_number(name, Abi::Aarch64).is_some_and(|nr| nr > 450);
    let mut rules = profile.syscalls().clone().unwrap();
    for rule in &mut rules {
        rule.set_names(
            rule.names().iter().filter(|name| !recent(name) && syscall_names().any(|n| n == **name)).cloned().collect(),
        );
    }
    rules.retain(|rule| !rule.names().is_empty());
    profile.set_syscalls(Some(rules));

    let theirs = Program::check(&filter_of_runc(&profile));
    let ours = Program::check(&compile(&profile, &HostArch::NATIVE).unwrap().program);
    eprintln!("instructions: runc {}, ours {}", theirs.len(), ours.len());
    for abi in HostArch::NATIVE.abis() {
        for nr in (0..600).chain([0x7fff_ffff, 0x8000_0000, u32::MAX]) {
            for args in [[0; 6], [16, 0, 9, 0, 0, 0], [8, 3, 9, 0, 0, 0], [1, 16, 9, 0, 0, 0], [u64::MAX; 6]] {
                for nr in [nr, nr ^ 0x4000_0000] {
                    let data = Data { nr, arch: abi.audit_arch(), args };
                    let is_versioned_ipc = *abi == Abi::X86 && nr == 117 && args[0] > 0xffff;
                    assert!(
                        is_versioned_ipc || ours.verdict(&data) == theirs.verdict(&data),
                        "{data:x?}: {:#x} not {:#x}",
                        ours.verdict(&data),
                        theirs.verdict(&data)
                    );
                }
            }
        }
    }
}
