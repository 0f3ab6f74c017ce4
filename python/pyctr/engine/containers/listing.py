"""`ps`: which containers there are and what they are doing."""

from __future__ import annotations

import os
import time

from pyctr._core import read_records
from pyctr.engine import times
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import CorruptData, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

_SECOND_NS = 1_000_000_000
#: Of a record what a summary, the filters and who asks for summaries look at: the rest is most of it.
WANTED = {
    "Id": True, "Name": True, "Created": True, "Path": True, "Args": True, "Image": True, "Mounts": True,
    "Config": {"Image": True, "Labels": True, "ExposedPorts": True},
    "HostConfig": {"NetworkMode": True},
    "Pyctr": {"networks": True, "layers": True},
}  # fmt: skip
#: The same of its state, half of which are the paths of its control groups.
WANTED_STATE = {
    "status": True, "exit_code": True, "started_at": True, "finished_at": True, "health": {"Status": True},
}  # fmt: skip


class Summary:
    """One line of `ps`, worked out as it is asked for: most fields are not. `record` is what WANTED has of a container's.

    `size` is (rw bytes, rootfs bytes) or None, `ports` those of a container that runs.
    """

    __slots__ = ("_now_ns", "_state", "ports", "record", "size")

    def __init__(self, record: dict[str, Any], state: dict[str, Any], now_ns: int) -> None:
        self.record = record
        self._state = state
        self._now_ns = now_ns
        self.ports: list[dict[str, Any]] = []
        self.size: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self.record["Id"]  # type: ignore[no-any-return]

    @property
    def image(self) -> str:
        """The image as it was named."""
        return self.record["Config"]["Image"]  # type: ignore[no-any-return]

    @property
    def image_id(self) -> str:
        """The image's id, with its algorithm."""
        return self.record["Image"]  # type: ignore[no-any-return]

    @property
    def command(self) -> str:
        """Program and arguments, those with blanks quoted (moby container/view.go)."""
        words = [f"'{word}'" if " " in word else word for word in self.record["Args"]]
        return " ".join([self.record["Path"], *words])

    @property
    def created_s(self) -> int:
        """When it was made, in seconds since 1970."""
        return times.parse_time(self.record["Created"]) // _SECOND_NS

    @property
    def state(self) -> str:
        """created, running, paused, restarting, exited, dead."""
        return self._state.get("status", "created")  # type: ignore[no-any-return]

    @property
    def exit_code(self) -> int:
        """0 also where there is none yet."""
        return self._state.get("exit_code") or 0

    @property
    def health(self) -> str:
        """none, starting, healthy, unhealthy."""
        return (self._state.get("health") or {}).get("Status", "none")  # type: ignore[no-any-return]

    @property
    def status(self) -> str:
        """The state in words."""
        return status_text(self._state, self._now_ns)

    @property
    def names(self) -> list[str]:
        """Without Docker's slash."""
        return [self.record["Name"].removeprefix("/")]

    @property
    def labels(self) -> dict[str, str]:
        """Names and values."""
        return self.record["Config"]["Labels"]  # type: ignore[no-any-return]

    @property
    def mounts(self) -> list[str]:
        """Volumes by name, directories by their path."""
        return [point.get("Name") or point["Source"] for point in self.record["Mounts"] if point["Type"] != "tmpfs"]

    @property
    def networks(self) -> list[str]:
        """Networks by name, or none and host."""
        mode = self.record["HostConfig"]["NetworkMode"]
        asked = self.record["Pyctr"].get("networks")
        return list(asked) if asked else [] if mode.startswith("container:") else [mode]


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
    ids = store.ids() if wide or filters.keys() & {"before", "since"} else active_ids(store)
    found: list[Summary] = []
    for container_id, read in zip(ids, read_all(store, ids), strict=True):
        try:
            record, state = settle(store, container_id, *read)
            if wide or state.get("status") in ACTIVE:
                summary = Summary(record, state, now_ns)
                if summary.state in ACTIVE and record["Pyctr"].get("networks"):
                    from pyctr.engine.containers.network import list_ports

                    summary.ports = list_ports(store, record)
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


def read_all(store: Store, ids: list[str]) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """Record and state of each as the files say; None for what has to be looked at again."""
    try:
        return read_records(store.containers_dir, ids, WANTED, WANTED_STATE) if ids else []
    except NotFound:  # the root is gone, its run-time directories are not
        return [(None, None)] * len(ids)


def settle(
    store: Store, container_id: str, record: dict[str, Any] | None, state: dict[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `read_all` found, with the kernel's word for what is said to run. Raises NotFound, CorruptData."""
    if state is None or (state.get("status") in ACTIVE and not store.is_locked(container_id)):
        state = current_state(store, container_id)
        record = None  # one whose monitor died may have gone with it
    return record or store.record(container_id), state


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
