"""Blobs on their way: ``ROOT/partial/<hex>`` holds what has come so far, and its lock says who is fetching it.

A transfer that ends early, by kill -9 too, leaves its bytes; the next one goes on behind them. They are believed only
when the digest of the whole says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from pyctr._core import remove_tree
from pyctr.errors import PyctrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event

    from pyctr.image.store import Store

#: How often a lock somebody else holds is tried.
_POLL_S = 0.05
_PULL = ".pull"


class Cancelled(PyctrError):
    """Another part of the work failed, or the user has had enough."""


class Partial:
    """A blob's file, locked. `offset` is how much of it is there.

    `source` is where its bytes are read from: this file, or the store if the blob is in it already.
    """

    def __init__(self, path: str, fd: int, stored: str) -> None:
        self.path = path
        self.fd = fd
        self.stored = stored
        self.source = stored if os.path.exists(stored) else path
        self.offset = os.stat(self.source).st_size

    @property
    def is_stored(self) -> bool:
        """Whether the blob was in the store before."""
        return self.source == self.stored

    def write(self, data: bytes) -> None:
        """Append."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self.fd, view, self.offset)
            self.offset += count
            view = view[count:]

    def clear(self) -> None:
        """Begin anew; what was there is wrong."""
        if self.is_stored:
            os.unlink(self.stored)
            self.source = self.path
        os.ftruncate(self.fd, 0)
        self.offset = 0

    def publish(self) -> None:
        """Into the store: the digest is right.

        The file keeps its own name until the lock is let go: as long as its layer is a draft, that says who works on it.
        """
        if not self.is_stored:
            with contextlib.suppress(FileExistsError):  # a load was quicker
                os.link(self.path, self.stored)


def directory(store: Store) -> str:
    """Where they lie."""
    return f"{store.root}/partial"


@contextlib.contextmanager
def locked(store: Store, digest: str, cancelled: Event, waiting: Callable[[], None]) -> Iterator[Partial]:
    """The blob's file, once nobody else works on it; `waiting` is called if somebody does. Raises Cancelled."""
    os.makedirs(directory(store), mode=0o700, exist_ok=True)
    path, stored = f"{directory(store)}/{digest[7:]}", store.blob_path(digest)
    fd = _take(path, cancelled, waiting)
    try:
        yield Partial(path, fd, stored)
    finally:
        _let_go(path, fd, keep=not os.path.exists(stored))


def _let_go(path: str, fd: int, *, keep: bool) -> None:
    """Unlock; an empty file says nothing, nor does any without `keep`. Removed while locked: nobody waits for what has no name."""
    with contextlib.suppress(FileNotFoundError):
        if not (keep and os.fstat(fd).st_size) and os.stat(path).st_ino == os.fstat(fd).st_ino:
            os.unlink(path)
    os.close(fd)


def _take(path: str, cancelled: Event, waiting: Callable[[], None]) -> int:
    told = False
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have brought it into the store and removed it: then this is no longer the blob's file.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(fd).st_ino:
                    taken, fd = fd, -1
                    return taken
        except BlockingIOError:
            if not told:
                waiting()
                told = True
            time.sleep(_POLL_S)
        finally:
            if fd >= 0:
                os.close(fd)
        if cancelled.is_set():
            raise Cancelled("interrupted")


def layer_draft(store: Store, digest: str, diff_id: str) -> str:
    """The directory a layer is extracted into; the lock of `digest` says whether somebody does."""
    return f"{store.layers}/.{diff_id[7:]}.{digest[7:]}{_PULL}"


def sweep_drafts(store: Store) -> None:
    """Remove the directories of killed pulls: those whose blob nobody has locked, nor can while they are removed."""
    for name in os.listdir(store.layers):
        if not name.startswith(".") or not name.endswith(_PULL):
            continue
        os.makedirs(directory(store), mode=0o700, exist_ok=True)
        path = f"{directory(store)}/{name.removesuffix(_PULL).rpartition('.')[2]}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(fd).st_ino:
                remove_tree(f"{store.layers}/{name}")
        _let_go(path, fd, keep=True)


def remove_partials(store: Store) -> int:
    """Remove what broken transfers left and nobody works on; the bytes that came free."""
    freed = 0
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory(store)):
            path = f"{directory(store)}/{name}"
            with open(path, "rb") as file, contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                freed += os.fstat(file.fileno()).st_blocks * 512
                os.unlink(path)
    return freed
