"""Taking containers away: whole, or not at all."""

from __future__ import annotations

import os
import time

from pyctr._core import remove_tree
from pyctr.engine.containers.burial import bury, repair_locked
from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.store import read_state
from pyctr.engine.times import format_time
from pyctr.engine.volumes.store import remove_volume, volume_users
from pyctr.errors import CorruptData, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.containers.store import Store

_KILL_PATIENCE_S = 20.0


def remove_container(store: Store, reference: str, *, force: bool, volumes: bool) -> str:
    """Remove a container by name or id; returns its id. A running one only with `force`, by SIGKILL."""
    container_id = store.resolve(reference)
    lock = store.lock(container_id)
    if lock is None:
        if not force:
            raise StateError(refusal(store, container_id))
        lock = kill_and_lock(store, container_id)
        if lock is None:
            return container_id
    try:
        repair_locked(store, container_id)
        if os.path.exists(store.path(container_id)):  # the repair of a --rm container removes it
            try:
                record = store.record(container_id)
            except CorruptData:
                if not force:
                    raise
                record = damaged_record(store, container_id)
            remove_locked(store, container_id, record, volumes=volumes)
    finally:
        os.close(lock)
    return container_id


def refusal(store: Store, container_id: str) -> str:
    """Why a container that lives is not removed (moby daemon/delete.go)."""
    status = read_state(store.path(container_id)).get("status", "running")
    what = "container is paused and must be unpaused first"
    if status != "paused":
        what = f"container is {status}: stop the container before removing or force remove"
    return f'cannot remove container "{store.record(container_id)["Name"]}": {what}'


def damaged_record(store: Store, container_id: str) -> dict[str, Any]:
    """As much of a record as removing needs, for one whose config.json cannot be read: its name, asked of the names."""
    try:
        names = os.listdir(store.names_dir)
    except FileNotFoundError:
        names = []
    name = next((name for name in names if name[0] != "." and store.name_owner(name) == container_id), "")
    return {
        "Id": container_id,
        "Name": "/" + name,
        "Created": format_time(os.stat(store.path(container_id)).st_mtime_ns),
        "Path": "",
        "Args": [],
        "Image": "",
        "Config": {"Image": "", "Labels": {}},
        "HostConfig": {"AutoRemove": False, "NetworkMode": "none"},
        "Mounts": [],
        "Pyctr": {"layers": []},
    }


def kill_and_lock(store: Store, container_id: str) -> int | None:
    """SIGKILL a running container and take its lock; None when it removed itself (--rm)."""
    from pyctr.engine.containers.lifecycle import kill_container
    from pyctr.engine.signals import SIGKILL

    deadline = time.monotonic() + _KILL_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            kill_container(store, container_id, SIGKILL)
        except StateError:  # ended meanwhile, or its monitor died: what the lock says next decides
            time.sleep(0.01)
        try:
            lock = store.lock(container_id)
        except NotFound:
            return None
        if lock is not None:
            return lock
        time.sleep(0.01)
    raise StateError(f"remove container {container_id[:12]}: it did not end within {_KILL_PATIENCE_S:.0f} s of SIGKILL")


def remove_locked(store: Store, container_id: str, record: dict[str, Any], *, volumes: bool) -> None:
    """Remove a container whose lock is held: out of sight first, then the name, then the files."""
    bury(store, container_id, read_state(store.path(container_id)))
    removed = store.removed_path(container_id)
    os.rename(store.path(container_id), removed)
    store.release_name(record["Name"].removeprefix("/"), container_id)
    remove_tree(removed)
    write_event(store.root, "destroy", record)
    if volumes or record["HostConfig"]["AutoRemove"]:  # --rm promised as much
        for name in record["Pyctr"].get("anonymous_volumes", ()):
            if not volume_users(store, name):
                remove_volume(store, name)
