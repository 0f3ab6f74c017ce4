"""What this host offers and what is stored, in the form of Docker's API."""

from __future__ import annotations

import os
import sys

from pyctr import __version__
from pyctr._core import rootless_keeper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

#: Go's names of machines.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version(_engine: Engine | None = None) -> dict[str, Any]:
    """Versions, as ``GET /version`` has them but for the API's own."""
    host = os.uname()
    machine = _ARCHITECTURES.get(host.machine, host.machine)
    details = {"PythonVersion": sys.version.split()[0], "Os": "linux", "Arch": machine, "KernelVersion": host.release}
    return {
        "Platform": {"Name": "pyctr"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        "Os": "linux",
        "Arch": machine,
        "KernelVersion": host.release,
    }


def info(engine: Engine) -> dict[str, Any]:
    """What ``docker info`` shows, where it means anything without a daemon."""
    from pyctr.engine.host import choose_cgroup_driver, read_features

    found = engine.containers.list(all=True)
    states = [item.state for item in found]
    host = os.uname()
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    rootless = rootless_keeper() is not None
    features = frozenset() if rootless else read_features(v2=unified)
    release = operating_system()
    return {
        "ID": machine_id(),
        "Containers": len(found),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len({image.id for image in engine.image_store.images()}),
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", filesystem(engine.root)]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null"],
            "Authorization": None,
            "Log": ["json-file", "local", "none", "syslog"],
        },
        "MemoryLimit": "memory" in features,
        "SwapLimit": "memory.swap" in features,
        "CpuCfsPeriod": "cpu.cfs" in features,
        "CpuCfsQuota": "cpu.cfs" in features,
        "CPUShares": "cpu.shares" in features,
        "CPUSet": "cpuset" in features,
        "PidsLimit": "pids" in features,
        "OomKillDisable": "memory.oom" in features,
        "IPv4Forwarding": _reads_one("/proc/sys/net/ipv4/ip_forward"),
        "Debug": engine.config.debug,
        "LoggingDriver": engine.config.log_driver or "json-file",
        "CgroupDriver": "none" if rootless else choose_cgroup_driver(engine.config.cgroup_driver, ""),
        "CgroupVersion": "2" if unified else "1",
        "KernelVersion": host.release,
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": host.machine,
        "NCPU": os.cpu_count(),
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"],
            "IndexConfigs": {
                name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
                for name in engine.config.insecure_registries
            },
            "Mirrors": engine.config.registry_mirrors or None,
        },
        "Name": host.nodename,
        "Labels": [],
        "DockerRootDir": engine.root,
        "ServerVersion": __version__,
        "Runtimes": {"pyctr-runtime": {"path": engine.runtime}},
        "DefaultRuntime": "pyctr-runtime",
        "InitBinary": "pyctr-init",
        "SecurityOptions": [
            "name=seccomp,profile=builtin",
            *(["name=rootless"] if rootless else []),
            *(["name=cgroupns"] if unified else []),
        ],
        "Swarm": {"LocalNodeState": "inactive", "NodeID": "", "NodeAddr": "", "ControlAvailable": False},
        "LiveRestoreEnabled": True,
        "Warnings": warnings(features),
    }


def warnings(features: frozenset[str]) -> list[str] | None:
    """Docker's words for limits this host cannot set."""
    wanted = (("memory", "memory"), ("memory.swap", "swap"), ("cpu.shares", "cpu shares"), ("cpu.cfs", "cpu cfs quota"))
    return [f"WARNING: No {words} limit support" for feature, words in wanted if feature not in features] or None


def machine_id() -> str:
    """The host's, from systemd's file."""
    from pyctr.engine.host import read_text

    return read_text("/etc/machine-id").strip()


def operating_system() -> dict[str, str]:
    """os-release(5)."""
    from pyctr.engine.host import read_text

    pairs = (
        line.partition("=") for line in (read_text("/etc/os-release") or read_text("/usr/lib/os-release")).splitlines()
    )
    return {key: value.strip("\"'") for key, equals, value in pairs if equals}


def filesystem(path: str) -> str:
    """The kind of file system a path is on, from the mount table; empty where it cannot be told."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    return next((fields[fields.index("-") + 1] for fields in lines if fields[2] == wanted), "")


def _reads_one(path: str) -> bool:
    from pyctr.engine.host import read_text

    return read_text(path).strip() == "1"
