"""One service of the model as options of `docker run`: every key of the compose specification, or a refusal by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import endpoints, mounts, names
from pyctr.engine.options.units import parse_duration
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyctr.compose import Project

    Service = Mapping[str, Any]
    Options = dict[str, Any]

_SECOND_NS = 1_000_000_000
#: Key of a service → option that takes the same text.
_TEXTS = {
    "cgroup": "cgroupns",
    "cgroup_parent": "cgroup_parent",
    "cpu_count": "cpu_count",
    "cpu_percent": "cpu_percent",
    "cpu_period": "cpu_period",
    "cpu_quota": "cpu_quota",
    "cpu_shares": "cpu_shares",
    "cpus": "cpus",
    "cpuset": "cpuset_cpus",
    "domainname": "domainname",
    "hostname": "hostname",
    "isolation": "isolation",
    "mem_limit": "memory",
    "mem_reservation": "memory_reservation",
    "mem_swappiness": "memory_swappiness",
    "memswap_limit": "memory_swap",
    "oom_score_adj": "oom_score_adj",
    "pids_limit": "pids_limit",
    "platform": "platform",
    "runtime": "runtime",
    "shm_size": "shm_size",
    "stop_signal": "stop_signal",
    "user": "user",
    "userns_mode": "userns",
    "uts": "uts",
    "working_dir": "workdir",
}
_FLAGS = {
    "init": "init",
    "oom_kill_disable": "oom_kill_disable",
    "privileged": "privileged",
    "read_only": "read_only",
    "stdin_open": "interactive",
    "tty": "tty",
}
_LISTS = {
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "device_cgroup_rules": "device_cgroup_rule",
    "dns": "dns",
    "dns_opt": "dns_option",
    "dns_search": "dns_search",
    "expose": "expose",
    "extra_hosts": "add_host",
    "group_add": "group_add",
    "security_opt": "security_opt",
    "tmpfs": "tmpfs",
}
_PAIRS = {"annotations": "annotation", "sysctls": "sysctl", "storage_opt": "storage_opt"}
#: Keys no single machine, or no engine without a daemon, can honour: never ignored in silence.
_REFUSED = {
    "credential_spec": "credential specs are Windows'",
    "gpus": "GPUs are not supported",
    "models": "models need Docker's model runner",
    "provider": "provider services need docker compose's plugins",
    "use_api_socket": "there is no daemon's socket to hand in",
}


def container_options(
    project: Project, service: Service, number: int, vips: Mapping[str, Mapping[str, str]] | None = None
) -> Options:
    """The options of container `number` of a service, without secrets, configs and what is there already.

    `vips`: network → driver options that make the container a member of the service's virtual address there.
    """
    refuse(service)
    options: Options = {"detach": True, "name": names.container_name(project, service, number), "pull": "never"}
    for key, option in _TEXTS.items():
        if service.get(key) not in (None, ""):
            options[option] = text(service[key])
    for key, option in _FLAGS.items():
        if service.get(key) is not None:
            options[option] = bool(service[key])
    for key, option in _LISTS.items():
        if service.get(key):
            options[option] = [text(value) for value in as_list(service[key])]
    for key, option in _PAIRS.items():
        if service.get(key):
            options[option] = [f"{name}={text(value)}" for name, value in service[key].items()]
    plan_process(options, service)
    plan_resources(options, service)
    plan_deploy(options, service.get("deploy") or {}, service)
    plan_health(options, service.get("healthcheck"))
    endpoints.plan(options, project, service, vips=vips)
    mounts.plan(options, project, service)
    return options


def refuse(service: Service) -> None:
    """Raise InvalidArgument for what cannot be honoured."""
    for key, why in _REFUSED.items():
        if service.get(key):
            raise InvalidArgument(f"services.{service['name']}.{key}: {why}")
    reservations = ((service.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    for key in ("devices", "generic_resources"):
        if reservations.get(key):
            what = "GPUs and other devices by capability are" if key == "devices" else "generic resources are"
            raise InvalidArgument(
                f"services.{service['name']}.deploy.resources.reservations.{key}: {what} not supported"
            )
    mode = (service.get("deploy") or {}).get("mode", "replicated")
    if mode not in ("replicated", "global"):
        raise InvalidArgument(f"services.{service['name']}.deploy.mode: {mode} is not supported (replicated, global)")


def text(value: Any) -> str:
    """A scalar of the model as an option's text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f").rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def as_list(value: Any) -> Sequence[Any]:
    """A key that may be one value or several."""
    return value if isinstance(value, (list, tuple)) else [value]


def plan_process(options: Options, service: Service) -> None:
    """Entry point, environment, labels, logging, devices, restart, stopping."""
    if service.get("entrypoint") is not None:
        options["entrypoint"] = list(service["entrypoint"]) or ""
    environment = service.get("environment") or {}
    variables = [f"{name}={text(value)}" for name, value in environment.items() if value is not None]
    if variables:
        options["env"] = variables
    logging = service.get("logging") or {}
    if logging.get("driver"):
        options["log_driver"] = logging["driver"]
    if logging.get("options"):
        options["log_opt"] = [f"{name}={text(value)}" for name, value in logging["options"].items()]
    devices = [plan_device(service["name"], device) for device in service.get("devices") or ()]
    if devices:
        options["device"] = devices
    if service.get("restart"):
        options["restart"] = text(service["restart"])
    if service.get("stop_grace_period"):
        # Docker's own stop timeout is in whole seconds; `pyctr compose stop` uses the exact one.
        options["stop_timeout"] = str(-(-parse_duration(service["stop_grace_period"]) // _SECOND_NS))
    for key in ("pid", "ipc"):
        if service.get(key):
            options[key] = text(service[key])


def plan_device(service: str, device: Any) -> str:
    """``source:target:permissions``; CDI names are refused by the engine."""
    if isinstance(device, str):
        return device
    if not device.get("source", "").startswith("/"):
        raise InvalidArgument(f"services.{service}.devices: {device.get('source')}: CDI devices are not supported")
    return ":".join(filter(None, (device["source"], device.get("target"), device.get("permissions"))))


def plan_resources(options: Options, service: Service) -> None:
    """Limits that have a form of their own."""
    for key in ("cpu_rt_period", "cpu_rt_runtime"):
        if service.get(key):
            options[key] = str(microseconds(text(service[key])))
    if service.get("ulimits"):
        options["ulimit"] = [plan_ulimit(name, limit) for name, limit in service["ulimits"].items()]
    block = service.get("blkio_config") or {}
    if block.get("weight"):
        options["blkio_weight"] = text(block["weight"])
    for key, field, option in (
        ("weight_device", "weight", "blkio_weight_device"),
        ("device_read_bps", "rate", "device_read_bps"),
        ("device_read_iops", "rate", "device_read_iops"),
        ("device_write_bps", "rate", "device_write_bps"),
        ("device_write_iops", "rate", "device_write_iops"),
    ):
        entries = [{name.lower(): value for name, value in entry.items()} for entry in block.get(key) or ()]
        if entries:
            options[option] = [f"{entry['path']}:{text(entry[field])}" for entry in entries]


def microseconds(value: str) -> int:
    """A real-time period: a number of microseconds, or a duration."""
    return int(value) if value.isdigit() else parse_duration(value) // 1000


def plan_ulimit(name: str, limit: Any) -> str:
    """``nproc: 65535`` or ``nofile: {soft: …, hard: …}``."""
    if isinstance(limit, dict):
        single = limit.get("single")
        soft, hard = limit.get("soft", single), limit.get("hard", single)
        return f"{name}={soft if soft is not None else hard}:{hard if hard is not None else soft}"
    return f"{name}={text(limit)}:{text(limit)}"


def plan_deploy(options: Options, deploy: Service, service: Service) -> None:
    """What `deploy` asks of one container; replicas and updates are the plan's."""
    resources = deploy.get("resources") or {}
    limits, reservations = resources.get("limits") or {}, resources.get("reservations") or {}
    for source, key, option in (
        (limits, "cpus", "cpus"),
        (limits, "memory", "memory"),
        (limits, "pids", "pids_limit"),
        (reservations, "memory", "memory_reservation"),
    ):
        if source.get(key) not in (None, "", 0):
            options[option] = text(source[key])
    if reservations.get("cpus") and "cpu_shares" not in options:
        # A reservation is a weight where everybody wants the processor: 1024 shares are one of them.
        options["cpu_shares"] = str(max(2, round(float(reservations["cpus"]) * 1024)))
    policy = deploy.get("restart_policy")
    if policy is not None and not service.get("restart"):
        plan_restart(options, policy)


def plan_restart(options: Options, policy: Service) -> None:
    """`deploy.restart_policy` in the engine's words; delay and window are the monitor's."""
    condition = policy.get("condition") or "any"
    words = {"none": "no", "no": "no", "on-failure": "on-failure", "any": "always", "unless-stopped": "unless-stopped"}
    if condition not in words:
        words[condition] = condition  # `always` and what the engine refuses in its own words
    attempts = policy.get("max_attempts")
    options["restart"] = words[condition]
    if attempts and words[condition] != "no":
        options["restart"] += f":{attempts}"  # for `any` the engine says, as Docker does, that there is no such policy
    if words[condition] != "no":
        for key in ("delay", "window"):
            if policy.get(key):
                options[f"restart_{key}"] = text(policy[key])


def plan_health(options: Options, check: Service | None) -> None:
    """`healthcheck`: off, a test of its own, or other times for the image's."""
    if not check:
        return
    test = check.get("test") or []
    if check.get("disable") or (test and test[0] == "NONE"):
        options["no_healthcheck"] = True
        return
    if isinstance(test, str):
        options["health_cmd"] = test
    elif test and test[0] == "CMD-SHELL":
        options["health_cmd"] = " ".join(test[1:])
    elif test:
        options["health_cmd"] = list(test[1:] if test[0] == "CMD" else test)
    for key in ("interval", "timeout", "retries", "start_period", "start_interval"):
        if check.get(key) is not None:
            options[f"health_{key}"] = text(check[key])


def plan_labels(options: Options, service: Service, own: Mapping[str, str]) -> None:
    """Labels of `deploy`, of the service over them, and compose's own."""
    labels = {**((service.get("deploy") or {}).get("labels") or {}), **(service.get("labels") or {}), **own}
    options["label"] = [f"{name}={text(value)}" for name, value in sorted(labels.items())]
