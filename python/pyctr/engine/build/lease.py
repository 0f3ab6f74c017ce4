"""What a build under way needs of the store, so that garbage collection leaves it (pyctr.image.write reads these files)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading

from pyctr.image import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from pyctr.engine.build.layers import Snapshot
    from pyctr.image.store import Store


class Lease:
    """A file of digests, one a line, that counts as long as its lock is held."""

    def __init__(self, store: Store) -> None:
        directory = f"{store.root}/build/leases"
        os.makedirs(directory, 0o711, exist_ok=True)
        self._path = f"{directory}/{os.urandom(8).hex()}"
        with write.adding(store):  # garbage collection removes what nobody holds
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._kept: set[str] = set()
        self._lock = threading.Lock()

    def keep(self, snapshot: Snapshot) -> None:
        """Keep the layers and their blobs."""
        names = {name for layer in snapshot.layers for name in (layer.diff_id, layer.digest)}
        with self._lock:
            fresh = names - self._kept
            self._kept |= fresh
            if fresh:
                os.write(self._fd, "".join(f"{name}\n" for name in sorted(fresh)).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        os.close(self._fd)
