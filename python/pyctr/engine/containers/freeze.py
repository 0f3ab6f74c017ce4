"""A running container stands still while it is looked at."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from pyctr.engine.containers.store import try_lock
from pyctr.errors import NotFound, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.engine import Engine

#: Lies in a container's directory while `frozen` holds it, locked. One that nobody holds is a killed command's.
MARK = "frozen"


@contextlib.contextmanager
def frozen(engine: Engine, container_id: str) -> Iterator[None]:
    """Pause a container that runs, let it go on at the end whatever happens; one that is paused or stopped stays as it is."""
    thaw_abandoned(engine, container_id)
    path = f"{engine.containers.store.path(container_id)}/{MARK}"
    mark = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    paused = False
    try:
        fcntl.flock(mark, fcntl.LOCK_EX)
        with contextlib.suppress(StateError):  # it does not run, or is paused
            engine.containers.pause(container_id)
            paused = True
        yield
    finally:
        if paused:
            with contextlib.suppress(StateError, NotFound):  # it ended meanwhile, or somebody let it go on
                engine.containers.unpause(container_id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.close(mark)


def thaw_abandoned(engine: Engine, container_id: str) -> bool:
    """Let a container go on that a killed command left paused; whether there was one."""
    path = f"{engine.containers.store.path(container_id)}/{MARK}"
    lock = try_lock(path)
    if lock is None:
        return False
    try:
        with contextlib.suppress(StateError, NotFound):
            engine.containers.unpause(container_id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return True
    finally:
        os.close(lock)
