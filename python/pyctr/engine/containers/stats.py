"""`stats`: what a container uses, from the kernel's own counters (docker/cli, cli/command/container/stats_helpers.go)."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from pyctr._core import cgroup_stats, json_loads
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import NotFound, PyctrError

if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store

_SECOND_NS = 1_000_000_000


class Sample:
    """One reading. Bytes but for `cpu_ns`, `moment_ns` (monotonic) and `pids`."""

    __slots__ = ("block", "cpu_ns", "memory", "memory_limit", "moment_ns", "network", "pids")

    def __init__(self, counters: dict[str, Any], network: tuple[int, int], host_memory: int) -> None:
        self.moment_ns = time.monotonic_ns()
        self.cpu_ns: int = counters["cpu"]["usage"].get("total", 0)
        self.memory, self.memory_limit = memory_of(counters["memory"], host_memory)
        self.network = network
        self.block = block_of(counters["blkio"])
        self.pids: int = counters["pids"].get("current", 0)

    def cpu_percent(self, before: Sample) -> float:
        """Of one processor, since an earlier sample: two processors in full use are 200."""
        elapsed_ns = self.moment_ns - before.moment_ns
        return 100.0 * (self.cpu_ns - before.cpu_ns) / elapsed_ns if elapsed_ns > 0 else 0.0

    def memory_percent(self) -> float:
        """Of the limit, the host's memory where there is none."""
        return 100.0 * self.memory / self.memory_limit if self.memory_limit else 0.0


def sample(store: Store, container_id: str) -> Sample | None:
    """A reading of a running container; None for one that does not run. Raises NotFound where there is none."""
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
    return Sample(counters, network_of(state["pid"]), host_memory())


def memory_of(counters: dict[str, Any], host: int) -> tuple[int, int]:
    """Use without the page cache that would be given back first, and the limit."""
    usage = counters.get("usage") or {}
    raw = counters.get("raw") or {}
    used = usage.get("usage", 0)
    cache = raw.get("total_inactive_file", raw.get("inactive_file", 0))
    limit = usage.get("limit") or host
    return used - cache if cache < used else used, min(limit, host)


def block_of(counters: dict[str, Any]) -> tuple[int, int]:
    """Bytes read and written."""
    totals = {"read": 0, "write": 0}
    for entry in counters.get("ioServiceBytesRecursive") or ():
        kind = entry.get("op", "").lower()
        if kind in totals:
            totals[kind] += entry.get("value", 0)
    return totals["read"], totals["write"]


def network_of(pid: int) -> tuple[int, int]:
    """Bytes received and sent by all interfaces but the loopback's."""
    received = sent = 0
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            lines = file.readlines()[2:]
    except OSError:
        return 0, 0
    for line in lines:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            fields = counters.split()
            received += int(fields[0])
            sent += int(fields[8])
    return received, sent


def host_memory() -> int:
    """Bytes of memory this host has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
