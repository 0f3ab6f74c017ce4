"""Commands on the whole of pyctr (see `pyctr.cli.table`)."""

from __future__ import annotations

from pyctr.cli.table import FILTER, FLAG, LIST, TEXT

COMMANDS = {
    "builder prune": (
        "builder", 0, 0, False, "", "Remove build cache",
        (
            ("all", "a", FLAG, "", "Also what images share"),
            ("filter", "", LIST, "KEY=VALUE", "Remove only what matches"),
            ("force", "f", FLAG, "", "Do not ask"),
            ("keep-storage", "", TEXT, "BYTES", "The older name of reserved-space"),
            ("max-used-space", "", TEXT, "BYTES", "Bytes of cache that may stay at most"),
            ("min-free-space", "", TEXT, "BYTES", "Bytes of the disk that should be free afterwards"),
            ("reserved-space", "", TEXT, "BYTES", "Bytes of cache that always stay"),
        ),
    ),
    "builder du": (
        "builder", 0, 0, False, "", "Show what the build cache holds",
        (FILTER, ("format", "", TEXT, "json", "One JSON object a line"), ("verbose", "", FLAG, "", "Show all there is of each")),
    ),
    "system boot": (
        "boot", 0, 0, False, "", "Start what should run, after a boot of the machine",
        (("wait-timeout", "", TEXT, "SECONDS", "Longest time to wait for health or an end compose asks for (default 300)"),),
    ),
    "system install": (
        "boot", 0, 0, False, "", "Have systemd call `pyctr system boot`",
        (
            ("directory", "", TEXT, "PATH", "Where the unit is written (/etc/systemd/system)"),
            ("remove", "", FLAG, "", "Take the unit away"),
        ),
    ),
    "events": (
        "events", 0, 0, False, "", "Show what happens, as it happens",
        (
            FILTER,
            ("format", "", TEXT, "TEMPLATE", "json or a Go template"),
            ("since", "", TEXT, "TIME", "Show what happened since a time, or since this long ago (42m)"),
            ("until", "", TEXT, "TIME", "Up to a time, or this long ago (42m)"),
        ),
    ),
    "completion": ("completion", 1, 1, False, "bash|fish|zsh", "Print the completion script of a shell", ()),
    "serve": (
        "serve", 0, 0, False, "", "Serve the Docker Engine API on a unix socket",
        (
            ("group", "G", TEXT, "NAME", "Group that may use the socket (pyctr)"),
            ("host", "H", TEXT, "unix://PATH", "Where to listen (RUN_ROOT/pyctr.sock)"),
        ),
    ),
    "version": ("system", 0, 0, False, "", "Show versions", (("format", "f", TEXT, "TEMPLATE", "json or a Go template"),)),
    "info": ("system", 0, 0, False, "", "Show what this host offers", (("format", "f", TEXT, "TEMPLATE", "json or a Go template"),)),
    "system df": (
        "disk", 0, 0, False, "", "Show what takes how much of the disk",
        (
            ("format", "", TEXT, "TEMPLATE", "json or a Go template"),
            ("verbose", "v", FLAG, "", "Each image, container and volume by itself"),
        ),
    ),
    "system prune": (
        "prune", 0, 0, False, "", "Remove what is not used",
        (
            ("all", "a", FLAG, "", "All images that no container uses, not just nameless ones"),
            ("filter", "", LIST, "KEY=VALUE", "Remove only what matches (label, label!, until)"),
            ("force", "f", FLAG, "", "Do not ask"),
            ("volumes", "", FLAG, "", "Anonymous volumes too"),
        ),
    ),
    "system check": (
        "images_io", 0, 0, False, "", "Verify every digest and reference, links and packet rules",
        (("mend", "", FLAG, "", "Put right what can be"),),
    ),
}  # fmt: skip
