"""`ps`: which containers there are and what they are doing."""

from __future__ import annotations

import os
import time

from pyctr.engine import times
from pyctr.engine.containers.network import list_ports
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import CorruptData, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyctr.engine.containers.store import Store

_SECOND_NS = 1_000_000_000


class Summary:
    """One line of `ps`; plain fields, `created_s` in seconds since 1970, `size` (rw bytes, rootfs bytes) or None."""

    __slots__ = (
        "command",
        "created_s",
        "exit_code",
        "health",
        "id",
        "image",
        "image_id",
        "labels",
        "mounts",
        "names",
        "networks",
        "ports",
        "record",
        "size",
        "state",
        "status",
    )

    def __init__(self, record: dict[str, Any], state: dict[str, Any], now_ns: int) -> None:
        self.record = record
        self.id: str = record["Id"]
        self.image: str = record["Config"]["Image"]
        self.image_id: str = record["Image"]
        words = (f"'{word}'" if " " in word else word for word in record["Args"])  # moby container/view.go
        self.command: str = " ".join([record["Path"], *words])
        self.created_s: int = times.parse_time(record["Created"]) // _SECOND_NS
        self.state: str = state.get("status", "created")
        self.exit_code: int = state.get("exit_code") or 0
        self.health: str = (state.get("health") or {}).get("Status", "none")
        self.status: str = status_text(state, now_ns)
        self.ports: list[dict[str, Any]] = []
        self.names: list[str] = [record["Name"].removeprefix("/")]
        self.labels: dict[str, str] = record["Config"]["Labels"]
        self.mounts: list[str] = [
            point.get("Name") or point["Source"] for point in record["Mounts"] if point["Type"] != "tmpfs"
        ]
        mode = record["HostConfig"]["NetworkMode"]
        asked = record["Pyctr"].get("networks")
        self.networks: list[str] = list(asked) if asked else [] if mode.startswith("container:") else [mode]
        self.size: tuple[int, int] | None = None


def status_text(state: dict[str, Any], now_ns: int) -> str:
    """``Up 3 seconds``, ``Exited (0) 2 minutes ago``, ``Created`` (moby container/state.go)."""
    status = state.get("status", "created")
    if status in ("running", "paused"):
        up = "Up " + times.human_duration(now_ns - times.parse_time(state["started_at"]))
        return f"{up} ({'Paused' if status == 'paused' else health_text(state)})".removesuffix(" ()")
    if status == "dead":
        return "Dead"
    if status not in ("exited", "restarting") or not state.get("started_at"):
        return "Created"
    ago = times.human_duration(now_ns - times.parse_time(state.get("finished_at") or times.ZERO)) + " ago"
    word = "Restarting" if status == "restarting" else "Exited"
    return f"{word} ({state.get('exit_code') or 0}) {ago}"


def health_text(state: dict[str, Any]) -> str:
    """``healthy``, ``unhealthy``, ``health: starting``; empty without a check."""
    verdict = (state.get("health") or {}).get("Status", "")
    return "health: starting" if verdict == "starting" else verdict


def list_containers(
    store: Store, *, every: bool, limit: int | None, filters: dict[str, list[str]], size: bool
) -> list[Summary]:
    """Summaries, newest first. Without `every`, `limit` or a status filter only what runs is looked at."""
    now_ns = time.time_ns()
    wide = every or limit is not None or any(name in filters for name in ("status", "exited"))
    ids: Iterable[str] = store.ids() if wide or filters.keys() & {"before", "since"} else active_ids(store)
    found: list[Summary] = []
    for container_id in ids:
        try:
            state = current_state(store, container_id)
            if wide or state.get("status") in ACTIVE:
                summary = Summary(store.record(container_id), state, now_ns)
                if summary.state in ACTIVE and (summary.record["Pyctr"].get("networks")):
                    summary.ports = list_ports(store, summary.record)
                found.append(summary)
        except NotFound:
            store.finish_removal(container_id)
        except CorruptData:
            if wide:
                from pyctr.engine.containers.remove import damaged_record

                found.append(Summary(damaged_record(store, container_id), {"status": "dead"}, now_ns))
    found.sort(key=lambda summary: summary.record["Created"], reverse=True)
    if filters:
        from pyctr.engine.containers.filters import apply_filters

        found = apply_filters(store, found, filters)
    if limit is not None and limit >= 0:
        found = found[:limit]
    if size:
        for summary in found:
            summary.size = measure(store, summary.record)
    return found


def active_ids(store: Store) -> list[str]:
    """What may be running: a container has a run-time directory from before its start until after its end."""
    try:
        names = os.listdir(store.run_root)
    except FileNotFoundError:
        return []
    return [name for name in names if len(name) == 64]


def measure(store: Store, record: dict[str, Any]) -> tuple[int, int]:
    """Bytes written by the container, and those together with its image's."""
    written = tree_size(store.path(record["Id"]) + "/upper", set())
    return written, written + sum(
        tree_size(f"{store.root}/layers/{layer}", set()) for layer in record["Pyctr"]["layers"]
    )


def tree_size(directory: str, seen: set[tuple[int, int]]) -> int:
    """Bytes of the regular files below a directory, hard links once, links not followed."""
    total = 0
    try:
        with os.scandir(directory) as iterator:
            entries = list(iterator)
    except FileNotFoundError:
        return 0
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if entry.is_dir(follow_symlinks=False):
            total += tree_size(entry.path, seen)
        elif entry.is_file(follow_symlinks=False) and (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_size
    return total
