"""docker-py's keyword arguments as the engine's options (docs/design.md: one dict keyed by Docker's long flag names).

Here is only form: values become the strings the command line would have given, so that one parser refuses for both.
"""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def command_words(command: Any) -> list[str]:
    """A command as its words; a string is split as a shell would."""
    if command is None:
        return []
    if isinstance(command, str):
        import shlex

        try:
            return shlex.split(command)
        except ValueError as error:
            raise InvalidArgument(f"command {command!r}: {error}") from None
    return [str(word) for word in command]


def engine_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options that keyword arguments mean; None means not given. Raises InvalidArgument naming an unknown one."""
    options: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None:
            continue
        if name in _SAME:
            options[_SAME[name]] = value if isinstance(value, bool) else _words(name, value)
        elif name in _RENAMED:
            flag, convert = _RENAMED[name]
            options[flag] = convert(value)
        elif name in _SPECIAL:
            _SPECIAL[name](options, value)
        else:
            raise InvalidArgument(f"{name}: no such option of a container")
    return options


def _words(name: str, value: Any) -> Any:
    if name in _LISTS:
        if isinstance(value, (str, bytes)):
            raise InvalidArgument(f"{name}: a list is expected, not {value!r}")
        return [str(item) for item in value]
    return str(value)


def filters(given: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """Filters in the engine's form: name → values."""
    found: dict[str, list[str]] = {}
    for name, value in (given or {}).items():
        values = value if isinstance(value, (list, tuple, set)) else [value]
        found[name] = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    return found


def pairs(value: Any, separator: str = "=") -> list[str]:
    """A mapping or a list of strings as ``key=value`` strings; a value None leaves the key bare."""
    if isinstance(value, str):
        raise InvalidArgument(f"a mapping or a list is expected, not {value!r}")
    if hasattr(value, "items"):
        return [str(key) if item is None else f"{key}{separator}{item}" for key, item in value.items()]
    return [str(item) for item in value]


def publications(ports: Mapping[Any, Any]) -> list[str]:
    """``{"80/tcp": 8080, "53/udp": ("127.0.0.1", 53), 443: None}`` as `--publish` values."""
    published: list[str] = []
    for inside, outside in ports.items():
        places = outside or [None] if isinstance(outside, list) else [outside]
        published += [_publication(str(inside), place) for place in places]
    return published


def _publication(inside: str, place: Any) -> str:
    if place is None or place == "":
        return inside
    if isinstance(place, (tuple, list)):
        host, port = place[0], place[1] if len(place) > 1 else ""
        host = f"[{host}]" if ":" in str(host) else host
        return f"{host}:{'' if port is None else port}:{inside}"
    return f"{place}:{inside}"


def binds(volumes: Any) -> list[str]:
    """``{"/host": {"bind": "/ctr", "mode": "ro"}}`` or a list of `--volume` values."""
    if not hasattr(volumes, "items"):
        return [str(text) for text in volumes]
    found = []
    for source, target in volumes.items():
        if isinstance(target, str):
            found.append(f"{source}:{target}")
            continue
        unknown = set(target) - {"bind", "mode", "ro", "propagation"}
        if unknown or "bind" not in target:
            raise InvalidArgument(f"volumes: {source}: {f'unknown key {min(unknown)}' if unknown else 'no key bind'}")
        mode = "ro" if target.get("ro") else target.get("mode", "")
        words = [word for word in (mode, target.get("propagation", "")) if word]
        found.append(":".join([str(source), target["bind"], *([",".join(words)] if words else [])]))
    return found


def _restart(policy: Any) -> str:
    if isinstance(policy, str):
        return policy
    count = policy.get("MaximumRetryCount")
    return f"{policy.get('Name') or 'no'}:{count}" if count else str(policy.get("Name") or "no")


def _ulimits(limits: Any) -> list[str]:
    return [
        f"{limit.get('Name', limit.get('name'))}={limit.get('Soft', limit.get('soft', 0))}:"
        f"{limit.get('Hard', limit.get('hard', limit.get('Soft', limit.get('soft', 0))))}"
        for limit in limits
    ]


def _rates(entries: Any) -> list[str]:
    return [f"{entry['Path']}:{entry.get('Rate', entry.get('Weight'))}" for entry in entries]


def _entrypoint(value: Any) -> Any:
    return command_words(value) if isinstance(value, str) and value else value if value == "" else list(value)


def nano_cpus(value: int) -> str:
    """Billionths of a CPU as `--cpus` has it, exactly."""
    return f"{value // 10**9}.{value % 10**9:09d}"


def _health(options: dict[str, Any], check: Mapping[str, Any]) -> None:
    """`healthcheck`: Test, and durations in nanoseconds."""
    given = {key.replace("_", "").lower(): value for key, value in check.items()}
    test = given.pop("test", None)
    if isinstance(test, str):
        test = ["CMD-SHELL", test]
    if test:
        kind, *words = test
        if kind == "NONE":
            options["no_healthcheck"] = True
        elif kind in ("CMD", "CMD-SHELL") and words:
            options["health_cmd"] = words[0] if kind == "CMD-SHELL" else list(words)
        else:
            raise InvalidArgument(f"healthcheck: test {kind!r}: NONE, CMD or CMD-SHELL and a command are expected")
    for key, flag in _HEALTH.items():
        value = given.pop(key, None)
        if value:
            options[flag] = str(value) if key == "retries" else f"{value}ns"
    if given:
        raise InvalidArgument(f"healthcheck: unknown key {min(given)}")


_HEALTH = {
    "interval": "health_interval",
    "timeout": "health_timeout",
    "startperiod": "health_start_period",
    "startinterval": "health_start_interval",
    "retries": "health_retries",
}


def _log(options: dict[str, Any], config: Mapping[str, Any]) -> None:
    given = {key.lower(): value for key, value in config.items()}
    options["log_driver"] = str(given.get("type") or "json-file")
    if given.get("config"):
        options["log_opt"] = pairs(given["config"])


def _links(options: dict[str, Any], links: Any) -> None:
    items = links.items() if hasattr(links, "items") else links
    options["link"] = [f"{name}:{alias}" if alias else str(name) for name, alias in items]


def _network(options: dict[str, Any], name: Any) -> None:
    options["network"] = [str(name)]


def _disabled(options: dict[str, Any], value: Any) -> None:
    if value:
        options["network"] = ["none"]


def networks(options: dict[str, Any], config: Mapping[str, Mapping[str, Any]]) -> None:
    """`networking_config`: network → endpoint, in the API's form, as `--network`'s long form."""
    options["network"] = [_endpoint(name, endpoint or {}) for name, endpoint in config.items()]


def _endpoint(name: str, endpoint: Mapping[str, Any]) -> str:
    addresses = endpoint.get("IPAMConfig") or {}
    fields = [f"alias={alias}" for alias in endpoint.get("Aliases") or endpoint.get("aliases") or ()]
    fields += [
        f"{key}={value}"
        for key, value in (
            ("ip", addresses.get("IPv4Address") or endpoint.get("ipv4_address")),
            ("ip6", addresses.get("IPv6Address") or endpoint.get("ipv6_address")),
            ("mac-address", endpoint.get("MacAddress") or endpoint.get("mac_address")),
            ("gw-priority", endpoint.get("GwPriority")),
        )
        if value
    ]
    fields += [f"driver-opt={key}={value}" for key, value in (endpoint.get("DriverOpts") or {}).items()]
    return ",".join([f"name={name}", *fields]) if fields else name


#: Keyword → option; the value as it is, or as a string.
_SAME = {
    name: name
    for name in (
        "blkio_weight", "cap_add", "cap_drop", "cgroup_parent", "cgroupns", "cpu_period", "cpu_quota", "cpu_rt_period",
        "cpu_rt_runtime", "cpu_shares", "cpuset_cpus", "cpuset_mems", "dns", "dns_opt", "dns_search", "domainname",
        "group_add", "hostname", "init", "mac_address", "name", "oom_kill_disable", "oom_score_adj", "pids_limit",
        "platform", "privileged", "pull", "read_only", "runtime", "security_opt", "shm_size", "stop_signal",
        "stop_timeout", "tty", "user", "volume_driver", "volumes_from",
    )
} | {
    "auto_remove": "rm", "devices": "device", "device_cgroup_rules": "device_cgroup_rule", "ipc_mode": "ipc",
    "kernel_memory": "kernel_memory", "mem_limit": "memory", "mem_reservation": "memory_reservation",
    "mem_swappiness": "memory_swappiness", "memswap_limit": "memory_swap", "mounts": "mount", "pid_mode": "pid",
    "publish_all_ports": "publish_all", "stdin_open": "interactive", "userns_mode": "userns", "uts_mode": "uts",
    "working_dir": "workdir",
}  # fmt: skip
_LISTS = frozenset(
    (
        "cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "group_add", "security_opt", "volumes_from", "devices",
        "device_cgroup_rules", "mounts",
    )
)  # fmt: skip
_RENAMED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "environment": ("env", pairs),
    "labels": ("label", pairs),
    "extra_hosts": ("add_host", lambda value: pairs(value, ":")),
    "sysctls": ("sysctl", pairs),
    "tmpfs": ("tmpfs", lambda value: [f"{path}:{flags}" if flags else path for path, flags in value.items()]),
    "ports": ("publish", publications),
    "volumes": ("volume", binds),
    "restart_policy": ("restart", _restart),
    "ulimits": ("ulimit", _ulimits),
    "entrypoint": ("entrypoint", _entrypoint),
    "nano_cpus": ("cpus", nano_cpus),
    "blkio_weight_device": ("blkio_weight_device", _rates),
    "device_read_bps": ("device_read_bps", _rates),
    "device_read_iops": ("device_read_iops", _rates),
    "device_write_bps": ("device_write_bps", _rates),
    "device_write_iops": ("device_write_iops", _rates),
}
_SPECIAL: dict[str, Callable[[dict[str, Any], Any], None]] = {
    "healthcheck": _health,
    "log_config": _log,
    "links": _links,
    "network": _network,
    "network_mode": _network,
    "network_disabled": _disabled,
    "networking_config": networks,
}
