"""What planning needs to know of the host, gathered once and passed as a value.

Only what the record at hand needs is read: a plain container costs one file (/proc/self/limits) and one look at the
control group mount; limits, devices, ulimits and remapped users cost what they need.
"""

from __future__ import annotations

import os
import stat

from pyctr._core import kernel_version, permitted_capabilities, rootless_keeper
from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CGROUP_ROOT = "/sys/fs/cgroup"
#: There while systemd is the init (sd_booted(3)).
SYSTEMD_BOOTED = "/run/systemd/system"
#: /proc/PID/limits → the names of --ulimit.
_LIMIT_NAMES = {
    "Max cpu time": "cpu",
    "Max file size": "fsize",
    "Max data size": "data",
    "Max stack size": "stack",
    "Max core file size": "core",
    "Max resident set": "rss",
    "Max processes": "nproc",
    "Max open files": "nofile",
    "Max locked memory": "memlock",
    "Max file locks": "locks",
    "Max pending signals": "sigpending",
    "Max msgqueue size": "msgqueue",
    "Max nice priority": "nice",
    "Max realtime priority": "rtprio",
    "Max realtime timeout": "rttime",
}
#: What of /dev a privileged container does not get (moby oci/devices: mounts of its own, and the console).
_SKIPPED_DEVICES = frozenset(("pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"))
#: Feature → file of the version 1 controller that has it.
_V1_FILES = {
    "memory": ("memory", "memory.limit_in_bytes"),
    "memory.swap": ("memory", "memory.memsw.limit_in_bytes"),
    "memory.swappiness": ("memory", "memory.swappiness"),
    "memory.reservation": ("memory", "memory.soft_limit_in_bytes"),
    "memory.oom": ("memory", "memory.oom_control"),
    "cpu.shares": ("cpu", "cpu.shares"),
    "cpu.cfs": ("cpu", "cpu.cfs_quota_us"),
    "cpu.rt": ("cpu", "cpu.rt_runtime_us"),
    "cpuset": ("cpuset", "cpuset.cpus"),
    "pids": ("pids", ""),
    "blkio.throttle": ("blkio", "blkio.throttle.read_bps_device"),
}


class Device:
    """A device node of the host."""

    __slots__ = ("gid", "major", "minor", "mode", "path", "type", "uid")

    def __init__(
        self, path: str, type: str, number: tuple[int, int], mode: int = 0o600, owner: tuple[int, int] = (0, 0)
    ) -> None:
        self.path, self.type, self.mode = path, type, mode
        self.major, self.minor = number
        self.uid, self.gid = owner


class HostFacts:
    """The host as planning sees it; what was not needed is left at its empty value."""

    __slots__ = (
        "apparmor",
        "capabilities",
        "cgroup_v2",
        "cpus",
        "cpuset_cpus",
        "cpuset_mems",
        "devices",
        "features",
        "kernel",
        "lone",
        "nr_open",
        "rlimits",
        "rootless",
        "subgids",
        "subuids",
    )

    def __init__(self, *, cgroup_v2: bool = False, capabilities: int = (1 << 41) - 1) -> None:
        self.cgroup_v2 = cgroup_v2
        self.capabilities = capabilities
        """Mask of what the kernel lets this process hand out."""
        self.rlimits: dict[str, tuple[int, int]] = {}
        """--ulimit name → (soft, hard), -1 for unlimited."""
        self.nr_open = 1 << 20
        self.features: frozenset[str] = frozenset()
        """Control group features present: ``memory``, ``memory.swap``, ``cpu.cfs``, …"""
        self.cpus = 0
        self.cpuset_cpus = ""
        self.cpuset_mems = ""
        self.devices: dict[str, list[Device]] = {}
        """Path asked for → nodes found there; empty where there is none. ``*`` → all of /dev."""
        self.apparmor = False
        self.subuids: tuple[int, int] = (0, 0)
        self.subgids: tuple[int, int] = (0, 0)
        self.kernel: tuple[int, int] = (0, 0)
        self.rootless = False
        """Root is an ordinary user in that user's own namespaces."""
        self.lone = False
        """That user has no subordinate ids."""


def choose_cgroup_driver(asked: str, parent: str) -> str:
    """``systemd`` where it was asked for, else ``cgroupfs`` (docs/adr/0009-cgroupfs-unless-asked.md).

    Raises InvalidArgument where systemd cannot do it, or not below `parent`.
    """
    if asked != "systemd":
        return "cgroupfs"
    if rootless_keeper() is not None:
        raise InvalidArgument(
            "the systemd cgroup driver cannot be used: an ordinary user's containers have no control groups"
        )
    if not os.access(SYSTEMD_BOOTED, os.F_OK):
        raise InvalidArgument("the systemd cgroup driver cannot be used: systemd does not run on this host")
    if parent and (not parent.endswith(".slice") or len(parent) <= len(".slice") or "/" in parent):
        raise InvalidArgument('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"')
    return asked


def gather(host_config: dict[str, Any]) -> HostFacts:
    """Read the facts a container with this HostConfig needs."""
    facts = HostFacts(
        cgroup_v2=os.access(CGROUP_ROOT + "/cgroup.controllers", os.F_OK),
        capabilities=permitted_capabilities(),
    )
    facts.rootless = rootless_keeper() is not None
    facts.lone = facts.rootless and read_text("/proc/self/gid_map").count("\n") == 1
    facts.rlimits = read_rlimits()
    if facts.capabilities >> 24 & 1:
        facts.nr_open = int(read_text("/proc/sys/fs/nr_open") or 1 << 20)
    if wants_limits(host_config):
        if not facts.rootless:
            facts.features = read_features(v2=facts.cgroup_v2)
        facts.cpus = len(os.sched_getaffinity(0))
        facts.cpuset_cpus = read_text("/sys/devices/system/cpu/online").strip()
        facts.cpuset_mems = read_text("/sys/devices/system/node/online").strip() or "0"
    for path in device_paths(host_config):
        facts.devices[path] = find_devices(path)
    if host_config["Privileged"]:
        facts.devices["*"] = list_devices("/dev", skip=_SKIPPED_DEVICES)
    security = host_config["SecurityOpt"] or ()
    if any(option.startswith("apparmor") for option in security):
        facts.apparmor = read_text("/sys/module/apparmor/parameters/enabled").startswith("Y")
    if any(option.startswith("seccomp={") for option in security):
        facts.kernel = kernel_version()
    if host_config["UsernsMode"].startswith("remap") and not facts.rootless:
        user = host_config["UsernsMode"].partition(":")[2] or "pyctr"
        facts.subuids, facts.subgids = read_subordinate("/etc/subuid", user), read_subordinate("/etc/subgid", user)
    return facts


def wants_limits(host_config: dict[str, Any]) -> bool:
    """Whether anything was asked that a controller must give."""
    return any(host_config[field] for field in LIMIT_FIELDS) or host_config["MemorySwappiness"] is not None


LIMIT_FIELDS = [
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "KernelMemory",
    "OomKillDisable",
    "NanoCpus",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "PidsLimit",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
]
RATE_FIELDS = ("BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps")


def device_paths(host_config: dict[str, Any]) -> list[str]:
    """Every device path the record names."""
    paths = [device["PathOnHost"] for device in host_config["Devices"]]
    for field in (*RATE_FIELDS, "BlkioWeightDevice"):
        paths += [entry["Path"] for entry in host_config[field] or ()]
    return paths


def read_text(path: str) -> str:
    """A small file's text; empty where it is missing or unreadable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(fd)


def read_rlimits() -> dict[str, tuple[int, int]]:
    """This process' limits, in the units of setrlimit(2)."""
    limits: dict[str, tuple[int, int]] = {}
    for line in read_text("/proc/self/limits").splitlines()[1:]:
        name = _LIMIT_NAMES.get(line[:26].strip())
        if name:
            soft, hard = line[26:].split()[:2]
            limits[name] = (-1 if soft == "unlimited" else int(soft), -1 if hard == "unlimited" else int(hard))
    return limits


def read_features(*, v2: bool) -> frozenset[str]:
    """Which control group features there are, whichever hierarchy has them."""
    exists: Callable[[str], bool] = os.path.exists
    unified = CGROUP_ROOT if v2 else CGROUP_ROOT + "/unified"
    found = {"pids" if name == "pids" else name for name in read_text(unified + "/cgroup.controllers").split()}
    features: set[str] = set()
    if "memory" in found:
        features |= {"memory", "memory.reservation"}
        own = read_text("/proc/self/cgroup").rpartition("0::")[2].strip()
        if exists(f"{unified}{own}/memory.swap.max") or own in ("/", ""):
            features.add("memory.swap")
    if "cpu" in found:
        features |= {"cpu.shares", "cpu.cfs"}
    if "io" in found:
        features.add("blkio.throttle")
        if exists(unified + "/io.cost.qos"):
            features |= {"blkio.weight", "blkio.weight_device"}
    features |= found & {"cpuset", "pids"}
    mounts = version1_mounts()
    for feature, (controller, file) in _V1_FILES.items():
        if controller in mounts and exists(f"{mounts[controller]}/{file}"):
            features.add(feature)
    for name in ("blkio.weight", "blkio.bfq.weight"):
        if "blkio" in mounts and exists(f"{mounts['blkio']}/{name}"):
            features.add("blkio.weight")
            if exists(f"{mounts['blkio']}/{name}_device"):
                features.add("blkio.weight_device")
    return frozenset(features)


def version1_mounts() -> dict[str, str]:
    """Controller → mount point of its version 1 hierarchy."""
    mounts: dict[str, str] = {}
    for line in read_text("/proc/self/mounts").splitlines():
        fields = line.split(" ")
        if len(fields) > 3 and fields[2] == "cgroup":
            for option in fields[3].split(","):
                mounts.setdefault(option, fields[1])
    return mounts


def find_devices(path: str) -> list[Device]:
    """The node at `path`, or every node below it where it is a directory."""
    try:
        status = os.stat(path)
    except OSError:
        return []
    if stat.S_ISDIR(status.st_mode):
        return list_devices(path, skip=_SKIPPED_DEVICES - {"console"})
    device = make_device(path, status)
    return [device] if device else []


def make_device(path: str, status: os.stat_result) -> Device | None:
    """The device of a stat; None for any other kind of file."""
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b" if stat.S_ISBLK(status.st_mode) else ""
    if not kind:
        return None
    number = status.st_rdev
    mode = stat.S_IMODE(status.st_mode)
    return Device(path, kind, (os.major(number), os.minor(number)), mode, (status.st_uid, status.st_gid))


def list_devices(directory: str, *, skip: frozenset[str]) -> list[Device]:
    """Every device node below `directory`, sorted by path; links are not followed."""
    devices: list[Device] = []
    try:
        with os.scandir(directory) as iterator:
            entries = sorted(iterator, key=lambda entry: entry.name)
    except OSError:
        return devices
    for entry in entries:
        if entry.name in skip or entry.is_symlink():
            continue
        if entry.is_dir():
            devices += list_devices(entry.path, skip=skip)
        else:
            device = make_device(entry.path, entry.stat(follow_symlinks=False))
            if device:
                devices.append(device)
    return devices


def read_ranges(path: str, *users: str) -> list[tuple[int, int]]:
    """The ranges (start, count) of a user, by any of these names, in subuid(5) or subgid(5)."""
    lines = (line.split(":") for line in read_text(path).splitlines())
    return [
        (int(fields[1]), int(fields[2]))
        for fields in lines
        if len(fields) == 3 and fields[0] in users and fields[1].isdigit() and fields[2].isdigit()
    ]


def read_subordinate(path: str, user: str) -> tuple[int, int]:
    """First range (start, count) of `user` in subuid(5) or subgid(5)."""
    ranges = read_ranges(path, user)
    if ranges:
        return ranges[0]
    raise InvalidArgument(f"--userns remap: no range for {user} in {path}")
