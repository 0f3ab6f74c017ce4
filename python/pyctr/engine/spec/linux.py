"""Namespaces, devices, resources, sysctls."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.host import Device, HostFacts
    from pyctr.engine.spec.plan import Joined

#: moby oci/defaults.go: zero, null, urandom, random, tty, console; fuse refused.
_DEFAULT_RULES = ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))
_FUSE = (10, 229)
_CFS_PERIOD_US = 100_000


def plan_namespaces(host_config: dict[str, Any], joined: Joined) -> list[dict[str, str]]:
    """Own, the host's (left out) or another container's (a path)."""
    namespaces: list[dict[str, str]] = [{"type": "mount"}]
    for kind, field, file in (
        ("network", "NetworkMode", "net"),
        ("uts", "UTSMode", "uts"),
        ("pid", "PidMode", "pid"),
        ("ipc", "IpcMode", "ipc"),
    ):
        mode = host_config[field]
        if mode.startswith("container:"):
            namespaces.append({"type": kind, "path": f"/proc/{joined.pids[kind]}/ns/{file}"})
        elif mode != "host":
            namespaces.append({"type": kind})
    if host_config["UsernsMode"].startswith("remap"):
        namespaces.append({"type": "user"})
    if host_config["CgroupnsMode"] == "private":
        namespaces.append({"type": "cgroup"})
    return namespaces


def plan_sysctls(host_config: dict[str, Any]) -> dict[str, str]:
    """Docker lets every user of an own network namespace ping and bind low ports; an explicit --sysctl wins."""
    sysctls: dict[str, str] = {}
    if host_config["NetworkMode"] == "none":
        sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
        if not host_config["UsernsMode"].startswith("remap"):
            sysctls["net.ipv4.ping_group_range"] = "0 2147483647"
    return {**sysctls, **host_config.get("Sysctls", {})}


def plan_devices(host_config: dict[str, Any], host: HostFacts) -> list[dict[str, Any]]:
    """Nodes to make in /dev."""
    return [device_node(device, path) for path, device in choose_devices(host_config, host).items()]


def choose_devices(host_config: dict[str, Any], host: HostFacts) -> dict[str, Device]:
    """Path inside → device: all of the host's for --privileged, and those of --device."""
    chosen = {device.path: device for device in host.devices["*"]} if host_config["Privileged"] else {}
    for asked in host_config["Devices"]:
        chosen |= {path: device for device, path in resolve_device(asked, host)}
    return chosen


def device_node(device: Device, path: str) -> dict[str, Any]:
    """A device of the spec."""
    return {
        "path": path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def resolve_device(asked: dict[str, str], host: HostFacts) -> list[tuple[Device, str]]:
    """The nodes of one --device with their paths inside; a directory gives all below it."""
    source, target = asked["PathOnHost"], asked["PathInContainer"]
    found = host.devices.get(source, [])
    if not found:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{source}": no such file or directory '
            "or not a device node"
        )
    return [(device, target + device.path[len(source) :]) for device in found]


def plan_device_rules(host_config: dict[str, Any], host: HostFacts) -> list[dict[str, Any]]:
    """What the devices controller lets through."""
    if host_config["Privileged"]:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    rules += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in _DEFAULT_RULES]
    rules.append({"allow": False, "type": "c", "major": _FUSE[0], "minor": _FUSE[1], "access": "rwm"})
    for asked in host_config["Devices"]:
        for device, _ in resolve_device(asked, host):
            rules.append(rule(device.type, device.major, device.minor, asked["CgroupPermissions"]))
    for text in host_config["DeviceCgroupRules"] or ():
        kind, numbers, access = text.split(" ")
        major, minor = (-1 if number == "*" else int(number) for number in numbers.split(":"))
        rules.append(rule(kind, major, minor, access))
    return rules


def rule(kind: str, major: int, minor: int, access: str) -> dict[str, Any]:
    """One allowing rule; -1 is any number."""
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def plan_resources(host_config: dict[str, Any], host: HostFacts) -> dict[str, Any]:
    """Only what was asked for: a controller nothing is asked of is not written to."""
    resources: dict[str, Any] = {
        "memory": plan_memory(host_config),
        "cpu": plan_cpu(host_config),
        "blockIO": plan_block_io(host_config, host),
        "pids": {"limit": host_config["PidsLimit"]} if host_config["PidsLimit"] else {},
        "devices": plan_device_rules(host_config, host),
    }
    return {name: values for name, values in resources.items() if values}


def plan_memory(host_config: dict[str, Any]) -> dict[str, Any]:
    """Bytes; swap counts memory too (v1's memsw), -1 is unlimited."""
    memory: dict[str, Any] = {}
    for name, field in (("limit", "Memory"), ("reservation", "MemoryReservation")):
        if host_config[field] > 0:
            memory[name] = host_config[field]
    if host_config["MemorySwap"] and host_config["Memory"] > 0:
        memory["swap"] = host_config["MemorySwap"]
    if host_config["MemorySwappiness"] is not None:
        memory["swappiness"] = host_config["MemorySwappiness"]
    if host_config["OomKillDisable"]:
        memory["disableOOMKiller"] = True
    return memory


def plan_cpu(host_config: dict[str, Any]) -> dict[str, Any]:
    """--cpus is a quota over Docker's period of 100 ms."""
    cpu: dict[str, Any] = {}
    if host_config["CpuShares"]:
        cpu["shares"] = host_config["CpuShares"]
    if host_config["NanoCpus"]:
        cpu["quota"], cpu["period"] = host_config["NanoCpus"] * _CFS_PERIOD_US // 1_000_000_000, _CFS_PERIOD_US
    for name, field in (
        ("period", "CpuPeriod"),
        ("quota", "CpuQuota"),
        ("realtimePeriod", "CpuRealtimePeriod"),
        ("realtimeRuntime", "CpuRealtimeRuntime"),
        ("cpus", "CpusetCpus"),
        ("mems", "CpusetMems"),
    ):
        if host_config[field]:
            cpu[name] = host_config[field]
    return cpu


def plan_block_io(host_config: dict[str, Any], host: HostFacts) -> dict[str, Any]:
    """Weights and rates by device number."""
    block: dict[str, Any] = {}
    if host_config["BlkioWeight"]:
        block["weight"] = host_config["BlkioWeight"]
    if host_config["BlkioWeightDevice"]:
        block["weightDevice"] = [
            {**device_number(entry["Path"], host), "weight": entry["Weight"]}
            for entry in host_config["BlkioWeightDevice"]
        ]
    for name, field in (
        ("throttleReadBpsDevice", "BlkioDeviceReadBps"),
        ("throttleWriteBpsDevice", "BlkioDeviceWriteBps"),
        ("throttleReadIOPSDevice", "BlkioDeviceReadIOps"),
        ("throttleWriteIOPSDevice", "BlkioDeviceWriteIOps"),
    ):
        if host_config[field]:
            block[name] = [
                {**device_number(entry["Path"], host), "rate": entry["Rate"]} for entry in host_config[field]
            ]
    return block


def device_number(path: str, host: HostFacts) -> dict[str, int]:
    """Major and minor of a block device; raises InvalidArgument where there is none."""
    found = host.devices.get(path, [])
    if len(found) != 1 or found[0].type != "b":
        raise InvalidArgument(f"limit block device {path}: no such block device")
    return {"major": found[0].major, "minor": found[0].minor}
