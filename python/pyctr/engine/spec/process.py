"""The process: arguments, environment, capabilities, limits."""

from __future__ import annotations

from pyctr.engine.capabilities import plan_capabilities
from pyctr.engine.options.limits import granted_hard
from pyctr.engine.spec.environment import plan_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import HostFacts

_UNLIMITED = (1 << 64) - 1
#: Without a daemon the caller's shell limits would leak in; these are what dockerd's unit file gives a container.
_DEFAULT_LIMITS = (("core", -1, -1), ("nofile", 1024, 524288), ("nproc", -1, -1))


def plan_process(record: dict[str, Any], host: HostFacts, linked: list[str] | None = None) -> dict[str, Any]:
    """`process` of the spec. The user stays 0:0: the monitor resolves it against the container's own files."""
    config, host_config = record["Config"], record["HostConfig"]
    names = plan_capabilities(
        host_config["CapAdd"], host_config["CapDrop"], privileged=host_config["Privileged"], granted=host.capabilities
    )
    process: dict[str, Any] = {
        "terminal": config["Tty"],
        "user": {"uid": 0, "gid": 0},
        "args": [record["Path"], *record["Args"]],
        "env": plan_environment(config, linked),
        "cwd": config["WorkingDir"] or "/",
        "capabilities": {"bounding": names, "effective": names, "permitted": names},
        "rlimits": plan_rlimits(host_config, host),
        "oomScoreAdj": host_config["OomScoreAdj"],
        "noNewPrivileges": no_new_privileges(host_config),
    }
    profile = apparmor_profile(host_config)
    if profile:
        process["apparmorProfile"] = profile
    return process


def plan_rlimits(host_config: dict[str, Any], host: HostFacts) -> list[dict[str, Any]]:
    """Defaults clamped to what the kernel grants; an explicit one as asked (options.limits refused what is over)."""
    limits: dict[str, tuple[int, int]] = {}
    for name, soft, hard in _DEFAULT_LIMITS:
        most = granted_hard(name, host)
        limits[name] = (clamp(soft, most), clamp(hard, most))
    for limit in host_config["Ulimits"]:
        limits[limit["Name"]] = (limit["Soft"], limit["Hard"])
    return [
        {"type": "RLIMIT_" + name.upper(), "hard": hard % (_UNLIMITED + 1), "soft": soft % (_UNLIMITED + 1)}
        for name, (soft, hard) in sorted(limits.items())
    ]


def clamp(value: int, most: int) -> int:
    """The lesser of two limits, -1 being unlimited."""
    if most == -1:
        return value
    return most if value == -1 else min(value, most)


def no_new_privileges(host_config: dict[str, Any]) -> bool:
    """Whether --security-opt no-new-privileges is on."""
    enabled = False
    for option in host_config["SecurityOpt"] or ():
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "no-new-privileges":
            enabled = value in ("", "1", "t", "T", "TRUE", "true", "True")
    return enabled


def apparmor_profile(host_config: dict[str, Any]) -> str:
    """The profile asked for; none is the default, nothing being loaded into the kernel without a daemon."""
    profile = ""
    for option in host_config["SecurityOpt"] or ():
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "apparmor":
            profile = "" if value == "unconfined" else value
    return profile
