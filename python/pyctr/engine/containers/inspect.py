"""`docker inspect` of a container: the record, and what only the host knows."""

from __future__ import annotations

from pyctr.engine import times
from pyctr.engine.containers.exec_sessions import list_sessions
from pyctr.engine.containers.request import FILE_DRIVERS, log_path
from pyctr.engine.containers.state import current_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

_EMPTY_NETWORK = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "MacAddress": "",
    "DriverOpts": None,
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}


def inspect_container(store: Store, container_id: str) -> dict[str, Any]:
    """The whole object, in Docker's order."""
    state = current_state(store, container_id)
    record = store.record(container_id)
    directory = store.path(container_id)
    started = bool(state.get("started_at"))
    driver = record["HostConfig"]["LogConfig"]["Type"]
    security = [option.partition("=") for option in record["HostConfig"]["SecurityOpt"] or ()]
    return {
        "Id": record["Id"],
        "Created": record["Created"],
        "Path": record["Path"],
        "Args": record["Args"],
        "State": inspect_state(state),
        "Image": record["Image"],
        "ResolvConfPath": directory + "/resolv.conf",
        "HostnamePath": directory + "/hostname",
        "HostsPath": directory + "/hosts",
        "LogPath": log_path(store, container_id, driver) if driver in FILE_DRIVERS and started else "",
        "Name": record["Name"],
        "RestartCount": state.get("restart_count", 0),
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": next((value for name, _, value in security if name == "apparmor"), ""),
        "ExecIDs": list_sessions(store, container_id) or None,
        "HostConfig": record["HostConfig"],
        "GraphDriver": {"Data": inspect_layers(store, record), "Name": "overlay2"},
        "Mounts": record["Mounts"],
        "Config": record["Config"],
        "NetworkSettings": inspect_network(record),
    }


def inspect_state(state: dict[str, Any]) -> dict[str, Any]:
    """State; a container that never ran is ``created``."""
    status = state.get("status", "created")
    shown: dict[str, Any] = {
        "Status": status,
        "Running": status in ("running", "paused", "restarting"),
        "Paused": status == "paused",
        "Restarting": status == "restarting",
        "OOMKilled": bool(state.get("oom_killed")),
        "Dead": status == "dead",
        "Pid": state.get("pid") or 0,
        "ExitCode": state.get("exit_code") or 0,
        "Error": state.get("error") or "",
        "StartedAt": state.get("started_at") or times.ZERO,
        "FinishedAt": state.get("finished_at") or times.ZERO,
    }
    if state.get("health"):
        shown["Health"] = state["health"]
    return shown


def inspect_layers(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """The directories of the overlay mount, as they really are."""
    directory = store.path(record["Id"])
    return {
        "LowerDir": ":".join(f"{store.root}/layers/{layer}" for layer in reversed(record["Pyctr"]["layers"])),
        "MergedDir": directory + "/merged",
        "UpperDir": directory + "/upper",
        "WorkDir": directory + "/work",
    }


def inspect_network(record: dict[str, Any]) -> dict[str, Any]:
    """NetworkSettings; a joined network shows none of its own, as Docker does."""
    mode = record["HostConfig"]["NetworkMode"]
    networks = {} if mode.startswith("container:") else {mode: dict(_EMPTY_NETWORK)}
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": networks,
    }
