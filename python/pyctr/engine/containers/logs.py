"""Reading a container's log: a file and its rotated forerunners ``.1``, ``.2``…, perhaps compressed.

What an entry is, the core's `LogDecoder` knows; here is which files there are, in which order, and when to go on.
"""

from __future__ import annotations

import contextlib
import os
import time

from pyctr._core import LogDecoder
from pyctr.engine import times
from pyctr.engine.containers.request import FILE_DRIVERS, log_path
from pyctr.engine.containers.store import read_state
from pyctr.engine.watch import Watch
from pyctr.errors import InvalidArgument, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyctr.engine.containers.store import Store

    Output = Iterator[tuple[str, bytes]]

_CHUNK = 1 << 20


class Window:
    """What of the log is wanted: nanoseconds since 1970, None for unbounded."""

    __slots__ = ("details", "since_ns", "timestamps", "until_ns")

    def __init__(self, *, since: str | None, until: str | None, timestamps: bool, details: bool) -> None:
        now_ns = time.time_ns()
        self.since_ns = parse_bound("since", since, now_ns=now_ns)
        self.until_ns = parse_bound("until", until, now_ns=now_ns)
        self.timestamps = timestamps
        self.details = details

    def decoder(self, driver: str) -> LogDecoder:
        """What turns entries of a driver into what is shown."""
        return LogDecoder(
            driver,
            since_ns=self.since_ns,
            until_ns=self.until_ns,
            timestamps=self.timestamps,
            details=self.details,
        )

    def is_over(self) -> bool:
        """Whether nothing that is written from now on belongs to it."""
        return self.until_ns is not None and time.time_ns() > self.until_ns

    def left_s(self) -> float | None:
        """Seconds until it is over; None for never."""
        return None if self.until_ns is None else (self.until_ns - time.time_ns()) / 1e9


def parse_bound(name: str, text: str | None, *, now_ns: int) -> int | None:
    """The value of ``--since`` or ``--until``; Docker says which of them it could not read."""
    try:
        return times.parse_moment(text, now_ns=now_ns) if text else None
    except InvalidArgument as error:
        raise InvalidArgument(f'invalid value for "{name}": {error}') from None


def read_logs(
    store: Store,
    container_id: str,
    *,
    follow: bool,
    tail: str | int | None,
    window: Window,
    is_running: Callable[[], bool],
    look_s: float | None = None,
) -> Output:
    """Yield (stream, bytes) in order. `follow` ends when the container does; raises StateError for driver none.

    `is_running` is asked when something of the container changes, and every `look_s` seconds where something else may end it.
    """
    driver = store.record(container_id)["HostConfig"]["LogConfig"]["Type"]
    if driver not in FILE_DRIVERS:
        raise StateError("configured logging driver does not support reading")
    path = log_path(store, container_id, driver)
    decoder, count = window.decoder(driver), parse_tail(tail)
    if follow:
        watch = Watch(
            os.path.dirname(path),
            lambda: is_running() and not window.is_over(),
            process=lambda: int(read_state(store.path(container_id)).get("monitor_pid") or 0),
            left_s=lambda: min((left for left in (look_s, window.left_s()) if left is not None), default=None),
        )
        return follow_log(path, count, decoder, watch)
    return read_log(path, count, decoder)


def parse_tail(tail: str | int | None) -> int | None:
    """A number of entries; ``all`` and None mean every one, as in Docker; a word is refused."""
    if tail is None or tail == "all":
        return None
    try:
        number = int(tail)
    except ValueError:
        raise InvalidArgument(f'invalid value for "tail": {tail}') from None
    return None if number < 0 else number


def open_files(path: str, *, packed: bool = True) -> tuple[list[int], int | None]:
    """The log's files: the rotated ones, oldest first, and the one that is written, None where it is not there.

    Opened newest first: a file that a rotation moves on meanwhile is met again, and passed over; the other way round it would
    be missed. Without `packed` those that are compressed are left out.
    """
    current = open_log(path)
    known = set() if current is None else {_identity(current)}
    older: list[int] = []
    number = missing = 0
    while missing < 2:  # one may be: while they are renamed there is a gap among them
        number += 1
        fd = open_log(f"{path}.{number}")
        if fd is None and packed:  # in this order: the compressed one takes the other's place
            fd = open_log(f"{path}.{number}.gz")
        if fd is None:
            missing += 1
            continue
        missing = 0
        if _identity(fd) in known:
            os.close(fd)
        else:
            known.add(_identity(fd))
            older.append(fd)
    return older[::-1], current


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def read_log(path: str, count: int | None, decoder: LogDecoder) -> Output:
    """The last `count` entries over all files, oldest first. The files are opened now: they may be removed before they are read."""
    older, current = open_files(path)
    return _read([*older, *([] if current is None else [current])], count, decoder)


def _read(files: list[int], count: int | None, decoder: LogDecoder) -> Output:
    try:
        for fd, start, end in wanted_ranges(files, count, decoder):
            yield from read_range(fd, start, end, decoder)
    finally:
        for fd in files:
            os.close(fd)


def wanted_ranges(files: list[int], count: int | None, decoder: LogDecoder) -> list[tuple[int, int, int]]:
    """Where in these open files, oldest first, the last `count` entries are that are whole now: (descriptor, start, end)."""
    ranges = []
    for fd in reversed(files):
        end = decoder.whole_end(fd, os.fstat(fd).st_size)
        start, found = (0, 0) if count is None else decoder.tail(fd, end, count)
        ranges.append((fd, start, end))
        if count is not None:
            count -= found
    return ranges[::-1]


def read_range(fd: int, start: int, end: int, decoder: LogDecoder) -> Output:
    """What the entries in bytes [start, end) of a file show."""
    rest = b""
    while start < end:
        chunk = os.pread(fd, min(_CHUNK, end - start), start)
        if not chunk:
            return
        start += len(chunk)
        consumed, shown = decoder.decode(rest + chunk)
        rest = (rest + chunk)[consumed:]
        yield from shown


def open_log(path: str) -> int | None:
    """A file's descriptor, its content uncompressed; None when it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return inflate(fd) if path.endswith(".gz") else fd


def inflate(fd: int) -> int:
    """The uncompressed content of a file, as a file that can be read from behind; closes the given descriptor."""
    import gzip
    import shutil

    plain = os.memfd_create("log")
    with os.fdopen(fd, "rb") as packed, gzip.open(packed) as source, os.fdopen(os.dup(plain), "wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return plain


def follow_log(path: str, count: int | None, decoder: LogDecoder, watch: Watch) -> Output:
    """What is there, then what comes. The files are opened now: they may be removed before they are read."""
    return _follow(path, open_files(path), count, decoder, watch)


def _follow(
    path: str,
    files: tuple[list[int], int | None],
    count: int | None,
    decoder: LogDecoder,
    watch: Watch,
) -> Output:
    """After a rotation the open file is read to its end first."""
    older, fd = files
    try:
        ranges = wanted_ranges([*older, *([fd] if fd is not None else [])], count, decoder)
        # Measured once: what is written from now on comes after it, and only there.
        position = ranges[-1][2] if fd is not None else 0
        for each, start, end in ranges:
            yield from read_range(each, start, end, decoder)
        rest = b""
        while True:
            alive = watch.goes_on()  # asked before reading: what was written before the end is then read
            if fd is None:
                fd = open_log(path)
            chunk = b"" if fd is None else os.pread(fd, _CHUNK, position)
            if chunk:
                position += len(chunk)
                consumed, shown = decoder.decode(rest + chunk)
                rest = (rest + chunk)[consumed:]
                yield from shown
                continue
            newer = next_file(path, fd) if fd is not None else None
            if fd is not None and newer is not None:
                if os.fstat(fd).st_size > position:  # written between the look at it and its rotation
                    os.close(newer)
                    continue
                os.close(fd)
                fd, position, rest = newer, 0, b""
                continue
            if not alive:
                return
            watch.wait()
    finally:
        watch.close()
        for open_fd in (*older, *([fd] if fd is not None else [])):
            os.close(open_fd)


def next_file(path: str, fd: int) -> int | None:
    """The file that follows the open one when it was rotated away: the next younger one, not simply the newest."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            return None
    older, current = open_files(path, packed=False)
    files = [*older, *([] if current is None else [current])]
    after = next((index + 1 for index, each in enumerate(files) if _identity(each) == _identity(fd)), None)
    if after is None:  # compressed by now, or gone: then so are those before it; or somebody else has moved it
        after = 0 if os.fstat(fd).st_nlink == 0 else len(files) - 1
    following = files[after] if 0 <= after < len(files) else None
    for each in files:
        if each != following:
            os.close(each)
    return following
