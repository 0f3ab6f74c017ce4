"""What an ordinary user cannot have is refused by name where it is asked for (docs/rootless.md)."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Field of HostConfig → its flag, of what is a matter of control groups.
_GROUP_FIELDS = {"CgroupParent": "--cgroup-parent", "DeviceCgroupRules": "--device-cgroup-rule"}


def verify_rootless(host: dict[str, Any], *, own_oom_score: int) -> None:
    """Hold HostConfig against what an ordinary user may ask of the kernel. Raises InvalidArgument."""
    for field, flag in _GROUP_FIELDS.items():
        if host[field]:
            raise InvalidArgument(f"{flag}: an ordinary user's containers have no control groups")
    if host["PidMode"] == "host":
        raise InvalidArgument("--pid host: what it leaves running cannot be found again without a control group")
    if host["UsernsMode"].startswith("remap"):
        raise InvalidArgument("--userns remap: an ordinary user's containers are in that user's own namespace already")
    if host["OomScoreAdj"] and host["OomScoreAdj"] < own_oom_score:
        raise InvalidArgument(
            f"--oom-score-adj {host['OomScoreAdj']}: an ordinary user cannot go below the present {own_oom_score}"
        )
