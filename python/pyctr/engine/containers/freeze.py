"""A running container stands still while it is looked at."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from pyctr.engine.containers.store import read_state, try_lock
from pyctr.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.engine import Engine

_PATIENCE_S = 10.0
#: Lies in a container's directory while `frozen` holds it, locked. One that nobody holds is a killed command's.
MARK = "frozen"


@contextlib.contextmanager
def frozen(engine: Engine, container_id: str) -> Iterator[None]:
    """Freeze a container that runs, thaw it at the end whatever happens; one that is paused or does not run stays as it is."""
    directory = engine.containers.store.path(container_id)
    thaw_abandoned(directory)
    state = read_state(directory)
    if state.get("status") != "running" or not (state.get("pid") or 0):
        yield
        return
    group = _freezer_of(int(state["pid"]))
    if group is None:
        yield  # it ended meanwhile
        return
    mark = os.open(f"{directory}/{MARK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(mark, fcntl.LOCK_EX)
        os.ftruncate(mark, 0)
        os.write(mark, group.encode())
        _set(group, freeze=True)
        yield
    finally:
        _set(group, freeze=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{directory}/{MARK}")
        os.close(mark)


def thaw_abandoned(directory: str) -> bool:
    """Thaw a container that a killed command left frozen; whether it did."""
    path = f"{directory}/{MARK}"
    lock = try_lock(path)
    if lock is None:
        return False
    try:
        group = os.pread(lock, 4096, 0).decode()
        if group:
            _set(group, freeze=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return bool(group)
    finally:
        os.close(lock)


def _freezer_of(pid: int) -> str | None:
    """The file that freezes a process' group: v1's freezer.state or v2's cgroup.freeze (cgroups(7))."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except (FileNotFoundError, ProcessLookupError):
        return None
    for _, controllers, path in groups:
        if "freezer" in controllers.split(","):
            return _existing(f"/sys/fs/cgroup/freezer{path}/freezer.state")
    for number, _, path in groups:
        if number == "0":
            for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                if os.path.exists(f"{mount}{path}/cgroup.freeze"):
                    return f"{mount}{path}/cgroup.freeze"
    return None


def _existing(path: str) -> str | None:
    return path if os.path.exists(path) else None


def _set(path: str, *, freeze: bool) -> None:
    is_v1 = path.endswith("freezer.state")
    try:
        _write(path, ("FROZEN" if freeze else "THAWED") if is_v1 else ("1" if freeze else "0"))
        deadline = time.monotonic() + _PATIENCE_S
        while freeze and not _is_frozen(path, is_v1=is_v1):
            if time.monotonic() > deadline:
                _write(path, "THAWED" if is_v1 else "0")
                raise StateError(f"freeze {os.path.dirname(path)}: not frozen after {_PATIENCE_S:.0f} s")
            time.sleep(0.001)
            if is_v1:
                _write(path, "FROZEN")  # freezer-subsystem.rst: a group that forks may need to be told again
    except FileNotFoundError:
        return  # the container is gone


def _is_frozen(path: str, *, is_v1: bool) -> bool:
    with open(path if is_v1 else os.path.dirname(path) + "/cgroup.events", encoding="ascii") as file:
        text = file.read()
    return text.strip() == "FROZEN" if is_v1 else "frozen 1" in text


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
