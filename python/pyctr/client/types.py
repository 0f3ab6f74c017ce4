"""Types of the Python API's keyword arguments; for type checkers, and for programs that annotate their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Bytes, or text with a unit: ``"64m"``.
Size: TypeAlias = "int | str"
Filters: TypeAlias = "Mapping[str, str | bool | int | Sequence[str]]"
#: A port of the host, (address, port), several of either, or None for any free one.
HostPort: TypeAlias = "int | str | tuple[str, int] | Sequence[int | str | tuple[str, int]] | None"


class CreateOptions(TypedDict, total=False):
    """What `containers.create` and `containers.run` take; the names and forms are docker-py's."""

    auto_remove: bool
    blkio_weight: int
    blkio_weight_device: Sequence[Mapping[str, Any]]
    cap_add: Sequence[str]
    cap_drop: Sequence[str]
    cgroup_parent: str
    cgroupns: str
    cpu_period: int
    cpu_quota: int
    cpu_rt_period: int
    cpu_rt_runtime: int
    cpu_shares: int
    cpuset_cpus: str
    cpuset_mems: str
    device_cgroup_rules: Sequence[str]
    device_read_bps: Sequence[Mapping[str, Any]]
    device_read_iops: Sequence[Mapping[str, Any]]
    device_write_bps: Sequence[Mapping[str, Any]]
    device_write_iops: Sequence[Mapping[str, Any]]
    devices: Sequence[str]
    dns: Sequence[str]
    dns_opt: Sequence[str]
    dns_search: Sequence[str]
    domainname: str
    entrypoint: str | Sequence[str]
    environment: Mapping[str, str | None] | Sequence[str]
    extra_hosts: Mapping[str, str] | Sequence[str]
    group_add: Sequence[str | int]
    healthcheck: Mapping[str, Any]
    hostname: str
    init: bool
    ipc_mode: str
    labels: Mapping[str, str] | Sequence[str]
    links: Mapping[str, str] | Sequence[tuple[str, str]]
    log_config: Mapping[str, Any]
    mac_address: str
    mem_limit: Size
    mem_reservation: Size
    mem_swappiness: int
    memswap_limit: Size
    mounts: Sequence[str]
    name: str
    nano_cpus: int
    network: str
    network_disabled: bool
    network_mode: str
    networking_config: Mapping[str, Mapping[str, Any]]
    oom_kill_disable: bool
    oom_score_adj: int
    pid_mode: str
    pids_limit: int
    platform: str
    ports: Mapping[str | int, HostPort]
    privileged: bool
    publish_all_ports: bool
    pull: str
    read_only: bool
    restart_policy: Mapping[str, Any]
    runtime: str
    security_opt: Sequence[str]
    shm_size: Size
    stdin_open: bool
    stop_signal: str
    stop_timeout: int
    sysctls: Mapping[str, str | int]
    tmpfs: Mapping[str, str]
    tty: bool
    ulimits: Iterable[Mapping[str, Any]]
    user: str | int
    userns_mode: str
    uts_mode: str
    volume_driver: str
    volumes: Mapping[str, Mapping[str, str]] | Sequence[str]
    volumes_from: Sequence[str]
    working_dir: str


class UpdateOptions(TypedDict, total=False):
    """What `Container.update` takes."""

    blkio_weight: int
    cpu_period: int
    cpu_quota: int
    cpu_shares: int
    cpuset_cpus: str
    cpuset_mems: str
    mem_limit: Size
    mem_reservation: Size
    memswap_limit: Size
    nano_cpus: int
    pids_limit: int
    restart_policy: Mapping[str, Any]
