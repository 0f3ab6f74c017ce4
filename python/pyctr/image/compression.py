"""Whole archives compressed with what the core does not read itself: xz and bzip2, through Python's own modules."""

from __future__ import annotations

import contextlib
import os
import threading

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Iterator
    from lzma import LZMADecompressor

    Decompressor = BZ2Decompressor | LZMADecompressor

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
    decompressor = _decompressor(start)
    reader, writer = os.pipe()
    pump = threading.Thread(target=_pump, args=(fd, start, writer, decompressor), daemon=True)
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


def _decompressor(start: bytes) -> Decompressor | None:
    """What reads a stream that begins so; None for what is passed on. Raises InvalidArgument where this Python lacks it."""
    try:
        if start.startswith(_XZ):
            import lzma

            return lzma.LZMADecompressor()
        if start.startswith(_BZIP2):
            import bz2

            return bz2.BZ2Decompressor()
    except ImportError as error:
        raise InvalidArgument(f"this archive cannot be read: this Python was built without {error.name}") from None
    return None


def _pump(fd: int, start: bytes, writer: int, decompressor: Decompressor | None) -> None:
    """Decompress into a pipe; a stream that breaks ends early, and the archive's reader says so."""
    # lzma.LZMAError derives from Exception only; whatever it is, the reader's end must come.
    with contextlib.suppress(Exception), open(writer, "wb") as out:
        data = start
        while data:
            out.write(decompressor.decompress(data) if decompressor is not None else data)
            data = os.read(fd, _CHUNK)
