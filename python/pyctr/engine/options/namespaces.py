"""``--network --pid --ipc --uts --userns --cgroupns``: whose namespaces the container lives in."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

#: What a container without ``--network`` gets.
DEFAULT_NETWORK = "bridge"


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill the namespace modes of HostConfig."""
    host, config = request.host_config, request.config
    request.networks = parse_networks(options)
    host["NetworkMode"] = next(iter(request.networks))
    if not is_network(host["NetworkMode"]):
        request.networks = {}
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


def is_network(mode: str) -> bool:
    """Whether a network mode means endpoints."""
    return mode not in ("none", "host") and not mode.startswith("container:")


def parse_networks(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """``--network`` → network or mode, with what its long form asks for."""
    given = [*texts(options.get("network")), *texts(options.get("net"))] or [DEFAULT_NETWORK]
    networks: dict[str, dict[str, Any]] = {}
    for text in given:
        name, settings = parse_network(text)
        if name in networks:
            raise InvalidArgument(f"network {name!r} is specified multiple times")
        networks[name] = settings
    alone = [name for name in networks if not is_network(name)]
    if alone and len(networks) > 1:
        raise InvalidArgument("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return networks


def texts(value: Any) -> list[str]:
    """A repeatable option, given once or several times."""
    return [value] if isinstance(value, str) else list(value or ())


def parse_network(text: str) -> tuple[str, dict[str, Any]]:
    """``none``, ``host``, ``container:NAME``, a network, or ``name=…,alias=…,ip=…``."""
    if not text:
        raise InvalidArgument("no name set for network")
    if text == "container:":
        raise InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    if text == "default":
        return DEFAULT_NETWORK, {}
    if text.startswith("container:") or "=" not in text:
        if not text.startswith("container:"):
            check_network_name(text)
        return text, {}
    from pyctr.engine.options.network import parse_long_network

    return parse_long_network(text)


def check_network_name(name: str) -> None:
    """A name must not leave the directory of networks."""
    from pyctr.network.store import check_name

    check_name(name)


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
