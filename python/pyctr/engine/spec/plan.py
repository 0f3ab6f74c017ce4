"""From a record to an OCI runtime-spec (v1.2) as Docker makes it. Pure: no I/O, no clock, no environment.

`plan_spec` is called at every start; what differs from Docker is listed in docs/compat.md.
"""

from __future__ import annotations

from pyctr.engine.spec.linux import plan_devices, plan_namespaces, plan_resources, plan_sysctls
from pyctr.engine.spec.mounts import plan_mounts
from pyctr.engine.spec.process import plan_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import HostFacts

OCI_VERSION = "1.2.0"


class Joined:
    """What joining other containers came to, resolved at start.

    `pids` maps ``network``, ``pid``, ``ipc`` to the process whose namespace is joined; `shm_path` is the directory a
    shareable container's /dev/shm lives in (its own, or the joined one's).
    """

    __slots__ = ("environment", "pids", "shm_path")

    def __init__(self, pids: dict[str, int] | None = None, *, shm_path: str = "") -> None:
        self.pids = pids or {}
        self.shm_path = shm_path
        #: Variables that links bring along.
        self.environment: list[str] = []


def plan_spec(record: dict[str, Any], host: HostFacts, joined: Joined, *, container_dir: str) -> dict[str, Any]:
    """The runtime-spec of a container; `container_dir` holds its overlay and its hosts, hostname, resolv.conf files."""
    config, host_config = record["Config"], record["HostConfig"]
    linux: dict[str, Any] = {
        "sysctl": plan_sysctls(host_config),
        "resources": plan_resources(host_config, host),
        "cgroupsPath": plan_cgroups_path(record["Id"], host_config["CgroupParent"], cgroup_driver(record)),
        "namespaces": plan_namespaces(host_config, joined),
        "devices": plan_devices(host_config, host),
    }
    if host_config["UsernsMode"].startswith("remap"):
        for field, (start, count) in (("uidMappings", host.subuids), ("gidMappings", host.subgids)):
            linux[field] = [{"containerID": 0, "hostID": start, "size": count}]
    for field, key in (("maskedPaths", "MaskedPaths"), ("readonlyPaths", "ReadonlyPaths")):
        if host_config[key]:
            linux[field] = host_config[key]
    process = plan_process(record, host, joined.environment)
    seccomp = seccomp_profile(host_config)
    if seccomp[:1] == "{":
        linux["seccomp"] = plan_seccomp(seccomp, process["capabilities"]["bounding"], host.kernel)
    spec: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process,
        "root": {"path": container_dir + "/merged", "readonly": host_config["ReadonlyRootfs"]},
        "mounts": plan_mounts(record, joined, container_dir),
        "linux": linux,
    }
    if host.rootless:
        from pyctr.engine.spec.rootless import adapt

        adapt(spec, host_config, host)
    if host_config["UTSMode"] != "host":
        spec["hostname"] = config["Hostname"]
        if config["Domainname"]:
            spec["domainname"] = config["Domainname"]
    if host_config.get("Annotations"):
        spec["annotations"] = host_config["Annotations"]
    return spec


def cgroup_driver(record: dict[str, Any]) -> str:
    """``cgroupfs`` or ``systemd``: chosen when the container was created; by the parent in records older than that choice."""
    chosen: str | None = record.get("Pyctr", {}).get("cgroup_driver")
    return chosen or ("systemd" if record["HostConfig"]["CgroupParent"].endswith(".slice") else "cgroupfs")


def plan_cgroups_path(container_id: str, parent: str, driver: str) -> str:
    """``/pyctr/<id>``, or below --cgroup-parent; ``slice:pyctr:<id>`` of the systemd driver."""
    if driver == "systemd":
        return f"{parent or 'system.slice'}:pyctr:{container_id}"
    parts = [part for part in (parent or "pyctr").split("/") if part not in ("", ".")]
    return "/" + "/".join([*parts, container_id])


def plan_seccomp(profile: str, bounding: list[str], kernel: tuple[int, int]) -> dict[str, Any]:
    """`linux.seccomp` of a profile's JSON: its conditions are resolved for these capabilities and this kernel."""
    from pyctr._core import json_loads, resolve_seccomp_profile
    from pyctr.engine.capabilities import NAMES

    planned: dict[str, Any] = json_loads(
        resolve_seccomp_profile(profile, sum(1 << NAMES.index(name) for name in bounding), kernel)
    )
    return planned


def seccomp_profile(host_config: dict[str, Any]) -> str:
    """``builtin``, ``unconfined`` or a profile's JSON; --privileged means unconfined unless a profile was named."""
    profile = "unconfined" if host_config["Privileged"] else "builtin"
    for option in host_config["SecurityOpt"] or ():
        if option.startswith("seccomp="):
            profile = option.removeprefix("seccomp=")
    return profile


def seccomp_mode(host_config: dict[str, Any]) -> str:
    """The monitor's word: ``default``, ``unconfined`` or ``spec``."""
    profile = seccomp_profile(host_config)
    return {"builtin": "default", "unconfined": "unconfined"}.get(profile, "spec")
