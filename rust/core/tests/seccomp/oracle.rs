//! The same profiles through libseccomp, where it is installed: both programs decide every call alike.
#![allow(unsafe_code)] // a C library, loaded at run time

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_int, c_uint, c_void};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::{Mutex, PoisonError};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator as Op, LinuxSyscall};
use pyctr_core::seccomp::{Abi, HostArch, compile, syscall_names, syscall_number};

use crate::bpf::Program;
use crate::generate::{OPERATORS, Random, Shape, calls, profile};
use crate::reference::{abis, stub};

#[repr(C)]
struct ArgCompare {
    arg: c_uint,
    op: c_int,
    a: u64,
    b: u64,
}

type Context = *mut c_void;

struct Libseccomp {
    init: unsafe extern "C" fn(u32) -> Context,
    release: unsafe extern "C" fn(Context),
    arch_add: unsafe extern "C" fn(Context, u32) -> c_int,
    arch_remove: unsafe extern "C" fn(Context, u32) -> c_int,
    rule_add: unsafe extern "C" fn(Context, u32, c_int, c_uint, *const ArgCompare) -> c_int,
    resolve: unsafe extern "C" fn(u32, *const i8) -> c_int,
    export: unsafe extern "C" fn(Context, c_int) -> c_int,
    attr_set: unsafe extern "C" fn(Context, c_int, u32) -> c_int,
}

static ALONE: Mutex<()> = Mutex::new(());

const NATIVE: u32 = 0;
const OPTIMIZE: c_int = 8;

impl Libseccomp {
    fn load() -> Option<Self> {
        // SAFETY: the names are C strings; the library's initialisers are harmless.
        let library = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() || !cfg!(target_arch = "x86_64") {
            eprintln!("skipped: no libseccomp.so.2 for x86_64 here");
            return None;
        }
        let symbol = |name: &CStr| {
            // SAFETY: the library stays loaded; the result is checked.
            let address = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!address.is_null(), "{name:?}");
            address
        };
        // SAFETY: the types are those of seccomp.h (2.5).
        unsafe {
            Some(Self {
                init: std::mem::transmute::<Context, unsafe extern "C" fn(u32) -> Context>(symbol(c"seccomp_init")),
                release: std::mem::transmute::<Context, unsafe extern "C" fn(Context)>(symbol(c"seccomp_release")),
                arch_add: std::mem::transmute::<Context, unsafe extern "C" fn(Context, u32) -> c_int>(symbol(
                    c"seccomp_arch_add",
                )),
                arch_remove: std::mem::transmute::<Context, unsafe extern "C" fn(Context, u32) -> c_int>(symbol(
                    c"seccomp_arch_remove",
                )),
                rule_add: std::mem::transmute::<
                    Context,
                    unsafe extern "C" fn(Context, u32, c_int, c_uint, *const ArgCompare) -> c_int,
                >(symbol(c"seccomp_rule_add_array")),
                resolve: std::mem::transmute::<Context, unsafe extern "C" fn(u32, *const i8) -> c_int>(symbol(
                    c"seccomp_syscall_resolve_name_arch",
                )),
                export: std::mem::transmute::<Context, unsafe extern "C" fn(Context, c_int) -> c_int>(symbol(
                    c"seccomp_export_bpf",
                )),
                attr_set: std::mem::transmute::<Context, unsafe extern "C" fn(Context, c_int, u32) -> c_int>(symbol(
                    c"seccomp_attr_set",
                )),
            })
        }
    }

    fn number(&self, arch: u32, name: &str) -> c_int {
        let name = CString::new(name).unwrap();
        // SAFETY: a C string.
        unsafe { (self.resolve)(arch, name.as_ptr()) }
    }

    /// The profile without what libseccomp 2.5 does not know or does wrong. With `single`, at most one rule a call and one test an
    /// argument: where the second argument of a rule does not match, the first is not loaded again for the next rule, and bounds
    /// beyond 32 bits on both sides get mixed up.
    fn cut(&self, profile: &LinuxSeccomp, single: bool) -> LinuxSeccomp {
        let (mut cut, mut rules, seen) = (profile.clone(), Vec::new(), RefCell::new(HashSet::new()));
        for rule in profile.syscalls().iter().flatten() {
            let is_wanted = |name: &&String| {
                let call = match name.as_str() {
                    "socket" | "accept" | "accept4" | "send" => "socketcall",
                    "shmat" | "semop" => "ipc",
                    other => other,
                };
                self.number(NATIVE, name) != -1 && (seen.borrow_mut().insert(call.to_owned()) || !single)
            };
            let mut rule = rule.clone();
            rule.set_names(rule.names().clone().iter().filter(is_wanted).cloned().collect());
            let mut args = rule.args().clone().unwrap_or_default();
            args.sort_by_key(LinuxSeccompArg::index);
            args.dedup_by(|a, b| single && a.index() == b.index());
            rule.set_args(Some(args));
            rules.extend(Some(rule).filter(|rule| !rule.names().is_empty()));
        }
        cut.set_syscalls(Some(rules));
        cut
    }

    /// The program runc would make, without its ENOSYS stub; none if libseccomp refuses a rule.
    fn compile(&self, profile: &LinuxSeccomp, host: HostArch) -> Option<Vec<u8>> {
        let default = profile.default_action().as_u32(profile.default_errno_ret());
        // SAFETY: the context is used only below and released once.
        let context = unsafe { (self.init)(default) };
        if context.is_null() {
            return None; // the highest errno is one too high for it
        }
        let program = self.fill(context, profile, host, default);
        // SAFETY: as above.
        unsafe { (self.release)(context) };
        program
    }

    fn fill(&self, context: Context, profile: &LinuxSeccomp, host: HostArch, default: u32) -> Option<Vec<u8>> {
        for abi in abis(profile, host) {
            // SAFETY: a live context. The native architecture is in it already (EEXIST).
            unsafe { (self.arch_add)(context, token(abi)) };
        }
        if host == HostArch::Aarch64 {
            // SAFETY: a live context.
            assert_eq!(unsafe { (self.arch_remove)(context, NATIVE) }, 0);
        }
        // SAFETY: a live context. A binary tree, as runc asks for with many rules; otherwise an architecture that lacks the first
        // call of the list is spared the load of the number.
        assert_eq!(unsafe { (self.attr_set)(context, OPTIMIZE, 2) }, 0);
        for rule in profile.syscalls().iter().flatten() {
            let action = rule.action().as_u32(rule.errno_ret());
            for name in rule.names().iter().filter(|_| action != default) {
                let number = self.number(NATIVE, name);
                for args in alternatives(rule).into_iter().filter(|_| number != -1) {
                    let count = c_uint::try_from(args.len()).unwrap();
                    // SAFETY: a live context and an array of that length.
                    if unsafe { (self.rule_add)(context, action, number, count, args.as_ptr()) } != 0 {
                        return None;
                    }
                }
            }
        }
        // SAFETY: memfd_create makes a descriptor nobody else has.
        let mut file = unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"bpf".as_ptr(), libc::MFD_CLOEXEC)) };
        // SAFETY: a live context and descriptor.
        assert_eq!(unsafe { (self.export)(context, file.as_raw_fd()) }, 0);
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }
}

fn alternatives(rule: &LinuxSyscall) -> Vec<Vec<ArgCompare>> {
    let args = rule.args().clone().unwrap_or_default();
    let compare = |arg: &LinuxSeccompArg| ArgCompare {
        arg: c_uint::try_from(arg.index()).unwrap(),
        op: arg.op() as c_int,
        a: arg.value(),
        b: arg.value_two().unwrap_or(0),
    };
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index() == index).count() > 1);
    if twice { args.iter().map(|arg| vec![compare(arg)]).collect() } else { vec![args.iter().map(compare).collect()] }
}

fn token(abi: Abi) -> u32 {
    if abi == Abi::X32 { 0x4000_003e } else { abi.audit_arch() }
}

fn agree(shape: Shape, rounds: u64) {
    // The library finds out on first use, not thread-safely, what the kernel can do.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(library) = Libseccomp::load() else { return };
    let mut compared = 0;
    for seed in 0..rounds {
        let mut random = Random::new(seed + 1_000_000);
        let profile = profile(&mut random, shape);
        let host = random.of(&[HostArch::X86_64, HostArch::X86_64, HostArch::Aarch64]);
        let profile = library.cut(&profile, shape.several_arguments);
        let Some(theirs) = library.compile(&profile, host) else { continue };
        let theirs = Program::check(&theirs);
        let ours = Program::check(&compile(&profile, &host).unwrap().program);
        compared += 1;
        for call in calls(&mut random, &profile, host) {
            // ipc's version in the upper half: ours takes it off as the kernel does, libseccomp does not.
            if call.arch == Abi::X86.audit_arch() && call.nr == 117 && call.args[0] & 0xffff_0000 != 0 {
                continue;
            }
            // Its own makeshift for overlapping bounds (_db_tree_add) goes wrong from the third one on, above 32 bits.
            if shape.conflicts && call.args.iter().any(|arg| *arg > u64::from(u32::MAX)) {
                continue;
            }
            let wanted = stub(&profile, host, &call).unwrap_or_else(|| theirs.verdict(&call));
            let got = ours.verdict(&call);
            assert_eq!(
                got,
                wanted,
                "seed {seed}, {host:?}, {call:x?}: {got:#x} not {wanted:#x}\n{}",
                serde_json::to_string(&profile).unwrap()
            );
        }
    }
    eprintln!("{compared} of {rounds} profiles compared");
    assert!(compared > rounds / 10);
}

#[test]
fn test_compile_random_profiles_decides_as_libseccomp() {
    agree(Shape { conflicts: false, several_arguments: true, wide_values: true, operators: OPERATORS }, 1000);
}

#[test]
fn test_compile_random_overlapping_rules_decides_as_libseccomp() {
    // Where masks, inequalities or bounds on both sides overlap, libseccomp's order depends on which rule came first.
    for operators in [&[Op::ScmpCmpEq, Op::ScmpCmpLt, Op::ScmpCmpLe], &[Op::ScmpCmpEq, Op::ScmpCmpGe, Op::ScmpCmpGt]] {
        agree(Shape { conflicts: true, several_arguments: false, wide_values: false, operators }, 1000);
    }
}

#[test]
fn test_syscall_number_of_every_name_is_libseccomps() {
    let Some(library) = Libseccomp::load() else { return };
    let mut known = 0;
    for abi in [Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm] {
        for name in syscall_names() {
            let theirs = library.number(token(abi), name);
            // -1: unknown to this version; below: not of this architecture, or multiplexed on x86.
            if theirs >= 0 {
                known += 1;
                assert_eq!(syscall_number(name, abi), u32::try_from(theirs).ok(), "{name} on {abi:?}");
            }
        }
    }
    assert!(known > 1700, "{known}");
}
