"""The monitor's request, monitor.json: everything the monitor must know that the runtime-spec does not say."""

from __future__ import annotations

from pyctr._core import rootless_keeper
from pyctr.engine.signals import SIGTERM, parse_signal
from pyctr.engine.spec.plan import cgroup_driver, seccomp_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store
    from pyctr.network.plan import Plan

REQUEST_VERSION = 1
_SECOND_NS = 1_000_000_000
#: Log drivers that keep files, which can be read back.
FILE_DRIVERS = ("json-file", "local")
#: Options of the log that say which labels and variables go into every entry.
_LOG_ATTRIBUTES = ("labels", "labels-regex", "env", "env-regex")
_DEFAULT_STOP_TIMEOUT_S = 10


def plan_request(
    store: Store, record: dict[str, Any], lower: list[str], plan: Plan | None = None, *, restarts: int = 0
) -> dict[str, Any]:
    """monitor.json of a container; `lower` are its layers' directories, topmost first, `restarts` those so far."""
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
        "log": plan_log(record, log_path(store, container_id, host["LogConfig"]["Type"])),
        "remove": plan_removal(store, record) if host["AutoRemove"] else None,
        "restart": plan_restart(host["RestartPolicy"], restarts),
        "stop_signal": parse_signal(config["StopSignal"]) if config.get("StopSignal") else SIGTERM,
        "stop_timeout_s": _DEFAULT_STOP_TIMEOUT_S if timeout_s is None else timeout_s,
        "init": bool(host.get("Init")),
        "seccomp": seccomp_mode(host),
        "cgroup_driver": cgroup_driver(record),
        "health": plan_health(config),
        "events": store.root + "/events.jsonl",
        "event_attributes": {"image": config["Image"], "name": name, **config["Labels"]},
    }
    keeper = rootless_keeper()
    if keeper is not None:
        request["keeper"] = keeper
    if plan is not None:
        request["network"] = plan.request
    return request


def plan_restart(policy: dict[str, Any], count: int = 0) -> dict[str, Any]:
    """The monitor's form of a restart policy; `count` restarts were before it."""
    planned = {"policy": policy["Name"] or "no", "maximum_retry_count": policy["MaximumRetryCount"]}
    if count:  # only then: a monitor from before an upgrade refuses what it does not know
        planned["count"] = count
    for name, field in (("delay_ms", "Delay"), ("window_ms", "Window")):  # compose's, in nanoseconds
        if policy.get(field):
            planned[name] = policy[field] // 1_000_000
    return planned


def plan_health(config: dict[str, Any]) -> dict[str, Any] | None:
    """The health check with Docker's defaults; None where there is none (moby daemon/health.go)."""
    check = config.get("Healthcheck") or {}
    kind, *words = check.get("Test") or ("NONE",)
    if kind == "NONE" or not words:
        return None
    return {
        "command": [*(config.get("Shell") or ("/bin/sh", "-c")), *words] if kind == "CMD-SHELL" else words,
        "interval_ns": check.get("Interval") or 30 * _SECOND_NS,
        "timeout_ns": check.get("Timeout") or 30 * _SECOND_NS,
        "start_period_ns": check.get("StartPeriod") or 0,
        "start_interval_ns": check.get("StartInterval") or 5 * _SECOND_NS,
        "retries": check.get("Retries") or 3,
    }


def plan_removal(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """What --rm takes away besides the container's directory."""
    return {
        "name": f"{store.names_dir}/{record['Name'].removeprefix('/')}",
        "volumes": [f"{store.volumes_dir}/{name}" for name in record["Pyctr"]["anonymous_volumes"]],
    }


def log_path(store: Store, container_id: str, driver: str) -> str:
    """The file a log driver writes, whether it does or not."""
    name = "container.log" if driver == "local" else f"{container_id}-json.log"
    return f"{store.path(container_id)}/{name}"


def plan_log(record: dict[str, Any], path: str) -> dict[str, Any]:
    """The monitor's ``log``: driver, file, what the driver itself obeys, what every entry says of the container."""
    config = record["HostConfig"]["LogConfig"]
    settings: dict[str, str] = config["Config"]
    own = {name: value for name, value in settings.items() if name not in _LOG_ATTRIBUTES}
    planned: dict[str, Any] = {"driver": config["Type"], "path": path, "options": own}
    if any(name in settings for name in _LOG_ATTRIBUTES):
        planned["attributes"] = plan_attributes(settings, record["Config"])
    return planned


def plan_attributes(settings: dict[str, str], config: dict[str, Any]) -> dict[str, str]:
    """The labels and variables named by key or by expression (moby daemon/logger, Info.ExtraAttributes)."""
    variables = dict(text.partition("=")[::2] for text in config["Env"] or () if "=" in text)
    chosen: dict[str, str] = {}
    for source, option in ((config["Labels"] or {}, "labels"), (variables, "env")):
        wanted = settings.get(option, "").split(",")
        chosen |= {key: source[key] for key in wanted if key in source}
        pattern = settings.get(f"{option}-regex")
        if pattern:
            import re

            chosen |= {key: value for key, value in source.items() if re.search(pattern, key)}
    return chosen
