"""The sessions of ``exec`` that run in a container: a directory each, with the process it watches written down."""

from __future__ import annotations

import os

from pyctr._core import process_start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store


def list_sessions(store: Store, container_id: str) -> list[str]:
    """The ids of sessions whose process lives; what a killed watcher left is passed over."""
    directory = store.sessions_path(container_id)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if lives(f"{directory}/{name}/pid"))


def lives(path: str) -> bool:
    """Whether the process that a session wrote down is the one that has its pid now."""
    try:
        with open(path, encoding="ascii") as file:
            pid, start, _ = map(int, file.read().split())
    except (OSError, ValueError):
        return False
    return process_start_time(pid) == start
