"""The build cache: what a step came to, by a key of all that it depends on (docs/build-execute.md, "Cache").

One file a record below ROOT/build/cache, named by its key, replaced whole. It is never synced: one that a power cut spoiled cannot be
read, or names a layer that is not trusted (pyctr.image.settle), and is none. A record's layer is kept by it: the image store's
garbage collection reads the records. Every use adds an empty line to the file, whose modification time so is that of the last use.
"""

from __future__ import annotations

import contextlib
import os
import time

from pyctr._core import json_dumps, json_loads, write_atomic
from pyctr.engine.build.layers import Layer
from pyctr.image.settle import is_present

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.image.store import Store

VERSION = 1
_HEX = frozenset("0123456789abcdef")


class Record:
    """A step's outcome: its layer, None where it changed nothing."""

    __slots__ = ("created_s", "description", "key", "kind", "layer", "used_s", "uses")

    def __init__(
        self, key: str, layer: Layer | None, *, description: str = "", kind: str = "regular", created_s: int = 0
    ) -> None:
        self.key = key
        self.layer = layer
        self.description = description
        #: Docker's word: regular, source.local, source.git.checkout, exec.cachemount.
        self.kind = kind
        self.created_s = created_s or int(time.time())
        self.used_s: float = self.created_s
        #: How often it was made or found.
        self.uses = 1

    def to_bytes(self) -> bytes:
        """The file's content."""
        return json_dumps(
            {
                "version": VERSION,
                "layer": self.layer.to_json() if self.layer else None,
                "description": self.description,
                "kind": self.kind,
                "created": self.created_s,
            }
        )


class Cache:
    """The records of one root."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.directory = f"{store.root}/build/cache"
        #: Whether something was added.
        self.grew = False

    def path(self, key: str) -> str:
        """The file of a key."""
        return f"{self.directory}/{key}.json"

    def find(self, key: str) -> Record | None:
        """A record whose layer is there and whole. One that may not have survived a power cut is none."""
        record = self._read(key)
        if record is None or (record.layer is not None and not self._is_whole(record.layer)):
            return None
        note_use(self.path(key))
        return record

    def _is_whole(self, layer: Layer) -> bool:
        return is_present(self.store, layer.diff_id) and self.store.has_blob(layer.digest)

    def _read(self, key: str) -> Record | None:
        try:
            with open(self.path(key), "rb") as file:
                data = file.read()
                used_s = os.fstat(file.fileno()).st_mtime
            record = parse_record(key, json_loads(data))
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None
        record.uses += len(data) - len(data.rstrip(b"\n"))
        record.used_s = used_s
        return record

    def add(self, record: Record) -> None:
        """Keep a record. Who added its layer holds `write.adding` until this returns."""
        os.makedirs(self.directory, 0o711, exist_ok=True)
        write_atomic(self.path(record.key), record.to_bytes(), sync=False)
        self.grew = True

    def records(self) -> Iterator[Record]:
        """Every record, in no order."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return
        for name in names:
            key = name.removesuffix(".json")
            if len(key) == 64 and set(key) <= _HEX:
                record = self._read(key)
                if record is not None:
                    yield record

    def remove(self, key: str) -> None:
        """Forget a record; its layer goes with the next sweep, if nothing else keeps it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(key))


def parse_record(key: str, value: Any) -> Record:
    """A record from its file. Raises ValueError, LookupError, TypeError."""
    if value["version"] != VERSION:
        raise ValueError("unknown version")
    layer = value["layer"]
    return Record(
        key,
        Layer.from_json(layer) if layer else None,
        description=str(value["description"]),
        kind=str(value["kind"]),
        created_s=int(value["created"]),
    )


def note_use(path: str) -> None:
    """Count a use of what a file stands for: one byte more, in one go, so that nobody who counts at the same time is lost."""
    with contextlib.suppress(OSError):  # a full disk, a record that was pruned: the use is not counted, that is all
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(fd, b"\n")
        finally:
            os.close(fd)
