"""Whole archives compressed with what the core does not read itself: xz and bzip2, through Python's own modules."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_XZ = b"\xfd7zXZ"
_BZIP2 = b"BZh"
_CHUNK = 1 << 18


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor from which the archive reads as plain, gzip or zstd. `fd` stays the caller's."""
    start = _read_start(fd)
    with contextlib.suppress(OSError):
        if not start.startswith((_XZ, _BZIP2)):
            os.lseek(fd, -len(start), os.SEEK_CUR)
            yield fd
            return
    reader, writer = os.pipe()
    pump = threading.Thread(target=_pump, args=(fd, start, writer), daemon=True)
    pump.start()
    try:
        yield reader
    finally:
        os.close(reader)
        pump.join()


def _read_start(fd: int) -> bytes:
    start = b""
    while len(start) < len(_XZ) + 1:
        more = os.read(fd, len(_XZ) + 1 - len(start))
        if not more:
            break
        start += more
    return start


def _pump(fd: int, start: bytes, writer: int) -> None:
    """Decompress into a pipe; a stream that breaks ends early, and the archive's reader says so."""
    import bz2
    import lzma

    decompressor: lzma.LZMADecompressor | bz2.BZ2Decompressor | None = None
    if start.startswith(_XZ):
        decompressor = lzma.LZMADecompressor()
    elif start.startswith(_BZIP2):
        decompressor = bz2.BZ2Decompressor()
    with contextlib.suppress(OSError, EOFError, lzma.LZMAError), open(writer, "wb") as out:
        data = start
        while data:
            out.write(decompressor.decompress(data) if decompressor is not None else data)
            data = os.read(fd, _CHUNK)
