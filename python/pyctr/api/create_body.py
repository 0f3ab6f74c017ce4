"""The body of `POST /containers/create` as the engine's options: one parser refuses for command line and API alike.

Fields at Docker's zero value mean nothing and are passed over; one that means something the engine has no word for is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.client.options import engine_options, networks
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

#: HostConfig → docker-py's keyword of the same form.
_KEYWORDS = {
    "CpuShares": "cpu_shares", "Memory": "mem_limit", "NanoCpus": "nano_cpus", "CgroupParent": "cgroup_parent",
    "BlkioWeight": "blkio_weight", "BlkioWeightDevice": "blkio_weight_device", "BlkioDeviceReadBps": "device_read_bps",
    "BlkioDeviceWriteBps": "device_write_bps", "BlkioDeviceReadIOps": "device_read_iops",
    "BlkioDeviceWriteIOps": "device_write_iops", "CpuPeriod": "cpu_period", "CpuQuota": "cpu_quota",
    "CpuRealtimePeriod": "cpu_rt_period", "CpuRealtimeRuntime": "cpu_rt_runtime", "CpusetCpus": "cpuset_cpus",
    "CpusetMems": "cpuset_mems", "DeviceCgroupRules": "device_cgroup_rules", "MemoryReservation": "mem_reservation",
    "MemorySwap": "memswap_limit", "MemorySwappiness": "mem_swappiness", "OomKillDisable": "oom_kill_disable",
    "PidsLimit": "pids_limit", "Ulimits": "ulimits", "Binds": "volumes", "RestartPolicy": "restart_policy",
    "AutoRemove": "auto_remove", "VolumeDriver": "volume_driver", "VolumesFrom": "volumes_from", "CapAdd": "cap_add",
    "CapDrop": "cap_drop", "CgroupnsMode": "cgroupns", "Dns": "dns", "DnsOptions": "dns_opt", "DnsSearch": "dns_search",
    "GroupAdd": "group_add", "IpcMode": "ipc_mode", "OomScoreAdj": "oom_score_adj", "PidMode": "pid_mode",
    "Privileged": "privileged", "PublishAllPorts": "publish_all_ports", "ReadonlyRootfs": "read_only",
    "SecurityOpt": "security_opt", "Tmpfs": "tmpfs", "UTSMode": "uts_mode", "UsernsMode": "userns_mode", "ShmSize": "shm_size",
    "Sysctls": "sysctls", "Runtime": "runtime", "Init": "init", "KernelMemory": "kernel_memory", "ExtraHosts": "extra_hosts",
}  # fmt: skip
#: HostConfig's that are looked at elsewhere, or that only tell the client something.
_OTHER = frozenset(
    ("NetworkMode", "PortBindings", "Mounts", "Devices", "Links", "LogConfig", "ConsoleSize", "ContainerIDFile", "Isolation",
     "MaskedPaths", "ReadonlyPaths", "StorageOpt", "Annotations", "DeviceRequests", "Cgroup")
)  # fmt: skip
_CONFIG = {
    "Hostname": "hostname", "Domainname": "domainname", "User": "user", "WorkingDir": "working_dir", "Labels": "labels",
    "StopSignal": "stop_signal", "StopTimeout": "stop_timeout", "Tty": "tty", "OpenStdin": "stdin_open", "Healthcheck": "healthcheck",
    "MacAddress": "mac_address",
}  # fmt: skip
_CONFIG_OTHER = frozenset(
    ("Image", "Cmd", "Env", "Entrypoint", "Volumes", "ExposedPorts", "AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce",
     "HostConfig", "NetworkingConfig", "NetworkDisabled", "ArgsEscaped", "OnBuild", "Shell", "Platform")
)  # fmt: skip


class Asked:
    """What a create request asks for, as the engine takes it."""

    __slots__ = ("command", "image", "options")

    def __init__(self, image: str, command: list[str], options: dict[str, Any]) -> None:
        self.image = image
        self.command = command
        self.options = options


def parse_create(body: Mapping[str, Any], *, name: str, platform: str) -> Asked:
    """A create request. Raises InvalidArgument naming the field."""
    image = body.get("Image")
    if not isinstance(image, str) or not image:
        raise InvalidArgument("no image specified")
    host: Mapping[str, Any] = body.get("HostConfig") or {}
    keywords = {_CONFIG[field]: value for field, value in body.items() if field in _CONFIG and value}
    keywords |= {_KEYWORDS[field]: value for field, value in host.items() if field in _KEYWORDS and _says(field, value)}
    _refuse_unknown(body, {*_CONFIG, *_CONFIG_OTHER}, "")
    _refuse_unknown(host, {*_KEYWORDS, *_OTHER}, "HostConfig.")
    if keywords.get("restart_policy", {}).get("Name") in ("", None):
        keywords.pop("restart_policy", None)
    try:
        options = engine_options(keywords)
        options |= {key: value for key, value in (("name", name), ("platform", platform)) if value}
        _process(options, body)
        _host(options, body, host)
        _networks(options, body, host)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidArgument(f"invalid create request: {error}") from None
    options["pull"] = "never"  # the client pulls
    return Asked(image, _strings(body.get("Cmd")), options)


def _says(field: str, value: Any) -> bool:
    """Whether a value means anything: Go's clients send every field."""
    if field == "MemorySwappiness":
        return value not in (None, -1)
    if field in ("Init", "PidsLimit"):
        return value is not None
    return bool(value) and not (field in ("UTSMode", "UsernsMode", "IpcMode", "PidMode") and value == "default")


def _refuse_unknown(given: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for field, value in given.items():
        if field not in known and value not in (None, "", 0, False, [], {}):
            raise InvalidArgument(f"{prefix}{field} is not supported")


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


def _process(options: dict[str, Any], body: Mapping[str, Any]) -> None:
    """Streams, variables, entry point, ports and volumes of Config."""
    attached = [name for name in ("stdin", "stdout", "stderr") if body.get(f"Attach{name.capitalize()}")]
    if attached:
        options["attach"] = attached
    else:
        options["detach"] = True
    # A bare name takes the variable from the image in Docker's API; it must never take ours.
    variables = [text for text in body.get("Env") or () if "=" in text]
    if variables:
        options["env"] = variables
    if body.get("Entrypoint") is not None:
        options["entrypoint"] = _strings(body["Entrypoint"]) or [""]
    if body.get("ExposedPorts"):
        options["expose"] = list(body["ExposedPorts"])
    if body.get("Volumes"):
        options["volume"] = [*options.get("volume", ()), *body["Volumes"]]


def _host(options: dict[str, Any], body: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    """What of HostConfig has another form than docker-py's keyword."""
    published: list[str] = [
        _publication(inside, binding)
        for inside, bindings in (host.get("PortBindings") or {}).items()
        for binding in bindings or [{}]
    ]
    if published:
        options["publish"] = published
    if host.get("Mounts"):
        options["mount"] = [mount_text(mount) for mount in host["Mounts"]]
    if host.get("Devices"):
        options["device"] = [
            f"{device['PathOnHost']}:{device.get('PathInContainer') or device['PathOnHost']}:{device.get('CgroupPermissions') or 'rwm'}"
            for device in host["Devices"]
        ]
    if host.get("Links"):
        options["link"] = list(host["Links"])
    log = host.get("LogConfig") or {}
    if log.get("Type"):
        options["log_driver"] = log["Type"]
    if log.get("Config"):
        options["log_opt"] = [f"{key}={value}" for key, value in log["Config"].items()]
    if host.get("StorageOpt"):
        options["storage_opt"] = [f"{key}={value}" for key, value in host["StorageOpt"].items()]
    if host.get("Annotations"):
        options["annotation"] = [f"{key}={value}" for key, value in host["Annotations"].items()]
    if host.get("Isolation"):
        options["isolation"] = host["Isolation"]
    if host.get("DeviceRequests"):
        options["gpus"] = "all"  # refused by name there
    if options.get("runtime") in ("runc", "io.containerd.runc.v2"):
        del options["runtime"]
    if body.get("NetworkDisabled"):
        options["network"] = ["none"]


def _publication(inside: str, binding: Mapping[str, str]) -> str:
    address, port = binding.get("HostIp") or "", binding.get("HostPort") or ""
    address = f"[{address}]" if ":" in address else address
    return f"{address}:{port}:{inside}" if address else f"{port}:{inside}" if port else inside


def mount_text(mount: Mapping[str, Any]) -> str:
    """A mount as `--mount` takes it."""
    kind = mount.get("Type") or "volume"
    fields = [
        f"type={kind}",
        *([f"source={mount['Source']}"] if mount.get("Source") else []),
        f"target={mount['Target']}",
    ]
    if mount.get("ReadOnly"):
        fields.append("readonly")
    bind, volume, tmpfs = (mount.get(key) or {} for key in ("BindOptions", "VolumeOptions", "TmpfsOptions"))
    if bind.get("Propagation"):
        fields.append(f"bind-propagation={bind['Propagation']}")
    if bind.get("CreateMountpoint"):
        fields.append("bind-create-src")
    if bind.get("NonRecursive"):
        fields.append("bind-recursive=disabled")
    if bind.get("ReadOnlyNonRecursive"):
        fields.append("bind-recursive=writable")
    if bind.get("ReadOnlyForceRecursive"):
        fields.append("bind-recursive=readonly")
    if volume.get("NoCopy"):
        fields.append("volume-nocopy")
    if volume.get("Subpath"):
        fields.append(f"volume-subpath={volume['Subpath']}")
    fields += [f"volume-label={key}={value}" for key, value in (volume.get("Labels") or {}).items()]
    driver = volume.get("DriverConfig") or {}
    if driver.get("Name"):
        fields.append(f"volume-driver={driver['Name']}")
    fields += [f"volume-opt={key}={value}" for key, value in (driver.get("Options") or {}).items()]
    if tmpfs.get("SizeBytes"):
        fields.append(f"tmpfs-size={tmpfs['SizeBytes']}")
    if tmpfs.get("Mode"):
        fields.append(f"tmpfs-mode={tmpfs['Mode']:o}")
    return ",".join(_quoted(field) for field in fields)


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if any(character in field for character in ',"\n') else field


def _networks(options: dict[str, Any], body: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    """NetworkMode and the endpoints; NetworkMode's comes first, ``default`` is the bridge."""
    mode = host.get("NetworkMode") or "default"
    mode = "bridge" if mode == "default" else mode
    asked = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    endpoints = {("bridge" if name == "default" else name): endpoint or {} for name, endpoint in asked.items()}
    if "network" in options:
        return
    if mode in ("none", "host") or mode.startswith("container:"):
        options["network"] = [mode]
        return
    ordered = {mode: endpoints.pop(mode, {}), **endpoints}
    for name, endpoint in ordered.items():
        for link in endpoint.get("Links") or ():
            options.setdefault("link", []).append(link)
        if name == "bridge" and endpoint.get("Aliases"):
            ordered[name] = {**endpoint, "Aliases": None}
    networks(options, ordered)
