"""What an ordinary user's container gets where root's gets what only root can make (docs/rootless.md). Pure."""

from __future__ import annotations

from pyctr.engine.spec.linux import choose_devices
from pyctr.engine.spec.mounts import bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import HostFacts

#: A node is the host's own, which the container opens as the user could.
_DEVICE = ("bind", "rprivate")
#: The group of terminals, which a user without subordinate ids has not.
_TERMINALS = "gid=5"
_PING_GROUPS = "net.ipv4.ping_group_range"


def adapt(spec: dict[str, Any], host_config: dict[str, Any], host: HostFacts) -> None:
    """Change a planned runtime-spec: nodes of /dev and file systems of the host's namespaces are bound, never made."""
    linux, process = spec["linux"], spec["process"]
    spec["mounts"] = [
        planned for mount in spec["mounts"] if (planned := adapt_mount(mount, host_config, lone=host.lone))
    ]
    spec["mounts"] += [
        bind(device.path, path, list(_DEVICE)) for path, device in choose_devices(host_config, host).items()
    ]
    del linux["devices"]
    if _PING_GROUPS not in (host_config.get("Sysctls") or {}):
        linux["sysctl"].pop(_PING_GROUPS, None)  # groups that have no id here cannot be named
    if not host_config["OomScoreAdj"]:
        del process["oomScoreAdj"]  # it may be raised, and stays what it is else


def adapt_mount(mount: dict[str, Any], host_config: dict[str, Any], *, lone: bool) -> dict[str, Any] | None:
    """A mount as it can be; None for control groups, of which the container has none, and the host's message queues.

    What shows a namespace may be mounted by that namespace's owner alone: of the host's network /sys is bound.
    """
    kind = mount["type"]
    if kind == "cgroup" or (kind == "mqueue" and host_config["IpcMode"] == "host"):
        return None
    if kind == "sysfs" and host_config["NetworkMode"] == "host":
        options = ["rbind", "rprivate", *(["rro"] if "ro" in mount["options"] else [])]
        return bind("/sys", mount["destination"], options)
    if kind == "devpts" and lone:
        mount["options"].remove(_TERMINALS)
    return mount
