"""Memory, CPU, pids, block weight, ulimits: parsed here, held against the host in `limits`."""

from __future__ import annotations

from pyctr.engine.options.units import parse_int, parse_nano_cpus, parse_size_flag, quote
from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_SIZES = (
    ("memory", "Memory", "-m, --memory"),
    ("memory_reservation", "MemoryReservation", "--memory-reservation"),
    ("kernel_memory", "KernelMemory", "--kernel-memory"),
)
_NUMBERS = (
    ("cpu_shares", "CpuShares", "-c, --cpu-shares"),
    ("cpu_period", "CpuPeriod", "--cpu-period"),
    ("cpu_quota", "CpuQuota", "--cpu-quota"),
    ("cpu_rt_period", "CpuRealtimePeriod", "--cpu-rt-period"),
    ("cpu_rt_runtime", "CpuRealtimeRuntime", "--cpu-rt-runtime"),
)
#: go-units ulimit.go
ULIMITS = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
]
_WINDOWS_ONLY = ("cpu_count", "cpu_percent", "io_maxbandwidth", "io_maxiops")


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill the resource fields of HostConfig."""
    host = request.host_config
    for key in _WINDOWS_ONLY:
        if key in options:
            raise InvalidArgument(f'"--{key.replace("_", "-")}" is only supported on windows')
    for key, field, flag in _SIZES:
        if key in options:
            host[field] = parse_size_flag(options[key], flag)
    for key, field, flag in _NUMBERS:
        if key in options:
            host[field] = parse_int(options[key], flag)
    if "memory_swap" in options:
        text = options["memory_swap"]
        host["MemorySwap"] = -1 if text == "-1" else parse_size_flag(text, "--memory-swap")
    if "memory_swappiness" in options:
        host["MemorySwappiness"] = parse_swappiness(options["memory_swappiness"])
    host["OomKillDisable"] = bool(options.get("oom_kill_disable"))
    if "cpus" in options:
        host["NanoCpus"] = parse_nano_cpus(options["cpus"], "--cpus")
    host["CpusetCpus"] = options.get("cpuset_cpus", "")
    host["CpusetMems"] = options.get("cpuset_mems", "")
    if "pids_limit" in options:
        limit = parse_int(options["pids_limit"], "--pids-limit")
        host["PidsLimit"] = limit if limit > 0 else None
    if "blkio_weight" in options:
        host["BlkioWeight"] = parse_int(options["blkio_weight"], "--blkio-weight", minimum=0, maximum=65535)
    host["CgroupParent"] = check_cgroup_parent(options.get("cgroup_parent", ""))
    ulimits = {limit["Name"]: limit for limit in map(parse_ulimit, options.get("ulimit", ()))}
    host["Ulimits"] = list(ulimits.values())


def parse_swappiness(text: str) -> int | None:
    """0 to 100; -1 is Docker's word for unset."""
    value = parse_int(text, "--memory-swappiness")
    if value != -1 and not 0 <= value <= 100:
        raise InvalidArgument(f"invalid value: {value}. Valid memory swappiness range is 0-100")
    return None if value == -1 else value


def check_cgroup_parent(text: str) -> str:
    """A path below the root of the control groups, or a systemd slice."""
    if ".." in text.split("/") or any(character in text for character in "\0\n"):
        raise InvalidFlag(text, "--cgroup-parent", "must not leave the control group hierarchy")
    return text


def parse_ulimit(text: str) -> dict[str, Any]:
    """``name=soft[:hard]``; -1 is unlimited."""
    flag = "--ulimit"
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidFlag(text, flag, f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise InvalidFlag(text, flag, f"invalid ulimit type: {name}")
    parts = value.split(":")
    if len(parts) > 2:
        raise InvalidFlag(
            text, flag, f"too many limit value arguments - {value}, can only have up to two, `soft[:hard]`"
        )
    numbers: list[int] = []
    for part in parts:
        digits = part.removeprefix("-").removeprefix("+")
        if not digits.isascii() or not digits.isdigit() or part[:2] in ("-+", "+-"):
            raise InvalidFlag(text, flag, f"strconv.ParseInt: parsing {quote(part)}: invalid syntax")
        numbers.append(int(part))
        if not -1 <= numbers[-1] < 1 << 63:
            raise InvalidFlag(text, flag, f"value out of range: {part}")
    soft, hard = numbers[0], numbers[-1]
    if hard != -1 and soft == -1:
        raise InvalidFlag(
            text,
            flag,
            f"ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {hard}",
        )
    if hard != -1 and soft > hard:
        raise InvalidFlag(text, flag, f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Hard": hard, "Soft": soft}
