"""`stats` in the form of Docker's API: the kernel's counters as they are (api/types/container/stats.go)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from pyctr._core import cgroup_stats, json_loads
from pyctr.engine import times
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.engine.containers.stats import host_memory
from pyctr.errors import NotFound, PyctrError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.engine.containers.store import Store

_INTERVAL_S = 1.0
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
#: Columns of /proc/net/dev.
_RECEIVED = ("rx_bytes", "rx_packets", "rx_errors", "rx_dropped")
_SENT = ("tx_bytes", "tx_packets", "tx_errors", "tx_dropped")
_EMPTY_CPU: dict[str, Any] = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


def read_stats(store: Store, container_id: str, *, one_shot: bool = False) -> dict[str, Any]:
    """One reading; unless `one_shot` with another a second before in ``precpu_stats``. Zeros for one that does not run."""
    first = _reading(store, container_id)
    if one_shot or first is None:
        return _answer(store, container_id, first, None)
    time.sleep(_INTERVAL_S)
    return _answer(store, container_id, _reading(store, container_id), first)


def follow_stats(store: Store, container_id: str) -> Iterator[dict[str, Any]]:
    """A reading each second, the first at once, until the container is gone or does not run any more."""
    before: dict[str, Any] | None = None
    while True:
        try:
            reading = _reading(store, container_id)
        except NotFound:
            return
        yield _answer(store, container_id, reading, before)
        if reading is None:
            return
        before = reading
        time.sleep(_INTERVAL_S)


def _answer(
    store: Store, container_id: str, reading: dict[str, Any] | None, before: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "name": store.record(container_id)["Name"] if os.path.exists(store.path(container_id)) else "",
        "id": container_id,
        "read": times.ZERO,
        "num_procs": 0,
        "pids_stats": {},
        "cpu_stats": _EMPTY_CPU,
        "memory_stats": {},
        "blkio_stats": {},
        "storage_stats": {},
        **(reading or {}),
        "preread": before["read"] if before else times.ZERO,
        "precpu_stats": before["cpu_stats"] if before else _EMPTY_CPU,
    }


def _reading(store: Store, container_id: str) -> dict[str, Any] | None:
    state = current_state(store, container_id)
    if state.get("status") not in ACTIVE or not state.get("pid"):
        if not os.path.exists(store.path(container_id)):
            raise NotFound(f"No such container: {container_id}")
        return None
    try:
        counters = json_loads(cgroup_stats(state["cgroup_paths"]))
    except PyctrError:
        if current_state(store, container_id).get("status") in ACTIVE:
            raise
        return None  # it ended meanwhile
    networks = read_networks(state["pid"])
    return {
        "read": times.now(),
        "pids_stats": _present(current=counters["pids"].get("current"), limit=counters["pids"].get("limit")),
        "cpu_stats": _cpu(counters["cpu"]),
        "memory_stats": _memory(counters["memory"]),
        "blkio_stats": _block(counters["blkio"]),
        **({"networks": networks} if networks else {}),
    }


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _cpu(counters: dict[str, Any]) -> dict[str, Any]:
    usage, throttling = counters["usage"], counters.get("throttling") or {}
    return {
        "cpu_usage": {
            "total_usage": usage.get("total", 0),
            **_present(percpu_usage=usage.get("percpu")),
            "usage_in_kernelmode": usage.get("kernel", 0),
            "usage_in_usermode": usage.get("user", 0),
        },
        "system_cpu_usage": host_cpu_ns(),
        "online_cpus": os.sysconf("SC_NPROCESSORS_ONLN"),
        "throttling_data": {
            "periods": throttling.get("periods", 0),
            "throttled_periods": throttling.get("throttledPeriods", 0),
            "throttled_time": throttling.get("throttledTime", 0),
        },
    }


def _memory(counters: dict[str, Any]) -> dict[str, Any]:
    usage, host = counters.get("usage") or {}, host_memory()
    return {
        "usage": usage.get("usage", 0),
        **_present(max_usage=usage.get("max"), failcnt=usage.get("failcnt")),
        "stats": counters.get("raw") or {},
        "limit": min(usage.get("limit") or host, host),
    }


def _block(counters: dict[str, Any]) -> dict[str, Any]:
    kinds = ("ioServiceBytesRecursive", "ioServicedRecursive")
    return {_snake(kind): counters.get(kind) for kind in kinds}


def _snake(name: str) -> str:
    """``ioServicedRecursive`` → ``io_serviced_recursive``."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)


def read_networks(pid: int) -> dict[str, dict[str, int]]:
    """Interface → counters, the loopback's left out."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            lines = file.readlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, text = line.partition(":")
        fields = text.split()
        if name.strip() != "lo":
            received = zip(_RECEIVED, map(int, fields[:4]), strict=True)
            sent = zip(_SENT, map(int, fields[8:12]), strict=True)
            found[name.strip()] = {**dict(received), **dict(sent)}
    return found


def host_cpu_ns() -> int:
    """Nanoseconds of all processors since the boot, idle ones too (moby daemon/stats_unix.go)."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()
    return sum(map(int, fields[1:9])) * _TICK_NS
