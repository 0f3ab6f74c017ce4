"""Capabilities: names (capabilities(7)), Docker's defaults, and what --cap-add and --cap-drop make of them."""

from __future__ import annotations

from pyctr._core import capability_names
from pyctr.errors import InvalidArgument

#: Bit number = position.
NAMES = tuple(capability_names())
CAP_SYS_RESOURCE = 1 << 24
#: moby oci/caps/defaults.go, in its order.
DEFAULT = tuple(
    "CAP_" + name
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)


def normalise(texts: list[str], field: str) -> list[str]:
    """``net_admin`` → ``CAP_NET_ADMIN``, ``all`` → ``ALL``; an unknown one is refused worded as Docker's daemon."""
    names: dict[str, None] = {}
    for text in texts:
        name = text.upper()
        if name != "ALL":
            name = name if name.startswith("CAP_") else "CAP_" + name
            if name not in NAMES:
                raise InvalidArgument(f'invalid {field}: unknown capability: "{name}"')
        names[name] = None
    return sorted(names)


def plan_capabilities(add: list[str] | None, drop: list[str] | None, *, privileged: bool, granted: int) -> list[str]:
    """The container's capabilities (moby oci/caps.TweakCapabilities).

    `granted` is the mask the kernel lets this host hand out. ``ALL`` and --privileged mean all of those; one asked for
    by name that the kernel withholds stays in the list, so that the start fails and says so.
    """
    everything = [name for bit, name in enumerate(NAMES) if granted >> bit & 1]
    added, dropped = set(add or ()), set(drop or ())
    if privileged:
        return everything
    if "ALL" in added:
        return [name for name in everything if name not in dropped]
    if "ALL" in dropped:
        return sorted(added)
    base = [name for name in DEFAULT if name not in dropped and name in everything]
    return base + sorted(added.difference(base))
