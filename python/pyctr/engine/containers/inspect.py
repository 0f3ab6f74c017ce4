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
        "HostConfig": shown_host_config(record),
        "GraphDriver": {"Data": inspect_layers(store, record), "Name": "overlay2"},
        "Mounts": record["Mounts"],
        "Config": record["Config"],
        "NetworkSettings": inspect_network(store, record),
    }


def shown_host_config(record: dict[str, Any]) -> dict[str, Any]:
    """HostConfig; links as Docker shows them, /other:/this/alias."""
    host: dict[str, Any] = record["HostConfig"]
    if not host.get("Links"):
        return host
    pairs = [text.partition(":") for text in host["Links"]]
    return {**host, "Links": [f"/{name}:{record['Name']}/{alias}" for name, _, alias in pairs]}


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
    if state.get("log_lost"):
        # Nothing of Docker's: bytes that a full disk or a full ring kept out of the log.
        shown["LogLost"] = state["log_lost"]
    if state.get("health"):
        shown["Health"] = state["health"]
    return shown


def inspect_layers(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """The directories of the overlay mount, as they really are."""
    directory = store.path(record["Id"])
    return {
        "LowerDir": ":".join(
            f"{store.root}/layers/{layer}" for layer in dict.fromkeys(reversed(record["Pyctr"]["layers"]))
        ),
        "MergedDir": directory + "/merged",
        "UpperDir": directory + "/upper",
        "WorkDir": directory + "/work",
    }


def inspect_network(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """NetworkSettings; a joined network shows none of its own, as Docker does."""
    from pyctr.engine.containers.network import inspect_endpoints, published_ports

    networks = inspect_endpoints(store, record)
    default = networks.get("bridge", {})  # what stood here before there were several networks
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": published_ports(store, record),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{key: default.get(key, empty) for key, empty in _OF_THE_DEFAULT.items()},
        "Networks": networks,
    }


_OF_THE_DEFAULT: dict[str, str | int] = {
    "EndpointID": "",
    "Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "MacAddress": "",
}
