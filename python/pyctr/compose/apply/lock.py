"""One command at a time changes a project; a second one waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyctr.engine import Engine

_POLL_S = 0.1


def project_directory(engine: Engine, name: str) -> str:
    """Where a project's lock and the files made for its containers are."""
    return f"{engine.root}/compose/{name}"


@contextlib.contextmanager
def project_lock(engine: Engine, name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a project; `waiting` is called once if another command has it. The kernel frees it with the process."""
    directory = f"{engine.root}/compose"
    os.makedirs(directory, 0o711, exist_ok=True)
    path, told = f"{directory}/{name}.lock", False
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_file(fd, path):  # else its holder has just removed it
                break
        except BlockingIOError:
            if not told:
                waiting()
            told = True
            time.sleep(_POLL_S)
        os.close(fd)
    try:
        yield
    finally:
        os.unlink(path)
        os.close(fd)


def is_file(fd: int, path: str) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
