"""Every command and its options, once, as plain literals (ADR 0002).

`parse` reads argv by this table without importing anything; `help` draws `--help` from it, `complete` completes by
it. An option is ``(name, short, kind, metavar, help)``; kinds: ``flag``, ``text``, ``list``.
The name is Docker's; options that pyctr cannot honour are here too, so that the engine refuses them by name.

Commands on containers are here; those of other families in modules ``table_FAMILY``, read when `lookup` gets there.
`COMMANDS` is all of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    #: See `__getattr__`.
    COMMANDS: dict[str, Any]

FLAG, TEXT, LIST = "flag", "text", "list"

_CONTAINER = (
    ("add-host", "", LIST, "HOST:IP", "Add a line to /etc/hosts"),
    ("annotation", "", LIST, "KEY=VALUE", "Add an OCI annotation"),
    ("attach", "a", LIST, "STREAM", "Attach stdin, stdout or stderr"),
    ("blkio-weight", "", TEXT, "10-1000", "Relative weight of block I/O, 0 for none"),
    ("blkio-weight-device", "", LIST, "DEVICE:WEIGHT", "Relative weight of block I/O of one device"),
    ("cap-add", "", LIST, "CAPABILITY", "Add a Linux capability"),
    ("cap-drop", "", LIST, "CAPABILITY", "Drop a Linux capability"),
    ("cgroup-parent", "", TEXT, "PATH", "Put the container's control group below this one"),
    ("cgroupns", "", TEXT, "host|private", "Control group namespace"),
    ("cidfile", "", TEXT, "FILE", "Write the container's id to a new file"),
    ("cpu-count", "", TEXT, "N", "Windows only"),
    ("cpu-percent", "", TEXT, "N", "Windows only"),
    ("cpu-period", "", TEXT, "MICROSECONDS", "Period of the CPU quota"),
    ("cpu-quota", "", TEXT, "MICROSECONDS", "CPU time in a period"),
    ("cpu-rt-period", "", TEXT, "MICROSECONDS", "Period of the real-time quota"),
    ("cpu-rt-runtime", "", TEXT, "MICROSECONDS", "Real-time CPU time in a period"),
    ("cpu-shares", "c", TEXT, "N", "Relative weight of CPU time"),
    ("cpus", "", TEXT, "NUMBER", "How many CPUs' time may be used"),
    ("cpuset-cpus", "", TEXT, "LIST", "CPUs that may be used (0-3, 0,1)"),
    ("cpuset-mems", "", TEXT, "LIST", "Memory nodes that may be used (0-3, 0,1)"),
    ("device", "", LIST, "HOST[:CONTAINER[:rwm]]", "Add a device of the host"),
    ("device-cgroup-rule", "", LIST, "RULE", "Allow a device by type and number"),
    ("device-read-bps", "", LIST, "DEVICE:RATE", "Limit bytes read a second"),
    ("device-read-iops", "", LIST, "DEVICE:RATE", "Limit reads a second"),
    ("device-write-bps", "", LIST, "DEVICE:RATE", "Limit bytes written a second"),
    ("device-write-iops", "", LIST, "DEVICE:RATE", "Limit writes a second"),
    ("disable-content-trust", "", FLAG, "", "Skip verification of signatures (there is none)"),
    ("dns", "", LIST, "ADDRESS", "Use this DNS server"),
    ("dns-option", "", LIST, "OPTION", "Add a resolver option"),
    ("dns-opt", "", LIST, "OPTION", "The same"),
    ("dns-search", "", LIST, "DOMAIN", "Search this domain"),
    ("domainname", "", TEXT, "NAME", "NIS domain name"),
    ("entrypoint", "", TEXT, "COMMAND", "Replace the image's entry point"),
    ("env", "e", LIST, "NAME[=VALUE]", "Set a variable, or pass one on"),
    ("env-file", "", LIST, "FILE", "Set the variables of a file"),
    ("expose", "", LIST, "PORT", "Expose a port or a range"),
    ("gpus", "", TEXT, "REQUEST", "Add GPUs"),
    ("group-add", "", LIST, "GROUP", "Join a further group"),
    ("health-cmd", "", TEXT, "COMMAND", "Check health by this command"),
    ("health-interval", "", TEXT, "DURATION", "Time between checks (default 30s)"),
    ("health-retries", "", TEXT, "N", "Failures in a row that mean unhealthy (default 3)"),
    ("health-start-interval", "", TEXT, "DURATION", "Time between checks while starting (default 5s)"),
    ("health-start-period", "", TEXT, "DURATION", "Time for starting, in which failures do not count"),
    ("health-timeout", "", TEXT, "DURATION", "Longest time of a check (default 30s)"),
    ("hostname", "h", TEXT, "NAME", "Host name inside"),
    ("init", "", FLAG, "", "Run a reaper as process 1"),
    ("interactive", "i", FLAG, "", "Keep standard input open"),
    ("io-maxbandwidth", "", TEXT, "BYTES", "Windows only"),
    ("io-maxiops", "", TEXT, "N", "Windows only"),
    ("ip", "", TEXT, "ADDRESS", "IPv4 address"),
    ("ip6", "", TEXT, "ADDRESS", "IPv6 address"),
    ("ipc", "", TEXT, "MODE", "IPC namespace: private, shareable, host, none, container:NAME"),
    ("isolation", "", TEXT, "NAME", "Isolation technology (default only)"),
    ("kernel-memory", "", TEXT, "BYTES", "Limit of kernel memory (kernels no longer have one)"),
    ("label", "l", LIST, "KEY[=VALUE]", "Set a label"),
    ("label-file", "", LIST, "FILE", "Set the labels of a file"),
    ("link", "", LIST, "CONTAINER[:ALIAS]", "Link to another container"),
    ("link-local-ip", "", LIST, "ADDRESS", "Link-local address"),
    ("log-driver", "", TEXT, "DRIVER", "Where output goes: json-file, local, syslog, none"),
    ("log-opt", "", LIST, "KEY=VALUE", "Option of the log driver"),
    ("mac-address", "", TEXT, "ADDRESS", "MAC address"),
    ("memory", "m", TEXT, "BYTES", "Limit of memory"),
    ("memory-reservation", "", TEXT, "BYTES", "Soft limit of memory"),
    ("memory-swap", "", TEXT, "BYTES", "Limit of memory and swap together, -1 for no limit of swap"),
    ("memory-swappiness", "", TEXT, "0-100", "How eagerly memory is swapped out"),
    ("mount", "", LIST, "SPEC", "Mount a volume, directory or tmpfs (type=bind,src=…,dst=…)"),
    ("name", "", TEXT, "NAME", "Name of the container"),
    ("network", "", LIST, "NETWORK", "Network, or none, host, container:NAME; name=…,alias=…,ip=… too"),
    ("net", "", LIST, "NETWORK", "The same as --network"),
    ("network-alias", "", LIST, "NAME", "Further name on the network"),
    ("net-alias", "", LIST, "NAME", "The same as --network-alias"),
    ("no-healthcheck", "", FLAG, "", "Ignore the image's health check"),
    ("oom-kill-disable", "", FLAG, "", "Never kill for lack of memory"),
    ("oom-score-adj", "", TEXT, "-1000-1000", "How likely the kernel kills for lack of memory"),
    ("pid", "", TEXT, "MODE", "PID namespace: host, container:NAME"),
    ("pids-limit", "", TEXT, "N", "Limit of processes, -1 for none"),
    ("platform", "", TEXT, "OS/ARCH", "Platform of the image"),
    ("privileged", "", FLAG, "", "Give every capability and device the host grants"),
    ("publish", "p", LIST, "PORTS", "Publish a port"),
    ("publish-all", "P", FLAG, "", "Publish every exposed port"),
    ("pull", "", TEXT, "always|missing|never", "When to pull the image (default missing)"),
    ("quiet", "q", FLAG, "", "Do not show a pull"),
    ("read-only", "", FLAG, "", "Make the root file system read-only"),
    ("restart", "", TEXT, "POLICY", "no, on-failure[:N], always, unless-stopped (default no)"),
    ("rm", "", FLAG, "", "Remove the container when it ends"),
    ("runtime", "", TEXT, "NAME", "OCI runtime (pyctr's own only)"),
    ("security-opt", "", LIST, "OPTION", "seccomp=FILE|unconfined, no-new-privileges, apparmor=…, label=…"),
    ("shm-size", "", TEXT, "BYTES", "Size of /dev/shm"),
    ("stop-signal", "", TEXT, "SIGNAL", "Signal that stops the container"),
    ("stop-timeout", "", TEXT, "SECONDS", "Time to stop before it is killed"),
    ("storage-opt", "", LIST, "KEY=VALUE", "Option of the storage driver"),
    ("sysctl", "", LIST, "KEY=VALUE", "Set a namespaced kernel parameter"),
    ("tmpfs", "", LIST, "PATH[:OPTIONS]", "Mount a tmpfs"),
    ("tty", "t", FLAG, "", "Give the container a terminal"),
    ("ulimit", "", LIST, "NAME=SOFT[:HARD]", "Set a resource limit"),
    ("use-api-socket", "", FLAG, "", "Give the container the API socket"),
    ("user", "u", TEXT, "USER[:GROUP]", "Run as this user"),
    ("userns", "", TEXT, "MODE", "User namespace: host"),
    ("uts", "", TEXT, "MODE", "UTS namespace: host"),
    ("volume", "v", LIST, "SOURCE:PATH[:OPTIONS]", "Mount a volume or a directory"),
    ("volume-driver", "", TEXT, "NAME", "Driver of new volumes"),
    ("volumes-from", "", LIST, "CONTAINER[:ro]", "Mount another container's volumes"),
    ("workdir", "w", TEXT, "PATH", "Working directory inside"),
)
_RUN = (
    *_CONTAINER,
    ("detach", "d", FLAG, "", "Leave it running and print its id"),
    ("detach-keys", "", TEXT, "KEYS", "Keys that let go of the container"),
    ("sig-proxy", "", FLAG, "", "Pass signals on to the container (default true)"),
)
#: Options of `run` that can be changed afterwards.
_UPDATED = (
    "blkio-weight", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares", "cpus", "cpuset-cpus",
    "cpuset-mems", "memory", "memory-reservation", "memory-swap", "pids-limit", "restart",
)  # fmt: skip
FORMAT = ("format", "", TEXT, "TEMPLATE", "json, table TEMPLATE, or a Go template")
FILTER = ("filter", "f", LIST, "KEY=VALUE", "Show only what matches")
PLATFORM = ("platform", "", TEXT, "OS/ARCH[/VARIANT]", "Of an image for several platforms this one")
NO_TRUNC = ("no-trunc", "", FLAG, "", "Show everything in full")
IDS = ("quiet", "q", FLAG, "", "Show ids only")
_SIGNAL = ("signal", "s", TEXT, "SIGNAL", "Signal to send")
_TIMEOUT = ("timeout", "t", TEXT, "SECONDS", "Wait this long before killing; -1 waits for ever")

#: Command → (module of pyctr.cli.commands, fewest arguments, most or None, options end at the first argument,
#: arguments shown, what it does, options).
CONTAINERS = {
    "run": ("run", 1, None, True, "IMAGE [COMMAND] [ARG...]", "Make a container and run a command in it", _RUN),
    "create": ("run", 1, None, True, "IMAGE [COMMAND] [ARG...]", "Make a container", _CONTAINER),
    "start": (
        "lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Start containers",
        (
            ("attach", "a", FLAG, "", "Attach stdout and stderr, pass signals on"),
            ("checkpoint", "", TEXT, "NAME", "Restore a checkpoint"),
            ("checkpoint-dir", "", TEXT, "PATH", "Where checkpoints are"),
            ("detach-keys", "", TEXT, "KEYS", "Keys that let go of the container"),
            ("interactive", "i", FLAG, "", "Attach stdin"),
        ),
    ),
    "attach": (
        "lifecycle", 1, 1, False, "CONTAINER", "Attach to a running container",
        (
            ("detach-keys", "", TEXT, "KEYS", "Keys that let go of the container"),
            ("no-stdin", "", FLAG, "", "Do not attach stdin"),
            ("sig-proxy", "", FLAG, "", "Pass signals on to the container (default true)"),
        ),
    ),
    "exec": (
        "execute", 2, None, True, "CONTAINER COMMAND [ARG...]", "Run a command in a running container",
        (
            ("detach", "d", FLAG, "", "Leave it running"),
            ("detach-keys", "", TEXT, "KEYS", "Keys that let go of the command"),
            ("env", "e", LIST, "NAME[=VALUE]", "Set a variable, or pass one on"),
            ("env-file", "", LIST, "FILE", "Set the variables of a file"),
            ("interactive", "i", FLAG, "", "Keep standard input open"),
            ("privileged", "", FLAG, "", "Give every capability the host grants"),
            ("tty", "t", FLAG, "", "Give the command a terminal"),
            ("user", "u", TEXT, "USER[:GROUP]", "Run as this user"),
            ("workdir", "w", TEXT, "PATH", "Working directory inside"),
        ),
    ),
    "ps": (
        "ps", 0, 0, False, "", "List containers",
        (
            ("all", "a", FLAG, "", "Show stopped ones too"),
            FILTER,
            FORMAT,
            ("last", "n", TEXT, "N", "Show the last N made"),
            ("latest", "l", FLAG, "", "Show the last one made"),
            NO_TRUNC,
            IDS,
            ("size", "s", FLAG, "", "Show sizes"),
        ),
    ),
    "rm": (
        "lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Remove containers",
        (
            ("force", "f", FLAG, "", "Kill a running one first"),
            ("link", "l", FLAG, "", "Remove a link"),
            ("volumes", "v", FLAG, "", "Remove its anonymous volumes"),
        ),
    ),
    "kill": ("lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Send a signal to containers", (_SIGNAL,)),
    "stop": (
        "lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Stop containers",
        (_SIGNAL, _TIMEOUT, ("time", "", TEXT, "SECONDS", "The same as --timeout")),
    ),
    "restart": (
        "lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Stop containers and start them",
        (_SIGNAL, _TIMEOUT, ("time", "", TEXT, "SECONDS", "The same as --timeout")),
    ),
    "cp": (
        "cp", 2, 2, False, "CONTAINER:SRC_PATH DEST_PATH|-\n\tpyctr cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", "Copy between a container and the host",
        (
            ("archive", "a", FLAG, "", "Keep owners"),
            ("follow-link", "L", FLAG, "", "Follow a link given as source"),
            ("quiet", "q", FLAG, "", "Print nothing"),
        ),
    ),
    "stats": (
        "stats", 0, None, False, "[CONTAINER...]", "Show what containers use",
        (
            ("all", "a", FLAG, "", "Those too that do not run"),
            FORMAT,
            ("no-stream", "", FLAG, "", "Once only"),
            NO_TRUNC,
        ),
    ),
    "top": ("stats", 1, None, True, "CONTAINER [ps OPTIONS]", "Show the processes of a container", ()),
    "pause": ("lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Stop every process of containers", ()),
    "unpause": ("lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Let paused containers go on", ()),
    "update": (
        "lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Change limits and restart policy",
        tuple(option for option in _CONTAINER if option[0] in _UPDATED),
    ),
    "wait": ("lifecycle", 1, None, False, "CONTAINER [CONTAINER...]", "Wait for containers, print exit codes", ()),
    "rename": ("lifecycle", 2, 2, False, "CONTAINER NEW_NAME", "Rename a container", ()),
    "logs": (
        "logs", 1, 1, False, "CONTAINER", "Show what a container wrote",
        (
            ("details", "", FLAG, "", "Show attributes given to the log"),
            ("follow", "f", FLAG, "", "Go on until the container ends"),
            ("since", "", TEXT, "TIME", "From a time, or this long ago (42m)"),
            ("tail", "n", TEXT, "N", "Only the last N lines (default all)"),
            ("timestamps", "t", FLAG, "", "Show times"),
            ("until", "", TEXT, "TIME", "Up to a time, or this long ago (42m)"),
        ),
    ),
    "inspect": (
        "inspect", 1, None, False, "NAME|ID [NAME|ID...]", "Show everything about containers, images, volumes and networks",
        (
            ("format", "f", TEXT, "TEMPLATE", "json or a Go template"),
            ("size", "s", FLAG, "", "Show sizes of containers"),
            ("type", "", TEXT, "KIND", "container, image, network or volume"),
        ),
    ),
    "container inspect": (
        "inspect", 1, None, False, "CONTAINER [CONTAINER...]", "Show everything about containers",
        (("format", "f", TEXT, "TEMPLATE", "json or a Go template"), ("size", "s", FLAG, "", "Show sizes")),
    ),
    "container prune": (
        "lifecycle", 0, 0, False, "", "Remove stopped containers",
        (("filter", "", LIST, "KEY=VALUE", "Remove only what matches"), ("force", "f", FLAG, "", "Do not ask")),
    ),
}  # fmt: skip

#: Docker's other ways of saying the same.
ALIASES = {
    "container ls": "ps", "container list": "ps", "container ps": "ps",
    **{f"container {name}": name for name in (
        "run", "create", "exec", "start", "attach", "rm", "kill", "stop", "restart", "wait", "rename", "logs",
        "pause", "unpause", "update", "stats", "top", "cp")},
    "container remove": "rm",
    "image ls": "images", "image list": "images", "image rm": "rmi", "image remove": "rmi",
    **{f"container {name}": name for name in ("commit", "diff", "export", "port")},
    "image import": "import", "image save": "save", "image load": "load", "image tag": "tag", "image history": "history",
    "system info": "info", "system events": "events",
    "image build": "build", "builder build": "build",
    "buildx build": "build", "buildx b": "build", "buildx du": "builder du", "buildx prune": "builder prune",
    "image pull": "pull", "image push": "push",
    "network list": "network ls", "network remove": "network rm",
    "volume list": "volume ls", "volume remove": "volume rm",
}  # fmt: skip
GROUPS = ("builder", "buildx", "container", "image", "manifest", "network", "system", "volume")

#: Options before the command.
GLOBAL = (
    ("config-file", "", TEXT, "FILE", "The engine's configuration, in daemon.json's keys (/etc/pyctr/daemon.json)"),
    ("root", "", TEXT, "PATH", "Where images and containers are kept"),
    ("run-root", "", TEXT, "PATH", "Where the state of running containers is kept"),
    ("debug", "D", FLAG, "", "Show where an error comes from"),
    ("version", "v", FLAG, "", "Show the version"),
    ("host", "H", TEXT, "URL", "There is no daemon to talk to"),
    ("config", "", TEXT, "PATH", "Docker's client configuration (not read)"),
    ("context", "c", TEXT, "NAME", "Docker's contexts (there are none)"),
    ("log-level", "l", TEXT, "LEVEL", "There is no log but --debug's"),
    ("tls", "", FLAG, "", "TLS to a daemon (there is none)"),
    ("tlscacert", "", TEXT, "FILE", "The same"),
    ("tlscert", "", TEXT, "FILE", "The same"),
    ("tlskey", "", TEXT, "FILE", "The same"),
    ("tlsverify", "", FLAG, "", "The same"),
)

#: Modules of further commands, the likeliest first.
FAMILIES = ("images", "build", "networks", "system", "compose")


def lookup(name: str) -> Any:
    """A command's entry, None where there is none; reads no more of the table than it must."""
    if name in CONTAINERS:
        return CONTAINERS[name]
    for family in FAMILIES:
        commands = _load(family)
        if name in commands:
            return commands[name]
    return None


def _load(family: str) -> dict[str, Any]:
    commands: dict[str, Any] = __import__(f"pyctr.cli.table_{family}", fromlist=("x",)).COMMANDS
    return commands


def __getattr__(name: str) -> Any:
    if name != "COMMANDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    commands = dict(CONTAINERS)
    for family in FAMILIES:
        commands |= _load(family)
    return commands
