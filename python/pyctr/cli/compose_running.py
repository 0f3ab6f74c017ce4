"""The options of `pyctr compose` commands that run something, once (ADR 0002); see `compose_table`."""

from __future__ import annotations

FLAG, TEXT, LIST = "flag", "text", "list"

_SERVICES = "[SERVICE...]"
_DRY = ("dry-run", "", FLAG, "", "Show what would be done")
_INDEX = ("index", "", TEXT, "N", "Which container, if the service has several")
_TIMEOUT = ("timeout", "t", TEXT, "SECONDS", "Time to stop before a container is killed")
_ORPHANS = ("remove-orphans", "", FLAG, "", "Remove containers of services the file does not name")
_FORMAT = ("format", "", TEXT, "TEMPLATE", "table, json, table TEMPLATE, or a Go template")
_QUIET_PULL = ("quiet-pull", "", FLAG, "", "Do not show a pull")
_PULL = ("pull", "", TEXT, "always|missing|never", "When to pull images")
_SCALE = ("scale", "", LIST, "SERVICE=NUM", "How many containers of a service")
_YES = ("yes", "y", FLAG, "", "Assume yes to every question")
_BUILD = ("build", "", FLAG, "", "Build images first")
_NO_BUILD = ("no-build", "", FLAG, "", "Never build an image")
_FORCE_RECREATE = ("force-recreate", "", FLAG, "", "Make containers anew even if nothing changed")
_NO_RECREATE = ("no-recreate", "", FLAG, "", "Leave containers that exist as they are")
_NO_DEPS = ("no-deps", "", FLAG, "", "Leave the services depended on alone")
_NO_COLOR = ("no-color", "", FLAG, "", "No colours")
_NO_PREFIX = ("no-log-prefix", "", FLAG, "", "No names before lines")

RUNNING = {
    "up": (
        "up", 0, None, False, _SERVICES, "Create and start containers",
        (
            ("abort-on-container-exit", "", FLAG, "", "Stop everything when a container ends"),
            ("abort-on-container-failure", "", FLAG, "", "Stop everything when a container fails"),
            ("always-recreate-deps", "", FLAG, "", "Make dependencies anew too"),
            ("attach", "", LIST, "SERVICE", "Show only these services' output"),
            ("attach-dependencies", "", FLAG, "", "Show the output of dependencies too"),
            _BUILD,
            ("detach", "d", FLAG, "", "Leave containers running in the background"),
            _DRY,
            ("exit-code-from", "", TEXT, "SERVICE", "End with this service's exit code"),
            _FORCE_RECREATE,
            ("menu", "", FLAG, "", "Interactive shortcuts (there are none)"),
            ("no-attach", "", LIST, "SERVICE", "Do not show these services' output"),
            _NO_BUILD,
            _NO_COLOR,
            _NO_DEPS,
            _NO_PREFIX,
            _NO_RECREATE,
            ("no-start", "", FLAG, "", "Create only"),
            _PULL,
            ("quiet-build", "", FLAG, "", "Do not show a build"),
            _QUIET_PULL,
            _ORPHANS,
            ("renew-anon-volumes", "V", FLAG, "", "Start with fresh anonymous volumes"),
            _SCALE,
            _TIMEOUT,
            ("timestamps", "", FLAG, "", "Show times"),
            ("wait", "", FLAG, "", "Wait until everything runs or is healthy"),
            ("wait-timeout", "", TEXT, "SECONDS", "Longest time to wait"),
            ("watch", "w", FLAG, "", "Watch files and refresh containers"),
            _YES,
        ),
    ),
    "create": (
        "up", 0, None, False, _SERVICES, "Create containers",
        (
            _BUILD, _DRY, _FORCE_RECREATE, _NO_BUILD, _NO_RECREATE, _PULL, _QUIET_PULL, _ORPHANS, _SCALE, _YES,
        ),
    ),
    "scale": ("up", 1, None, False, "SERVICE=REPLICAS...", "Change how many containers services have", (_DRY, _NO_DEPS)),
    "down": (
        "down", 0, None, False, "[SERVICES]", "Stop and remove containers and networks",
        (
            _DRY,
            _ORPHANS,
            ("rmi", "", TEXT, "local|all", "Remove images too; local: those without a name of their own"),
            _TIMEOUT,
            ("volumes", "v", FLAG, "", "Remove volumes too"),
        ),
    ),
    "stop": ("lifecycle", 0, None, False, _SERVICES, "Stop services", (_DRY, _TIMEOUT)),
    "start": ("lifecycle", 0, None, False, _SERVICES, "Start services", (_DRY,)),
    "restart": ("lifecycle", 0, None, False, _SERVICES, "Restart containers", (_DRY, _NO_DEPS, _TIMEOUT)),
    "kill": (
        "lifecycle", 0, None, False, _SERVICES, "Force containers to stop",
        (_DRY, _ORPHANS, ("signal", "s", TEXT, "SIGNAL", "Signal to send (default SIGKILL)")),
    ),
    "rm": (
        "lifecycle", 0, None, False, _SERVICES, "Remove stopped containers",
        (
            _DRY,
            ("force", "f", FLAG, "", "Do not ask"),
            ("stop", "s", FLAG, "", "Stop them first"),
            ("volumes", "v", FLAG, "", "Remove anonymous volumes too"),
        ),
    ),
    "pause": ("lifecycle", 0, None, False, _SERVICES, "Stop every process of services", (_DRY,)),
    "unpause": ("lifecycle", 0, None, False, _SERVICES, "Let paused services go on", (_DRY,)),
    "wait": (
        "lifecycle", 1, None, False, "SERVICE [SERVICE...]", "Wait until containers of services end",
        (_DRY, ("down-project", "", FLAG, "", "Take the project down when the first one ends")),
    ),
    "ps": (
        "show", 0, None, False, _SERVICES, "List containers",
        (
            ("all", "a", FLAG, "", "Stopped ones too"),
            _DRY,
            ("filter", "", TEXT, "status=STATUS", "Only what matches"),
            _FORMAT,
            ("no-trunc", "", FLAG, "", "Show everything in full"),
            ("orphans", "", FLAG, "", "Those of services the file does not name too (default true)"),
            ("quiet", "q", FLAG, "", "Show ids only"),
            ("services", "", FLAG, "", "Show services only"),
            ("status", "", LIST, "STATUS", "Only those in this state"),
        ),
    ),
    "ls": (
        "show", 0, 0, False, "", "List projects",
        (
            ("all", "a", FLAG, "", "Stopped ones too"),
            _DRY,
            ("filter", "", LIST, "name=REGEX", "Only what matches"),
            _FORMAT,
            ("quiet", "q", FLAG, "", "Show names only"),
        ),
    ),
    "images": (
        "show", 0, None, False, _SERVICES, "List the images of containers",
        (_DRY, _FORMAT, ("quiet", "q", FLAG, "", "Show ids only")),
    ),
    "volumes": (
        "show", 0, None, False, _SERVICES, "List volumes",
        (_DRY, _FORMAT, ("quiet", "q", FLAG, "", "Show names only")),
    ),
    "top": ("show", 0, None, False, "[SERVICES...]", "Show processes", (_DRY,)),
    "port": (
        "show", 2, 2, False, "SERVICE PRIVATE_PORT", "Show where a port is published",
        (_DRY, _INDEX, ("protocol", "", TEXT, "tcp|udp", "Protocol (default tcp)")),
    ),
    "version": (
        "show", 0, 0, False, "", "Show the version",
        (
            _DRY,
            ("format", "f", TEXT, "pretty|json", "How it is shown"),
            ("short", "", FLAG, "", "The number only"),
        ),
    ),
    "stats": (
        "pass_on", 0, 1, False, "[SERVICE]", "Show what containers use",
        (
            ("all", "a", FLAG, "", "Those too that do not run"),
            _DRY,
            _FORMAT,
            ("no-stream", "", FLAG, "", "Once only"),
            ("no-trunc", "", FLAG, "", "Show everything in full"),
        ),
    ),
    "logs": (
        "logs", 0, None, False, _SERVICES, "Show what containers wrote",
        (
            _DRY,
            ("follow", "f", FLAG, "", "Go on until the containers end"),
            _INDEX,
            _NO_COLOR,
            _NO_PREFIX,
            ("since", "", TEXT, "TIME", "From a time, or this long ago (42m)"),
            ("tail", "n", TEXT, "N", "Only the last N lines of each"),
            ("timestamps", "t", FLAG, "", "Show times"),
            ("until", "", TEXT, "TIME", "Up to a time, or this long ago (42m)"),
        ),
    ),
    "exec": (
        "execute", 2, None, True, "SERVICE COMMAND [ARGS...]", "Run a command in a running container",
        (
            ("detach", "d", FLAG, "", "In the background"),
            _DRY,
            ("env", "e", LIST, "NAME=VALUE", "Set a variable"),
            _INDEX,
            ("interactive", "i", FLAG, "", "Keep standard input open (it is)"),
            ("no-tty", "T", FLAG, "", "No terminal"),
            ("no-TTY", "", FLAG, "", "The same"),
            ("privileged", "", FLAG, "", "With every privilege"),
            ("tty", "t", FLAG, "", "With a terminal (where there is one)"),
            ("user", "u", TEXT, "USER", "As this user"),
            ("workdir", "w", TEXT, "PATH", "In this directory"),
        ),
    ),
    "attach": (
        "execute", 1, 1, False, "SERVICE", "Attach to a running container",
        (
            ("detach-keys", "", TEXT, "KEYS", "Keys that let go of the container"),
            _DRY,
            _INDEX,
            ("no-stdin", "", FLAG, "", "Do not attach standard input"),
            ("sig-proxy", "", FLAG, "", "Pass signals on (default true)"),
        ),
    ),
    "run": (
        "run", 1, None, True, "SERVICE [COMMAND] [ARGS...]", "Run one command on a service",
        (
            _BUILD,
            ("cap-add", "", LIST, "CAPABILITY", "Add a capability"),
            ("cap-drop", "", LIST, "CAPABILITY", "Drop a capability"),
            ("detach", "d", FLAG, "", "In the background; print the id"),
            _DRY,
            ("entrypoint", "", TEXT, "COMMAND", "Replace the entry point"),
            ("env", "e", LIST, "NAME=VALUE", "Set a variable"),
            ("env-from-file", "", LIST, "FILE", "Set the variables of a file"),
            ("interactive", "i", FLAG, "", "Keep standard input open (default true)"),
            ("label", "l", LIST, "KEY=VALUE", "Set a label"),
            ("name", "", TEXT, "NAME", "Name of the container"),
            ("no-TTY", "T", FLAG, "", "No terminal"),
            ("no-tty", "", FLAG, "", "The same"),
            _NO_DEPS,
            ("publish", "p", LIST, "PORTS", "Publish a port"),
            _PULL,
            ("quiet", "q", FLAG, "", "Print nothing of its own"),
            ("quiet-build", "", FLAG, "", "Do not show a build"),
            _QUIET_PULL,
            _ORPHANS,
            ("rm", "", FLAG, "", "Remove the container when it ends"),
            ("service-ports", "P", FLAG, "", "Publish the service's ports"),
            ("tty", "t", FLAG, "", "With a terminal (where there is one)"),
            ("use-aliases", "", FLAG, "", "Answer to the service's names"),
            ("user", "u", TEXT, "USER", "As this user"),
            ("volume", "v", LIST, "SOURCE:PATH", "Mount a volume or a directory"),
            ("workdir", "w", TEXT, "PATH", "In this directory"),
        ),
    ),
    "build": (
        "images", 0, None, False, _SERVICES, "Build images",
        (
            ("build-arg", "", LIST, "NAME=VALUE", "Set a build argument"),
            ("builder", "", TEXT, "NAME", "Builder (there is one)"),
            ("check", "", FLAG, "", "Check only"),
            _DRY,
            ("memory", "m", TEXT, "BYTES", "Limit of memory of the build"),
            ("no-cache", "", FLAG, "", "Do not use the cache"),
            ("print", "", FLAG, "", "Print the bake file"),
            ("provenance", "", TEXT, "MODE", "Attestation of provenance"),
            ("pull", "", FLAG, "", "Pull base images anew"),
            ("push", "", FLAG, "", "Push the images"),
            ("quiet", "q", FLAG, "", "Do not show the build"),
            ("sbom", "", TEXT, "MODE", "Attestation of contents"),
            ("ssh", "", TEXT, "AGENT", "SSH agent or keys for the build"),
            ("with-dependencies", "", FLAG, "", "Build dependencies too"),
        ),
    ),
    "pull": (
        "images", 0, None, False, _SERVICES, "Pull images",
        (
            _DRY,
            ("ignore-buildable", "", FLAG, "", "Not those that can be built"),
            ("ignore-pull-failures", "", FLAG, "", "Go on after a failure"),
            ("include-deps", "", FLAG, "", "Those of dependencies too"),
            ("policy", "", TEXT, "missing|always", "When to pull"),
            ("quiet", "q", FLAG, "", "Do not show progress"),
        ),
    ),
    "push": (
        "images", 0, None, False, _SERVICES, "Push images",
        (
            _DRY,
            ("ignore-push-failures", "", FLAG, "", "Go on after a failure"),
            ("include-deps", "", FLAG, "", "Those of dependencies too"),
            ("quiet", "q", FLAG, "", "Do not show progress"),
        ),
    ),
    "cp": (
        "pass_on", 2, 2, False, "SERVICE:PATH PATH|- | PATH|- SERVICE:PATH", "Copy between a container and the host",
        (
            ("all", "", FLAG, "", "Those of `run` too"),
            ("archive", "a", FLAG, "", "Keep owners"),
            _DRY,
            ("follow-link", "L", FLAG, "", "Follow a link given as source"),
            _INDEX,
        ),
    ),
    "commit": (
        "pass_on", 1, 2, False, "SERVICE [REPOSITORY[:TAG]]", "Make an image of a container",
        (
            ("author", "a", TEXT, "NAME", "Author of the image"),
            ("change", "c", LIST, "INSTRUCTION", "Apply a Dockerfile instruction"),
            _DRY,
            _INDEX,
            ("message", "m", TEXT, "TEXT", "What was done"),
            ("pause", "p", FLAG, "", "Hold the container still meanwhile (default true)"),
        ),
    ),
    "export": (
        "pass_on", 1, 1, False, "SERVICE", "Write a container's file system as a tar",
        (_DRY, _INDEX, ("output", "o", TEXT, "FILE", "Write to this file, not standard output")),
    ),
    "events": (
        "events", 0, None, False, _SERVICES, "Follow what happens to containers",
        (
            _DRY,
            ("json", "", FLAG, "", "An object a line"),
            ("since", "", TEXT, "TIME", "From a time on"),
            ("until", "", TEXT, "TIME", "Up to a time"),
        ),
    ),
    "watch": (
        "watch", 0, None, False, _SERVICES, "Watch files, rebuild or refresh containers",
        (
            _DRY,
            ("no-up", "", FLAG, "", "Do not build and start first"),
            ("prune", "", FLAG, "", "Remove nameless images after a build (default true)"),
            ("quiet", "", FLAG, "", "Do not show builds"),
        ),
    ),
}  # fmt: skip
