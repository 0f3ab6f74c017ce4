"""Commands of Docker's client that are not here, each with the reason: they are refused by name."""

from __future__ import annotations

_SWARM = (
    "pyctr runs containers on one machine ('pyctr compose export --format kubernetes' takes an application to several)"
)
_CONTEXT = "there is no daemon to choose (--root and PYCTR_ROOT choose a state directory)"
_BUILDX = "there is one builder; 'pyctr build', 'pyctr builder du' and 'pyctr builder prune' are its commands"

#: Command, or the first word of a group of them → why.
ABSENT = {
    **dict.fromkeys(("config", "node", "secret", "service", "stack", "swarm"), _SWARM),
    "buildx": _BUILDX,
    "checkpoint": "processes are not saved to disk; 'pyctr pause' stops them in memory",
    "context": _CONTEXT,
    "plugin": "there is no daemon that could be extended",
    "trust": "signatures are not verified; pull by digest (NAME@sha256:…) to get just what was meant",
    "volume update": "cluster volumes are Swarm's",
}


def find_absent(words: list[str]) -> str | None:
    """The key of ABSENT that a command line begins with."""
    two = " ".join(words[:2])
    return two if two in ABSENT else words[0] if words[0] in ABSENT else None
