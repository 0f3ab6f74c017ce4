"""The monitor's request, monitor.json: everything the monitor must know that the runtime-spec does not say. Pure."""

from __future__ import annotations

from pyctr.engine.signals import SIGTERM, parse_signal
from pyctr.engine.spec import seccomp_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

REQUEST_VERSION = 1
_DEFAULT_STOP_TIMEOUT_S = 10


def plan_request(store: Store, record: dict[str, Any], lower: list[str]) -> dict[str, Any]:
    """monitor.json of a container; `lower` are its layers' directories, topmost first."""
    container_id, config, host = record["Id"], record["Config"], record["HostConfig"]
    directory = store.path(container_id)
    name = record["Name"].removeprefix("/")
    timeout_s = config.get("StopTimeout")
    request = {
        "version": REQUEST_VERSION,
        "id": container_id,
        "container_dir": directory,
        "run_dir": store.run_path(container_id),
        "overlay": {
            "lower": lower,
            "upper": directory + "/upper",
            "work": directory + "/work",
            "volatile": host["AutoRemove"],
        },
        "user": config["User"] or "0",
        "group_add": host["GroupAdd"] or [],
        "terminal": config["Tty"],
        "open_stdin": config["OpenStdin"],
        "stdin_once": config["StdinOnce"],
        "log": {
            "driver": host["LogConfig"]["Type"],
            "path": log_path(store, container_id),
            "options": host["LogConfig"]["Config"],
        },
        "remove": plan_removal(store, record) if host["AutoRemove"] else None,
        "restart": {
            "policy": host["RestartPolicy"]["Name"] or "no",
            "maximum_retry_count": host["RestartPolicy"]["MaximumRetryCount"],
        },
        "stop_signal": parse_signal(config["StopSignal"]) if config.get("StopSignal") else SIGTERM,
        "stop_timeout_s": _DEFAULT_STOP_TIMEOUT_S if timeout_s is None else timeout_s,
        "init": bool(host.get("Init")),
        "seccomp": seccomp_mode(host),
        "cgroup_driver": "systemd" if host["CgroupParent"].endswith(".slice") else "cgroupfs",
        "events": store.root + "/events.jsonl",
        "event_attributes": {"image": config["Image"], "name": name, **config["Labels"]},
    }
    network = plan_network(record)
    if network is not None:
        request["network"] = network
    return request


def plan_removal(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """What --rm takes away besides the container's directory."""
    return {
        "name": f"{store.names_dir}/{record['Name'].removeprefix('/')}",
        "volumes": [f"{store.volumes_dir}/{name}" for name in record["Pyctr"]["anonymous_volumes"]],
    }


def plan_network(record: dict[str, Any]) -> dict[str, Any] | None:
    """The endpoint of a bridge network; None where there is none to make.

    ``none``, ``host`` and ``container:`` need no endpoint, and every other mode was refused with the options.
    """
    del record
    return None


def log_path(store: Store, container_id: str) -> str:
    """The json-file log."""
    return f"{store.path(container_id)}/{container_id}-json.log"
