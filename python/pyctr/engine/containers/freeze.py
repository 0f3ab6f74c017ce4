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

#: In a container's directory, locked by who has the container stand still. It stays: what is locked and then removed is locked
#: by two, of whom one has the file that was there before. It is not empty while the container is paused for that reason; where
#: nobody holds it then, a command was killed.
MARK = "frozen"


@contextlib.contextmanager
def frozen(engine: Engine, container_id: str) -> Iterator[None]:
    """Pause a container that runs, let it go on at the end whatever happens; one that is paused or stopped stays as it is."""
    try:
        mark = os.open(_path(engine, container_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFound(f"No such container: {container_id}") from None
    try:
        fcntl.flock(mark, fcntl.LOCK_EX)
        _thaw(engine, container_id, mark)
        os.pwrite(mark, b"1", 0)  # before it is true: who is killed in between leaves a mark too many, not one too few
        try:
            engine.containers.pause(container_id)
        except StateError:  # it does not run, or is paused
            os.ftruncate(mark, 0)
        yield
    finally:
        try:
            _thaw(engine, container_id, mark)
        finally:
            os.close(mark)


def thaw_abandoned(engine: Engine, container_id: str) -> bool:
    """Let a container go on that a killed command left paused; whether there was one."""
    mark = try_lock(_path(engine, container_id))
    if mark is None:
        return False
    try:
        return _thaw(engine, container_id, mark)
    finally:
        os.close(mark)


def _path(engine: Engine, container_id: str) -> str:
    return f"{engine.containers.store.path(container_id)}/{MARK}"


def _thaw(engine: Engine, container_id: str, mark: int) -> bool:
    """Let a container go on if the mark, which the caller has locked, says so; whether it did."""
    if os.fstat(mark).st_size == 0:
        return False
    with contextlib.suppress(StateError, NotFound):  # it ended meanwhile, or somebody let it go on
        engine.containers.unpause(container_id)
    os.ftruncate(mark, 0)
    return True
