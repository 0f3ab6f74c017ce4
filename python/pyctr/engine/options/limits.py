"""HostConfig held against the host, as Docker's daemon does (moby daemon/daemon_unix.go, verifyPlatform…).

Changes HostConfig where Docker discards a limit with a warning; refuses where Docker refuses.
"""

from __future__ import annotations

from pyctr.engine.capabilities import CAP_SYS_RESOURCE
from pyctr.engine.host import read_text, wants_limits
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import HostFacts

#: Docker's floor: below it not even the first process fits.
_MINIMUM_MEMORY = 6 << 20
_NANO = 1_000_000_000


def verify(host: dict[str, Any], facts: HostFacts) -> list[str]:
    """Check and complete HostConfig; returns the warnings. Raises InvalidArgument worded as Docker's daemon."""
    warnings: list[str] = []
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise InvalidArgument(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")
    if facts.rootless:
        from pyctr.engine.options.rootless import verify_rootless

        verify_rootless(host, own_oom_score=int(read_text("/proc/self/oom_score_adj") or 0))
    if wants_limits(host):
        verify_memory(host, facts, warnings)
        verify_cpu(host, facts, warnings)
        verify_cpuset(host, facts, warnings)
        verify_blkio(host, facts, warnings)
    if host["PidsLimit"] and "pids" not in facts.features:
        host["PidsLimit"] = None
        warnings.append(
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."
        )
    verify_ulimits(host, facts)
    verify_security(host, facts)
    if host["Privileged"] or host["PidMode"] == "host" or host["IpcMode"] == "host":
        options = host["SecurityOpt"] or []  # what Docker records of such a container
        host["SecurityOpt"] = options if "label=disable" in options else [*options, "label=disable"]
    if not host["CgroupnsMode"]:
        host["CgroupnsMode"] = "private" if facts.cgroup_v2 else "host"
    return warnings


def verify_memory(host: dict[str, Any], facts: HostFacts, warnings: list[str]) -> None:
    """--memory and what depends on it."""
    limit, swap, reservation = host["Memory"], host["MemorySwap"], host["MemoryReservation"]
    if 0 < limit < _MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if limit and "memory" not in facts.features:
        discard(
            host, "Memory", warnings, "memory limit capabilities or the cgroup is not mounted. Limitation discarded"
        )
        discard(host, "MemorySwap", warnings, "")
    elif limit and swap != -1 and "memory.swap" not in facts.features:
        discard(
            host,
            "MemorySwap",
            warnings,
            "swap limit capabilities or the cgroup is not mounted. Memory limited without swap",
        )
        host["MemorySwap"] = -1
    elif limit and 0 < swap < limit:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    elif not limit and swap > 0:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    elif limit and not swap:
        host["MemorySwap"] = 2 * limit
    if host["MemorySwappiness"] is not None and "memory.swappiness" not in facts.features:
        host["MemorySwappiness"] = None
        warnings.append(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
            "Memory swappiness discarded."
        )
    if 0 < reservation < _MINIMUM_MEMORY:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if limit and reservation > limit:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    if reservation and "memory.reservation" not in facts.features:
        discard(
            host,
            "MemoryReservation",
            warnings,
            "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded",
        )
    verify_kernel_memory_and_oom(host, facts, warnings)


def verify_kernel_memory_and_oom(host: dict[str, Any], facts: HostFacts, warnings: list[str]) -> None:
    """--kernel-memory, which Linux 5.16 took away, and --oom-kill-disable, which version 2 never had."""
    if 0 < host["KernelMemory"] < _MINIMUM_MEMORY:
        raise InvalidArgument("Minimum kernel memory limit allowed is 6MB")
    if host["KernelMemory"]:
        host["KernelMemory"] = 0
        warnings.append(
            "Specifying a kernel memory limit is deprecated: the kernel has no such limit. Limitation discarded."
        )
    if host["OomKillDisable"] and "memory.oom" not in facts.features:
        host["OomKillDisable"] = False
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
    if host["OomKillDisable"] and not host["Memory"]:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system "
            "running out of resources."
        )


def verify_cpu(host: dict[str, Any], facts: HostFacts, warnings: list[str]) -> None:
    """--cpus, --cpu-period, --cpu-quota, --cpu-shares and the real-time pair."""
    nano, period, quota = host["NanoCpus"], host["CpuPeriod"], host["CpuQuota"]
    if nano:
        for value, words in ((period, "Period"), (quota, "Quota")):
            if value > 0:
                raise InvalidArgument(f"Conflicting options: Nano CPUs and CPU {words} cannot both be set")
        if "cpu.cfs" not in facts.features:
            raise InvalidArgument(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not "
                "mounted"
            )
        if not 10_000_000 <= nano <= facts.cpus * _NANO:
            raise InvalidArgument(
                f"Range of CPUs is from 0.01 to {facts.cpus}.00, as there are only {facts.cpus} CPUs available"
            )
    if host["CpuShares"] < 0:
        raise InvalidArgument(f"shares {host['CpuShares']}: must not be negative")
    if host["CpuShares"] and "cpu.shares" not in facts.features:
        discard(host, "CpuShares", warnings, "CPU shares or the cgroup is not mounted. Shares discarded")
    if (period or quota) and "cpu.cfs" not in facts.features:
        discard(host, "CpuPeriod", warnings, "CPU CFS scheduler. CPU period/quota discarded")
        discard(host, "CpuQuota", warnings, "")
    elif period and not 1000 <= period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    elif 0 < quota < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if (host["CpuRealtimePeriod"] or host["CpuRealtimeRuntime"]) and "cpu.rt" not in facts.features:
        raise InvalidArgument("kernel does not support CPU real-time scheduler")
    if host["CpuRealtimePeriod"] and host["CpuRealtimeRuntime"] > host["CpuRealtimePeriod"]:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def verify_cpuset(host: dict[str, Any], facts: HostFacts, warnings: list[str]) -> None:
    """--cpuset-cpus and --cpuset-mems against what is online."""
    for field, kind, noun, online in (
        ("CpusetCpus", "cpus", "CPUs", facts.cpuset_cpus),
        ("CpusetMems", "mems", "memory nodes", facts.cpuset_mems),
    ):
        asked = host[field]
        if not asked:
            continue
        if "cpuset" not in facts.features:
            discard(host, field, warnings, "cpuset or the cgroup is not mounted. CPUset discarded")
            host[field] = ""
            continue
        try:
            numbers = parse_list(asked)
        except ValueError as error:
            raise InvalidArgument(f"Invalid value {asked} for cpuset {kind}: {error}") from None
        if not numbers <= parse_list(online):
            raise InvalidArgument(f"Requested {noun} are not available - requested {asked}, available: {online}")


def parse_list(text: str) -> set[int]:
    """``0-3,7`` as a set; cpuset(7) list format."""
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() and len(end) < 8 for end in ends) or int(ends[0]) > int(ends[1]):
            raise ValueError(f"invalid format: {text}")
        if int(ends[1]) > 8192:
            raise ValueError(f"value out of range, maximum is 8192: {text}")
        numbers.update(range(int(ends[0]), int(ends[1]) + 1))
    return numbers


def verify_blkio(host: dict[str, Any], facts: HostFacts, warnings: list[str]) -> None:
    """Block weights and rates."""
    weight = host["BlkioWeight"]
    if weight and "blkio.weight" not in facts.features:
        discard(host, "BlkioWeight", warnings, "Block I/O weight or the cgroup is not mounted. Weight discarded")
    elif weight and not 10 <= weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if host["BlkioWeightDevice"] and "blkio.weight_device" not in facts.features:
        host["BlkioWeightDevice"] = []
        warnings.append(
            "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
            "Weight-device discarded."
        )
    for field, words in (
        ("BlkioDeviceReadBps", "BPS Block I/O read limit"),
        ("BlkioDeviceWriteBps", "BPS Block I/O write limit"),
        ("BlkioDeviceReadIOps", "IOPS Block read limit"),
        ("BlkioDeviceWriteIOps", "IOPS Block write limit"),
    ):
        if host[field] and "blkio.throttle" not in facts.features:
            host[field] = []
            warnings.append(f"Your kernel does not support {words} or the cgroup is not mounted. {words} discarded.")


def discard(host: dict[str, Any], field: str, warnings: list[str], words: str) -> None:
    """Drop a limit the kernel cannot give, with Docker's warning."""
    host[field] = 0
    if words:
        warnings.append(f"Your kernel does not support {words}.")


def verify_ulimits(host: dict[str, Any], facts: HostFacts) -> None:
    """An explicit --ulimit over what the kernel grants is refused here, by name, not by a failed start."""
    for limit in host["Ulimits"]:
        most = granted_hard(limit["Name"], facts)
        if most != -1 and (limit["Hard"] == -1 or limit["Hard"] > most):
            asked = "unlimited" if limit["Hard"] == -1 else limit["Hard"]
            raise InvalidArgument(f"ulimit {limit['Name']}={asked}: the kernel grants at most {most} here")


def granted_hard(name: str, facts: HostFacts) -> int:
    """The highest hard limit this process can set; -1 is unlimited."""
    if facts.capabilities & CAP_SYS_RESOURCE and not facts.rootless:
        return facts.nr_open if name == "nofile" else -1
    return facts.rlimits.get(name, (-1, -1))[1]


def verify_security(host: dict[str, Any], facts: HostFacts) -> None:
    """An AppArmor profile on a kernel without AppArmor would silently confine nothing."""
    for option in host["SecurityOpt"] or ():
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "apparmor" and value != "unconfined" and not facts.apparmor:
            raise InvalidArgument(f"--security-opt apparmor={value}: the kernel has no AppArmor")
