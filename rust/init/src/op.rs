//! The operations between clone and exec: what they are, how they are encoded, how they describe themselves.

use core::ffi::CStr;
use core::fmt;

use crate::codec::{Field, Malformed, Numbers, Reader, Sink, Strings};

macro_rules! ops {
    (<$lt:lifetime> $( $(#[$doc:meta])* $tag:literal $name:ident { $( $(#[$field_doc:meta])* $field:ident : $ty:ty ),* $(,)? } )*) => {
        /// One operation. Descriptors are numbers that the child inherited; paths are inside the root unless said otherwise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // fields bear the names of the system calls' own parameters
        pub enum SetupOp<$lt> {
            $( $(#[$doc])* $name { $( $(#[$field_doc])* $field: $ty ),* } ),*
        }

        impl<$lt> SetupOp<$lt> {
            /// Appends the encoding to `sink`.
            pub fn encode(&self, sink: &mut dyn Sink) {
                match self {
                    $( Self::$name { $( $field ),* } => {
                        <u16 as Field<'_>>::encode(&$tag, sink);
                        $( Field::encode($field, sink); )*
                    } )*
                }
            }

            /// Reads the next operation.
            pub fn decode(reader: &mut Reader<$lt>) -> Result<Self, Malformed> {
                match u16::decode(reader)? {
                    $( $tag => Ok(Self::$name { $( $field: Field::decode(reader)? ),* }), )*
                    _ => Err(Malformed),
                }
            }
        }
    };
}

ops! { <'a>
    /// Writes "0" to a cgroup's `tasks` or `cgroup.procs`: the writer joins.
    1 JoinCgroup { fd: i32 }
    /// Joins one namespace by its descriptor, or several by a pidfd.
    2 JoinNamespaces { fd: i32, flags: u32, object: &'a CStr }
    /// Leaves for new namespaces.
    3 Unshare { flags: u32 }
    /// Goes on as a child (a sibling to the parent, CLONE_PARENT) in the namespaces joined; tells the parent its pid.
    4 Fork { }
    /// Tells the parent that this point is reached and waits for its word; the answer may carry the state for hooks.
    5 Sync { stage: u32 }
    /// Writes /proc/self/oom_score_adj of the host's procfs, before anything of the container is mounted.
    6 OomScoreAdj { text: &'a CStr }
    /// Changes propagation of the whole tree at a host path (mount(2) flags).
    7 Propagation { path: &'a CStr, flags: u64 }
    /// Attaches a detached mount at a host path and makes it the root all later paths are resolved in.
    8 Root { fd: i32, target: &'a CStr, propagation: u64 }
    /// Makes a directory as the container's root the current one is, without mounting (exec).
    9 RootHere { }
    /// Mounts a new file system instance. `options` are `key=value` or `key`; attributes are MOUNT_ATTR_*.
    10 Mount {
        fstype: &'a CStr, source: &'a CStr, target: &'a CStr, options: Strings<'a>, attributes: u64, propagation: u64,
        /// No component of the target may be a symbolic link (proc, sysfs, /dev).
        strict: bool,
    }
    /// Attaches a detached mount (a bind source opened by the parent).
    11 Attach { fd: i32, target: &'a CStr, directory: bool, propagation: u64,
        /// The target may lie on procfs (lxcfs files).
        on_proc: bool,
    }
    /// Changes attributes of a mount already there.
    12 SetAttributes { target: &'a CStr, set: u64, clear: u64, recursive: bool }
    /// Makes a device node, or a file over which the host's own is bound when `bind_fd` is not negative.
    13 Device { path: &'a CStr, mode: u32, device: u64, uid: u32, gid: u32, bind_fd: i32 }
    /// Makes a symbolic link; one that exists is left alone.
    14 Symlink { path: &'a CStr, target: &'a CStr }
    /// Makes a directory and its parents.
    15 Directory { path: &'a CStr, mode: u32 }
    /// Covers a path: a file with /dev/null, a directory with an empty read-only tmpfs. A missing path is fine.
    16 Mask { path: &'a CStr }
    /// Makes a path read-only, with what is mounted below. A missing path is fine.
    17 Readonly { path: &'a CStr }
    /// Writes a namespaced sysctl through a procfs of our own.
    18 Sysctl { path: &'a CStr, value: &'a CStr }
    /// Makes the root the process's root and leaves the old one; `shared` keeps that from propagating.
    19 PivotRoot { no_pivot: bool, shared: bool }
    /// Sets the host name.
    20 Hostname { name: &'a CStr }
    /// Sets the NIS domain name.
    21 Domainname { name: &'a CStr }
    /// Brings the loopback interface up.
    22 LoopbackUp { }
    /// Makes a terminal of the container's devpts, sends its master to the parent; `console` binds it over /dev/console.
    23 Terminal { rows: u16, columns: u16, console: bool, uid: u32 }
    /// Makes descriptors 0, 1 and 2 out of these.
    24 Stdio { stdin: i32, stdout: i32, stderr: i32 }
    /// Joins a new session keyring.
    25 Keyring { name: &'a CStr }
    /// Sets a resource limit.
    26 Rlimit { resource: u32, soft: u64, hard: u64 }
    /// Sets the file mode creation mask.
    27 Umask { mask: u32 }
    /// Sets the scheduling policy and attributes (`struct sched_attr`).
    28 Scheduler { attributes: &'a [u8] }
    /// Sets the I/O priority (ioprio_set's encoding).
    29 IoPriority { priority: u32 }
    /// Sets the execution domain.
    30 Personality { persona: u64 }
    /// Sets the CPUs the process may run on (a bit mask as sched_setaffinity takes it).
    31 Affinity { mask: &'a [u8] }
    /// Runs a hook with the container's state on its standard input.
    32 Hook { path: &'a CStr, args: Strings<'a>, env: Strings<'a>, timeout_s: u32 }
    /// Writes a security label through a procfs of our own: `exec LABEL` for AppArmor, the label itself for SELinux.
    33 Label { file: &'a CStr, value: &'a CStr }
    /// Creates the working directory if it is missing, enters it and verifies where it is.
    34 WorkingDirectory { path: &'a CStr }
    /// Drops every capability from the bounding set that is not in `keep` (a bit mask).
    35 BoundingSet { keep: u64 }
    /// Changes to a user and its groups, keeping permitted capabilities for the moment.
    36 User { uid: u32, gid: u32, groups: Numbers<'a>, set_groups: bool }
    /// Sets no_new_privs.
    37 NoNewPrivileges { }
    /// Sets the capability sets.
    38 Capabilities { effective: u64, permitted: u64, inheritable: u64, ambient: u64 }
    /// Loads a seccomp filter; with `notify` the listener goes to the parent.
    39 Seccomp { program: &'a [u8], flags: u32, notify: bool }
    /// Dies with the parent.
    40 ParentDeathSignal { signal: u32 }
    /// Waits for a connection on the listening socket; what fails later is reported there.
    41 Gate { fd: i32 }
    /// Marks every descriptor from `first` on close-on-exec.
    42 CloseFrom { first: u32 }
    /// Executes the command, searching PATH of `env` for a name without a slash.
    43 Exec { args: Strings<'a>, env: Strings<'a>,
        /// Stay as process 1 that forwards signals and reaps; the command is a child.
        reaper: bool,
    }
    /// Enters the working directory again after the change of user if that was refused before, and verifies where it is.
    44 VerifyWorkingDirectory { path: &'a CStr }
    /// Becomes root of a user namespace that was joined.
    45 BecomeRoot { }
    /// Makes a procfs of our own, attached nowhere, for the sysctls and labels that follow.
    46 OpenProc { }
}

struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.to_bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for SetupOp<'_> {
    /// What failed, in the form `operation object`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JoinCgroup { .. } => f.write_str("join the cgroup"),
            Self::JoinNamespaces { object, .. } => write!(f, "join namespace {}", Text(object)),
            Self::Unshare { flags } => write!(f, "create namespaces {flags:#x}"),
            Self::Fork {} => f.write_str("fork into the namespaces"),
            Self::Sync { .. } => f.write_str("wait for the runtime"),
            Self::OomScoreAdj { text } => write!(f, "set oom_score_adj {}", Text(text)),
            Self::Propagation { path, .. } => {
                write!(f, "change mount propagation of {}", Text(path))
            }
            Self::Root { target, .. } => {
                write!(f, "mount the root file system on {}", Text(target))
            }
            Self::RootHere {} => f.write_str("open the root directory"),
            Self::Mount { fstype, target, .. } => {
                write!(f, "mount {} on {}", Text(fstype), Text(target))
            }
            Self::Attach { target, .. } => write!(f, "bind mount on {}", Text(target)),
            Self::SetAttributes { target, .. } => {
                write!(f, "change mount attributes of {}", Text(target))
            }
            Self::Device { path, .. } => write!(f, "make device {}", Text(path)),
            Self::Symlink { path, .. } => write!(f, "make symbolic link {}", Text(path)),
            Self::Directory { path, .. } => write!(f, "make directory {}", Text(path)),
            Self::Mask { path, .. } => write!(f, "mask {}", Text(path)),
            Self::Readonly { path } => write!(f, "make read-only {}", Text(path)),
            Self::Sysctl { path, .. } => write!(f, "write sysctl {}", Text(path)),
            Self::PivotRoot { .. } => f.write_str("pivot_root"),
            Self::Hostname { name } => write!(f, "set host name {}", Text(name)),
            Self::Domainname { name } => write!(f, "set domain name {}", Text(name)),
            Self::LoopbackUp {} => f.write_str("bring up interface lo"),
            Self::Terminal { .. } => f.write_str("make a terminal"),
            Self::Stdio { .. } => f.write_str("set up standard descriptors"),
            Self::Keyring { name } => write!(f, "join session keyring {}", Text(name)),
            Self::Rlimit { resource, .. } => write!(f, "set resource limit {resource}"),
            Self::Umask { mask } => write!(f, "set umask {mask:o}"),
            Self::Scheduler { .. } => f.write_str("set the scheduling policy"),
            Self::IoPriority { .. } => f.write_str("set the I/O priority"),
            Self::Personality { .. } => f.write_str("set the execution domain"),
            Self::Affinity { .. } => f.write_str("set the CPU affinity"),
            Self::Hook { path, .. } => write!(f, "run hook {}", Text(path)),
            Self::Label { value, .. } => write!(f, "set security label {}", Text(value)),
            Self::WorkingDirectory { path } | Self::VerifyWorkingDirectory { path } => {
                write!(f, "chdir to working directory {}", Text(path))
            }
            Self::BoundingSet { .. } => f.write_str("drop bounding capabilities"),
            Self::User { uid, gid, .. } => write!(f, "change to user {uid}:{gid}"),
            Self::NoNewPrivileges {} => f.write_str("set no_new_privs"),
            Self::Capabilities { .. } => f.write_str("set capabilities"),
            Self::Seccomp { .. } => f.write_str("load the seccomp filter"),
            Self::ParentDeathSignal { .. } => f.write_str("set the parent death signal"),
            Self::Gate { .. } => f.write_str("wait for start"),
            Self::CloseFrom { .. } => f.write_str("close descriptors"),
            Self::Exec { args, .. } => match args.iter().next() {
                Some(command) => write!(f, "exec {}", Text(command)),
                None => f.write_str("exec"),
            },
            Self::OpenProc {} => f.write_str("make a detached procfs"),
            Self::BecomeRoot {} => f.write_str("become root of the user namespace"),
        }
    }
}

/// The points at which the child waits for the parent.
pub mod stage {
    /// Namespaces exist: the parent writes id maps, runs prestart and createRuntime hooks, configures the network.
    pub const CREATED: u32 = 1;
    /// Everything but exec is done; `create` returns.
    pub const READY: u32 = 2;
}

/// What the child says on the socket to its parent: four native-endian 32-bit words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The operation with this index failed with this errno.
    Failed {
        /// Index into the list.
        index: u32,
        /// Linux errno, positive.
        errno: i32,
        /// Which step of the operation, for the curious.
        step: u32,
    },
    /// A [`SetupOp::Sync`] is reached.
    Reached {
        /// Which one.
        stage: u32,
    },
    /// The process goes on under this pid (of the parent's namespace).
    Forked {
        /// The pid.
        pid: i32,
    },
    /// A terminal's master is attached to this message.
    Console,
    /// A seccomp listener is attached to this message.
    SeccompListener,
}

impl Message {
    /// Bytes of a message.
    pub const SIZE: usize = 16;

    /// The wire form.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let words: [u32; 4] = match self {
            Self::Failed { index, errno, step } => [1, index, errno.cast_unsigned(), step],
            Self::Reached { stage } => [2, stage, 0, 0],
            Self::Forked { pid } => [3, pid.cast_unsigned(), 0, 0],
            Self::Console => [4, 0, 0, 0],
            Self::SeccompListener => [5, 0, 0, 0],
        };
        let mut bytes = [0; Self::SIZE];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads the wire form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (kind, a, b, c) = (
            u32::decode(&mut reader)?,
            u32::decode(&mut reader)?,
            i32::decode(&mut reader)?,
            u32::decode(&mut reader)?,
        );
        match kind {
            1 => Ok(Self::Failed { index: a, errno: b, step: c }),
            2 => Ok(Self::Reached { stage: a }),
            3 => Ok(Self::Forked { pid: a.cast_signed() }),
            4 => Ok(Self::Console),
            5 => Ok(Self::SeccompListener),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_field_kind_survives_encoding() {
        let mut list = Vec::new();
        Strings::push(c"mode=755", &mut |bytes: &[u8]| list.extend_from_slice(bytes));
        Strings::push(c"", &mut |bytes: &[u8]| list.extend_from_slice(bytes));
        let ops = [
            SetupOp::Mount {
                fstype: c"tmpfs",
                source: c"tmpfs",
                target: c"/dev",
                options: Strings::new(&list),
                attributes: 6,
                propagation: 0,
                strict: true,
            },
            SetupOp::User { uid: 7, gid: 8, groups: Numbers::new(&[1, 0, 0, 0]), set_groups: true },
            SetupOp::Stdio { stdin: -1, stdout: 4, stderr: 5 },
        ];
        let mut bytes = Vec::new();
        for op in &ops {
            op.encode(&mut |part: &[u8]| bytes.extend_from_slice(part));
        }
        let mut reader = Reader::new(&bytes);
        for op in ops {
            assert_eq!(SetupOp::decode(&mut reader).unwrap(), op);
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn truncated_list_is_malformed() {
        let mut bytes = Vec::new();
        SetupOp::Hostname { name: c"box" }.encode(&mut |part: &[u8]| bytes.extend_from_slice(part));
        for cut in 0..bytes.len() {
            assert_eq!(SetupOp::decode(&mut Reader::new(&bytes[..cut])), Err(Malformed));
        }
    }

    #[test]
    fn message_survives_the_wire() {
        let message = Message::Failed { index: 3, errno: 2, step: 9 };
        assert_eq!(Message::from_bytes(&message.to_bytes()), Ok(message));
    }

    #[test]
    fn operation_names_what_it_does_to_what() {
        let op = SetupOp::Hostname { name: c"box" };
        assert_eq!(op.to_string(), "set host name box");
    }
}
