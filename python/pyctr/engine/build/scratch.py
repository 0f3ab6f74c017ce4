"""Directories of a build: changes being made on a snapshot, and snapshots to read from. All go with the build.

Whatever lies below ROOT/build/scratch is named after a lock file beside it; one that nobody holds is rubbish.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from pyctr._core import mount_layers, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from pyctr.image.store import Store


class Scratch:
    """A place for temporary directories, held by a lock as long as it is open."""

    def __init__(self, store: Store) -> None:
        base = f"{store.root}/build/scratch"
        os.makedirs(base, 0o700, exist_ok=True)
        self.path = f"{base}/{os.urandom(8).hex()}"
        self._lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.mkdir(self.path, 0o700)

    def directory(self, mode: int = 0o700) -> str:
        """A new empty directory."""
        path = f"{self.path}/{os.urandom(8).hex()}"
        os.mkdir(path)
        os.chmod(path, mode)
        return path

    def close(self) -> None:
        """Remove all of it."""
        if self._lock >= 0:
            remove_tree(self.path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + ".lock")
            os.close(self._lock)
            self._lock = -1


def sweep_scratch(root: str) -> None:
    """Remove what builds that were killed left."""
    base = f"{root}/build/scratch"
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return
    for name in names:
        if not name.endswith(".lock"):
            continue
        from pyctr.engine.containers.store import try_lock

        lock = try_lock(f"{base}/{name}")
        if lock is not None:
            remove_tree(f"{base}/{name.removesuffix('.lock')}")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{base}/{name}")
            os.close(lock)


class Changes:
    """An overlay over a snapshot's directories, mounted nowhere: `root` is its descriptor, `upper` what was changed."""

    def __init__(self, scratch: Scratch, lower: list[str]) -> None:
        self.base = scratch.directory()
        self.upper = f"{self.base}/upper"
        os.mkdir(self.upper, 0o755)
        os.chmod(self.upper, os.stat(lower[0]).st_mode & 0o7777)
        self.lower = lower
        #: A directory of `upper` that needs no settling: what was done last filled it behind the overlay's back.
        self.settled: str | None = None
        self.root = -1
        self.mount()

    def mount(self) -> None:
        """Mount it, anew where something was written into `upper` behind its back: a mount believes what it once saw."""
        self.unmount()
        work = f"{self.base}/work{os.urandom(4).hex()}"  # a volatile mount's is used once
        os.mkdir(work, 0o700)
        self.root = mount_layers(self.lower, self.upper, work, volatile=True)

    def unmount(self) -> None:
        """Leave `upper` to whoever takes it."""
        if self.root >= 0:
            os.close(self.root)
            self.root = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give descriptor and directories back."""
        self.unmount()
        remove_tree(self.base)
