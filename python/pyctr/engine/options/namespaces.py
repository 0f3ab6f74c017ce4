"""``--network --pid --ipc --uts --userns --cgroupns``: whose namespaces the container lives in."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

#: What a container without ``--network`` gets as long as there are no bridge networks: loopback only, and recorded so.
DEFAULT_NETWORK = "none"


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill the namespace modes of HostConfig."""
    host, config = request.host_config, request.config
    host["NetworkMode"] = parse_network(options)
    host["PidMode"] = parse_joinable(options.get("pid", ""), "--pid: invalid PID mode")
    host["IpcMode"] = parse_ipc(options.get("ipc", ""))
    host["UTSMode"] = one_of(options.get("uts", ""), ("", "host"), "--uts: invalid UTS mode")
    host["UsernsMode"] = parse_userns(options.get("userns", ""))
    host["CgroupnsMode"] = one_of(
        options.get("cgroupns", ""), ("", "host", "private"), "--cgroupns: invalid CGROUP mode"
    )
    if host["UTSMode"] == "host" and config["Hostname"]:
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if host["UTSMode"] == "host" and config["Domainname"]:
        raise InvalidArgument("conflicting options: domainname and the UTS mode")
    if host["NetworkMode"].startswith("container:") and config["Hostname"]:
        raise InvalidArgument("conflicting options: hostname and the network mode")


def one_of(value: str, allowed: tuple[str, ...], refusal: str) -> str:
    """`value` when it is one of `allowed`."""
    if value not in allowed:
        raise InvalidArgument(refusal)
    return value


def parse_joinable(value: str, refusal: str) -> str:
    """Empty, ``host`` or ``container:NAME``."""
    kind, _, name = value.partition(":")
    if value in ("", "host") or (kind == "container" and name):
        return value
    raise InvalidArgument(refusal)


def parse_network(options: dict[str, Any]) -> str:
    """``none``, ``host``, ``container:NAME``; every other network is refused by name."""
    given = options.get("network", options.get("net", DEFAULT_NETWORK))
    networks = [given] if isinstance(given, str) else list(given)
    if not networks:
        return DEFAULT_NETWORK
    if len(networks) > 1:
        raise InvalidArgument(f"Container cannot be connected to network endpoints: {', '.join(networks)}")
    mode = networks[0]
    if not mode:
        raise InvalidArgument("no name set for network")
    if mode.startswith("container:"):
        if mode == "container:":
            raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
        return mode
    if mode not in ("none", "host"):
        raise InvalidArgument(
            f"network {mode}: bridge and user-defined networks are not supported yet (none and host are)"
        )
    return mode


def parse_ipc(value: str) -> str:
    """Docker's default is ``private``."""
    if not value:
        return "private"
    if value in ("none", "private", "shareable", "host") or (value.startswith("container:") and len(value) > 10):
        return value
    raise InvalidArgument(f"invalid IPC mode: {value}")


def parse_userns(value: str) -> str:
    """Empty, ``host`` or ``remap[:USER]``: root of the container is a subordinate id of USER (subuid(5))."""
    kind, colon, user = value.partition(":")
    if value in ("", "host", "remap") or (kind == "remap" and colon and user):
        return value
    raise InvalidArgument("--userns: invalid USER mode")
