"""What a step comes to: a snapshot, or files of this machine; either can be read as a tree."""

from __future__ import annotations

import os
import threading

from pyctr._core import SourceTree
from pyctr.engine.build.scratch import Changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.build.contexts import Context
    from pyctr.engine.build.layers import Layer, Snapshot
    from pyctr.engine.build.scratch import Scratch
    from pyctr.image.store import Store


class Absent(Exception):
    """A file system is asked for of which only its digests are known."""


class Value:
    """A file system. `epoch_s` is what later times become in layers on top of it; `layer` what the step itself added."""

    __slots__ = ("_lock", "_mounted", "_tree", "epoch_s", "layer", "snapshot")

    def __init__(self, snapshot: Snapshot, *, epoch_s: int, layer: Layer | None = None) -> None:
        self.snapshot = snapshot
        self.epoch_s = epoch_s
        self.layer = layer
        self._lock = threading.Lock()
        self._mounted: Changes | None = None
        self._tree: SourceTree | None = None

    @property
    def identity(self) -> str:
        """What is the same for the same content."""
        return self.snapshot.key

    def root(self, store: Store, scratch: Scratch) -> str | int:
        """Its root directory, to read from: a path, or the descriptor of a mount that lasts as long as this."""
        if not self.snapshot.is_here:
            raise Absent
        directories = self.snapshot.directories(store)
        if len(directories) == 1:
            return directories[0]
        with self._lock:
            if self._mounted is None:
                self._mounted = Changes(scratch, directories)
            return self._mounted.root

    def tree(self, store: Store, scratch: Scratch) -> SourceTree:
        """As a tree to copy from."""
        if self._tree is None:
            self._tree = SourceTree(self.root(store, scratch))
        return self._tree

    def close(self) -> None:
        """Give the mount back."""
        if self._mounted is not None:
            self._mounted.close()
            self._mounted = None


class LocalValue:
    """A build context: its files are looked at when a step asks for them."""

    __slots__ = ("context", "epoch_s", "layer")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.epoch_s = 0
        self.layer = None

    @property
    def identity(self) -> str:
        """Nothing is known of the whole."""
        return ""

    def tree(self, store: Store, scratch: Scratch) -> SourceTree:
        """As a tree to copy from."""
        del store, scratch
        return self.context.tree

    def close(self) -> None:
        """Nothing to give back."""


AnyValue = Value | LocalValue


def owner_path(fd: int) -> str:
    """A path by which another process of this user reaches a descriptor of ours."""
    return f"/proc/{os.getpid()}/fd/{fd}"
