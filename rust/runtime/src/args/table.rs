//! Every option there is.

use super::{Command, Count, Opt, Takes, Verb};

const fn switch(long: &'static str, short: Option<char>, help: &'static str) -> Opt {
    Opt { long, short, takes: Takes::Nothing, help, default: None }
}

const fn value(long: &'static str, short: Option<char>, help: &'static str) -> Opt {
    Opt { long, short, takes: Takes::One, help, default: None }
}

const fn defaulted(long: &'static str, short: Option<char>, help: &'static str, default: &'static str) -> Opt {
    Opt { long, short, takes: Takes::One, help, default: Some(default) }
}

const fn many(long: &'static str, short: Option<char>, help: &'static str) -> Opt {
    Opt { long, short, takes: Takes::Many, help, default: None }
}

const fn command(
    name: &'static str,
    verb: Verb,
    summary: &'static str,
    arguments: &'static str,
    count: Count,
    options: &'static [Opt],
) -> Command {
    Command { name, verb, summary, arguments, count, options, options_first: false }
}

/// Options before the command.
pub static GLOBAL_OPTIONS: [Opt; 9] = [
    switch("debug", None, "enable debug logging"),
    defaulted("log", None, "set the log file to write logs to", "/dev/stderr"),
    defaulted("log-format", None, "set the log format ('text' or 'json')", "text"),
    defaulted("root", None, "root directory for storage of container state", "/run/pyctr-runtime"),
    value("criu", None, "not supported: containers are not checkpointed"),
    switch(
        "systemd-cgroup",
        None,
        "enable systemd cgroup support, expects cgroupsPath to be of form \"slice:prefix:name\"",
    ),
    defaulted("rootless", None, "ignore cgroup permission errors ('true', 'false', or 'auto')", "auto"),
    switch("help", Some('h'), "show help"),
    switch("version", Some('v'), "print the version"),
];

const BUNDLE: Opt =
    value("bundle", Some('b'), "path to the root of the bundle directory, defaults to the current directory");
const CONSOLE_SOCKET: Opt = value(
    "console-socket",
    None,
    "path to an AF_UNIX socket which will receive the master end of the console's pseudoterminal",
);
const PID_FILE: Opt = value("pid-file", None, "specify the file to write the process id to");
const PIDFD_SOCKET: Opt =
    value("pidfd-socket", None, "path to an AF_UNIX socket which will receive a pidfd of the process");
const NO_PIVOT: Opt = switch("no-pivot", None, "do not use pivot_root; for a rootfs on top of a ramdisk");
const NO_NEW_KEYRING: Opt = switch("no-new-keyring", None, "do not create a new session keyring for the container");
const PRESERVE_FDS: Opt = defaulted(
    "preserve-fds",
    None,
    "pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N in total)",
    "0",
);
const DETACH: Opt = switch("detach", Some('d'), "detach from the container's process");
const FORMAT: Opt = defaulted("format", Some('f'), "select one of: table or json", "table");

static CREATE: [Opt; 7] = [BUNDLE, CONSOLE_SOCKET, PID_FILE, PIDFD_SOCKET, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS];

static RUN: [Opt; 10] = [
    BUNDLE,
    CONSOLE_SOCKET,
    DETACH,
    switch("keep", None, "do not delete the container after it exits"),
    PID_FILE,
    PIDFD_SOCKET,
    switch("no-subreaper", None, "disable the use of the subreaper used to reap reparented processes"),
    NO_PIVOT,
    NO_NEW_KEYRING,
    PRESERVE_FDS,
];

static EXEC: [Opt; 17] = [
    CONSOLE_SOCKET,
    value("cwd", None, "current working directory in the container"),
    many("env", Some('e'), "set environment variables"),
    switch("tty", Some('t'), "allocate a pseudo-TTY"),
    value("user", Some('u'), "UID (format: <uid>[:<gid>])"),
    many("additional-gids", Some('g'), "additional gids"),
    value("process", Some('p'), "path to the process.json"),
    DETACH,
    PID_FILE,
    PIDFD_SOCKET,
    value("process-label", None, "set the SELinux label for the process"),
    value("apparmor", None, "set the AppArmor profile for the process"),
    switch("no-new-privs", None, "set the no new privileges value for the process"),
    many("cap", Some('c'), "add a capability to the bounding set for the process"),
    PRESERVE_FDS,
    many("cgroup", None, "run the process in an (existing) sub-cgroup; format is [<controller>[,...]:]<cgroup>"),
    switch("ignore-paused", None, "allow exec in a paused container"),
];

static UPDATE: [Opt; 17] = [
    value(
        "resources",
        Some('r'),
        "path to the file containing the resources to update or '-' to read from the standard input; other options are then ignored",
    ),
    value("blkio-weight", None, "relative block IO weight, from 10 to 1000"),
    value("cpu-period", None, "CPU CFS period for hardcapping (in usecs); 0 to use system default"),
    value("cpu-quota", None, "CPU CFS hardcap limit (in usecs)"),
    value("cpu-burst", None, "CPU CFS burst limit (in usecs)"),
    value("cpu-share", None, "CPU shares (relative weight vs. other containers)"),
    value("cpu-rt-period", None, "CPU realtime period for hardcapping (in usecs); 0 to use system default"),
    value("cpu-rt-runtime", None, "CPU realtime hardcap limit (in usecs)"),
    value("cpuset-cpus", None, "CPU(s) to use"),
    value("cpuset-mems", None, "memory node(s) to use"),
    value("memory", None, "memory limit (in bytes)"),
    value("memory-reservation", None, "memory reservation or soft limit (in bytes)"),
    value("memory-swap", None, "total memory usage (memory + swap); '-1' for unlimited swap"),
    value("pids-limit", None, "maximum number of pids allowed in the container"),
    value("l3-cache-schema", None, "not supported: Intel RDT/CAT L3 cache schema"),
    value("mem-bw-schema", None, "not supported: Intel RDT/MBA memory bandwidth schema"),
    value("cpu-idle", None, "set the cgroup SCHED_IDLE (1) or not (0)"),
];

static KILL: [Opt; 1] = [switch("all", Some('a'), "send the specified signal to all processes inside the container")];
static DELETE: [Opt; 1] =
    [switch("force", Some('f'), "forcibly delete the container if it is still running (uses SIGKILL)")];
static LIST: [Opt; 2] = [FORMAT, switch("quiet", Some('q'), "display only container IDs")];
static PS: [Opt; 1] = [FORMAT];
static EVENTS: [Opt; 2] = [
    defaulted("interval", None, "set the stats collection interval", "5s"),
    switch("stats", None, "display the container's stats then exit"),
];
static SPEC: [Opt; 2] = [
    value("bundle", Some('b'), "path to the root of the bundle directory"),
    switch("rootless", None, "generate a configuration for a rootless container"),
];

const ID: &str = "<container-id>";
const ONE: Count = Count::Exactly(1);

/// Every command there is.
pub static COMMANDS: [Command; 20] = [
    command("checkpoint", Verb::Unsupported, "not supported", ID, Count::AtLeast(0), &[]),
    command("create", Verb::Create, "create a container", ID, ONE, &CREATE),
    command("delete", Verb::Delete, "delete any resources held by the container", ID, ONE, &DELETE),
    command(
        "events",
        Verb::Events,
        "display container events such as OOM notifications, cpu, memory, and IO usage statistics",
        ID,
        ONE,
        &EVENTS,
    ),
    Command {
        name: "exec",
        verb: Verb::Exec,
        summary: "execute new process inside the container",
        arguments: "<container-id> <command> [command options]  || -p process.json <container-id>",
        count: Count::AtLeast(1),
        options: &EXEC,
        options_first: true,
    },
    command("features", Verb::Features, "show the enabled features", "", Count::Exactly(0), &[]),
    command(
        "keeper",
        Verb::Keeper,
        "hold an ordinary user's namespaces",
        "<run-root> <uid-map> <gid-map>",
        Count::Exactly(3),
        &[],
    ),
    command(
        "kill",
        Verb::Kill,
        "send the specified signal (default: SIGTERM) to the container's init process",
        "<container-id> [signal]",
        Count::Between(1, 2),
        &KILL,
    ),
    command("list", Verb::List, "list containers started with the given root", "", Count::Exactly(0), &LIST),
    command("monitor", Verb::Monitor, "keep watch over one container of the engine", "<container-directory>", ONE, &[]),
    command("pause", Verb::Pause, "suspend all processes inside the container", ID, ONE, &[]),
    Command {
        name: "ps",
        verb: Verb::Ps,
        summary: "display the processes running inside a container",
        arguments: "<container-id> [ps options]",
        count: Count::AtLeast(1),
        options: &PS,
        options_first: true,
    },
    command("restore", Verb::Unsupported, "not supported", ID, Count::AtLeast(0), &[]),
    command("resume", Verb::Resume, "resume all processes that have been previously paused", ID, ONE, &[]),
    command("run", Verb::Run, "create and run a container", ID, ONE, &RUN),
    command("session", Verb::Session, "keep watch over one further process of the engine", "", Count::Exactly(0), &[]),
    command("spec", Verb::Spec, "create a new specification file", "", Count::Exactly(0), &SPEC),
    command("start", Verb::Start, "execute the user defined process in a created container", ID, ONE, &[]),
    command("state", Verb::State, "output the state of a container", ID, ONE, &[]),
    command("update", Verb::Update, "update container resource constraints", ID, ONE, &UPDATE),
];
