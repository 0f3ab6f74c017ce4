//! The interpreter: runs the operations in order, reports the first that fails.

use core::ffi::CStr;

use crate::codec::Reader;
use crate::op::{Message, SetupOp};
use crate::sys::{self, Errno, Result};

mod command;
mod credentials;
mod device;
mod hook;
mod mount;
mod procfs;
mod reaper;
mod resolve;
mod terminal;

/// Highest signal number plus one would not fit a u64 mask: 64 signals, bit n-1 for signal n.
const NO_SIGNALS: u64 = 0;

/// Where failures are told: the parent until the gate, then whoever opened the gate.
#[derive(Debug, Clone, Copy)]
enum Report {
    Parent(i32),
    Starter(i32),
}

/// What the operations share.
#[derive(Debug)]
struct Context {
    channel: i32,
    report: Report,
    /// The container's root directory; -1 before [`SetupOp::Root`].
    root: i32,
    /// An empty read-only tmpfs shared by all masked directories; -1 before the first.
    empty: i32,
    /// The container's /dev/null, verified; -1 before the first masked file.
    null: i32,
    /// A detached procfs; -1 before [`SetupOp::OpenProc`].
    proc: i32,
    /// The state JSON for hooks, as the parent's last answer carried it.
    state: &'static [u8],
    /// The working directory could not be entered before the change of user.
    directory_refused: bool,
}

/// Runs a list of operations; ends in the exec of the command, or in an exit after reporting.
///
/// `channel` is the SOCK_SEQPACKET socket to the parent.
pub fn run(ops: &'static [u8], channel: i32) -> ! {
    sys::set_signal_mask(NO_SIGNALS);
    sys::reset_signal_actions();
    let _ = sys::setsid();
    sys::umask(0); // modes of devices and directories are exactly those planned
    let mut context = Context {
        channel,
        report: Report::Parent(channel),
        root: -1,
        empty: -1,
        null: -1,
        proc: -1,
        state: &[],
        directory_refused: false,
    };
    let mut reader = Reader::new(ops);
    let mut index = 0;
    while !reader.is_empty() {
        let result = match SetupOp::decode(&mut reader) {
            Ok(op) => context.apply(op),
            Err(_) => Err(Errno::PROTO),
        };
        if let Err(errno) = result {
            context.fail(index, errno);
        }
        index += 1;
    }
    context.fail(index, Errno::PROTO)
}

impl Context {
    fn apply(&mut self, op: SetupOp<'static>) -> Result<()> {
        match op {
            SetupOp::JoinCgroup { fd } => sys::write(fd, b"0"),
            SetupOp::JoinNamespaces { fd, flags, .. } => sys::setns(fd, flags),
            SetupOp::Unshare { flags } => sys::unshare(flags),
            SetupOp::Fork {} => self.fork(),
            SetupOp::Sync { stage } => self.sync(stage),
            SetupOp::OomScoreAdj { text } => procfs::write_oom_score_adj(text),
            SetupOp::Propagation { path, flags } => sys::mount(c"", path, c"", flags),
            SetupOp::Hostname { name } => sys::sethostname(name.to_bytes()),
            SetupOp::Domainname { name } => sys::setdomainname(name.to_bytes()),
            SetupOp::LoopbackUp {} => loopback_up(),
            SetupOp::Keyring { name } => join_keyring(name),
            SetupOp::Rlimit { resource, soft, hard } => sys::set_rlimit(resource, soft, hard),
            SetupOp::Umask { mask } => {
                sys::umask(mask);
                Ok(())
            }
            SetupOp::Scheduler { attributes } => sys::sched_setattr(attributes),
            SetupOp::IoPriority { priority } => sys::ioprio_set(priority),
            SetupOp::Personality { persona } => sys::personality(persona),
            SetupOp::Affinity { mask } => sys::sched_setaffinity(mask),
            SetupOp::ParentDeathSignal { signal } => {
                sys::prctl(credentials::PR_SET_PDEATHSIG, [signal as usize, 0, 0, 0]).map(drop)
            }
            SetupOp::Gate { fd } => self.gate(fd),
            SetupOp::CloseFrom { first } => sys::close_on_exec_from(first),
            SetupOp::Hook { path, args, env, timeout_s } => hook::run(path, args, env, timeout_s, self.state),
            SetupOp::Terminal { rows, columns, console, uid } => self.terminal(rows, columns, console, uid),
            SetupOp::Stdio { stdin, stdout, stderr } => terminal::set_standard_descriptors([stdin, stdout, stderr]),
            SetupOp::WorkingDirectory { path } => self.enter_working_directory(path),
            SetupOp::VerifyWorkingDirectory { path } => self.verify_working_directory(path),
            SetupOp::Exec { args, env, reaper } => self.execute(args, env, reaper),
            op => self.apply_to_root(op).unwrap_or_else(|| self.apply_to_credentials(op)),
        }
    }

    /// Operations on the root file system; None for any other.
    fn apply_to_root(&mut self, op: SetupOp<'static>) -> Option<Result<()>> {
        Some(match op {
            SetupOp::Root { fd, target, propagation } => self.attach_root(fd, target, propagation),
            SetupOp::RootHere {} => self.open_root_here(),
            SetupOp::Mount { fstype, source, target, options, attributes, propagation, strict } => {
                Self::mount(fstype, source, options, attributes).and_then(|mount| {
                    let result = self.place(mount, target, strict, propagation);
                    sys::close(mount);
                    result
                })
            }
            SetupOp::Attach { fd, target, directory, propagation, on_proc } => {
                self.attach(fd, target, directory, propagation, on_proc)
            }
            SetupOp::SetAttributes { target, set, clear, recursive } => {
                self.set_attributes(target, set, clear, recursive)
            }
            SetupOp::Device { path, mode, device, uid, gid, bind_fd } => {
                self.device(path, mode, device, uid, gid, bind_fd)
            }
            SetupOp::Symlink { path, target } => self.symlink(path, target),
            SetupOp::Directory { path, mode } => resolve::make_directory(self.root, path, mode).map(sys::close),
            SetupOp::Mask { path } => self.mask(path),
            SetupOp::Readonly { path } => self.make_readonly(path),
            SetupOp::OpenProc {} => self.open_proc(),
            SetupOp::Sysctl { path, value } => self.write_sysctl(path, value),
            SetupOp::Label { file, value } => self.write_label(file, value),
            SetupOp::PivotRoot { no_pivot, shared } => self.pivot_root(no_pivot, shared),
            _ => return None,
        })
    }

    fn apply_to_credentials(&mut self, op: SetupOp<'static>) -> Result<()> {
        match op {
            SetupOp::BecomeRoot {} => credentials::become_root(),
            SetupOp::BoundingSet { keep } => credentials::limit_bounding_set(keep),
            SetupOp::User { uid, gid, groups, set_groups } => credentials::change_user(uid, gid, groups, set_groups),
            SetupOp::NoNewPrivileges {} => credentials::set_no_new_privileges(),
            SetupOp::Capabilities { effective, permitted, inheritable, ambient } => {
                credentials::set_capabilities(effective, permitted, inheritable, ambient)
            }
            SetupOp::Seccomp { program, flags, notify } => self.load_seccomp(program, flags, notify),
            _ => Err(Errno::PROTO),
        }
    }

    fn fail(&self, index: u32, errno: Errno) -> ! {
        match self.report {
            Report::Parent(channel) => {
                let message = Message::Failed { index, errno: errno.0, step: 0 };
                let _ = sys::send(channel, &message.to_bytes(), -1);
            }
            Report::Starter(connection) => {
                let _ = sys::write(connection, &errno.0.to_le_bytes());
            }
        }
        // Told or not (a filter may forbid sendmsg), the status says what kind of failure it was.
        sys::exit(if errno == Errno::NOENT { 127 } else { 126 })
    }

    fn sync(&mut self, stage: u32) -> Result<()> {
        sys::send(self.channel, &Message::Reached { stage }.to_bytes(), -1)?;
        let buffer = sys::map_memory(64 * 1024)?;
        let length = sys::receive(self.channel, buffer)?;
        if length == 0 {
            return Err(Errno::CANCELED); // the parent is gone or has given up
        }
        // The first byte is the go-ahead, the rest the state for hooks.
        self.state = &buffer[1..length];
        Ok(())
    }

    /// Continues in a child, so that joined pid and time namespaces take effect; the parent adopts it (CLONE_PARENT).
    fn fork(&self) -> Result<()> {
        const CLONE_PARENT: u32 = 0x8000;
        const SIGCHLD: u32 = 17;
        let pid = sys::fork(CLONE_PARENT | SIGCHLD)?;
        if pid != 0 {
            let _ = sys::send(self.channel, &Message::Forked { pid }.to_bytes(), -1);
            sys::exit(0);
        }
        let _ = sys::setsid();
        Ok(())
    }

    fn gate(&mut self, listener: i32) -> Result<()> {
        sys::send(self.channel, &Message::Reached { stage: crate::op::stage::READY }.to_bytes(), -1)?;
        let connection = sys::accept(listener)?;
        sys::close(listener);
        sys::close(self.channel);
        self.report = Report::Starter(connection);
        Ok(())
    }

    fn load_seccomp(&self, program: &[u8], flags: u32, notify: bool) -> Result<()> {
        let listener = sys::seccomp(program, flags)?;
        if notify {
            sys::send(self.channel, &Message::SeccompListener.to_bytes(), listener)?;
            sys::close(listener);
        }
        Ok(())
    }

    fn enter_working_directory(&mut self, path: &CStr) -> Result<()> {
        match sys::chdir(path) {
            Ok(()) => verify_current_directory(),
            Err(Errno::ACCES | Errno::PERM) => {
                self.directory_refused = true;
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    fn verify_working_directory(&self, path: &CStr) -> Result<()> {
        if self.directory_refused {
            sys::chdir(path)?;
        }
        verify_current_directory()
    }
}

/// A directory outside the root has no path: getcwd then begins with `(unreachable)` (CVE-2024-21626).
fn verify_current_directory() -> Result<()> {
    if sys::current_directory_starts_with()? == b'/' { Ok(()) } else { Err(Errno::NOENT) }
}

/// A kernel without keyrings, or a filter around us, is no reason to refuse the container.
fn join_keyring(name: &CStr) -> Result<()> {
    match sys::join_session_keyring(name) {
        Err(Errno::NOSYS) | Ok(()) => Ok(()),
        other => other,
    }
}

fn loopback_up() -> Result<()> {
    #[repr(C)]
    struct InterfaceRequest {
        name: [u8; 16],
        flags: u16,
        padding: [u8; 22],
    }
    const AF_INET: i32 = 2;
    const SOCK_DGRAM: i32 = 2;
    const SIOCSIFFLAGS: u32 = 0x8914;
    const IFF_UP_RUNNING: u16 = 0x41;
    let socket = sys::socket(AF_INET, SOCK_DGRAM)?;
    let mut request = InterfaceRequest { name: [0; 16], flags: IFF_UP_RUNNING, padding: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    let result = sys::ioctl(socket, SIOCSIFFLAGS, &mut request);
    sys::close(socket);
    result.map(drop)
}
