"""Reading the json-file log: one ``{"log","stream","time"}`` a line, rotated to ``.1``, ``.2``…, perhaps compressed."""

from __future__ import annotations

import os
import time

from pyctr._core import json_loads
from pyctr.engine import times
from pyctr.engine.containers.request import log_path
from pyctr.errors import InvalidArgument, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyctr.engine.containers.store import Store

_CHUNK = 1 << 16
_POLL_S = 0.05


class Window:
    """What of the log is wanted: nanoseconds since 1970, None for unbounded."""

    __slots__ = ("details", "since_ns", "timestamps", "until_ns")

    def __init__(self, *, since: str | None, until: str | None, timestamps: bool, details: bool) -> None:
        now_ns = time.time_ns()
        self.since_ns = times.parse_moment(since, now_ns=now_ns) if since else None
        self.until_ns = times.parse_moment(until, now_ns=now_ns) if until else None
        self.timestamps = timestamps
        self.details = details

    def render(self, line: bytes) -> tuple[str, bytes] | None:
        """Stream and bytes of one log line; None when outside the window or broken (a monitor killed while writing)."""
        try:
            entry = json_loads(line)
            moment_ns = times.parse_time(entry["time"])
            text, stream = entry["log"].encode("utf-8", "surrogateescape"), entry["stream"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if self.since_ns is not None and moment_ns < self.since_ns:
            return None
        if self.until_ns is not None and moment_ns > self.until_ns:
            return None
        prefix = padded(moment_ns).encode() + b" " if self.timestamps else b""
        if self.details:  # the log options that would fill it (labels, env) are refused: Docker prints an empty one
            prefix += b" "
        return stream, prefix + text


def padded(nanoseconds: int) -> str:
    """RFC 3339 with all nine digits, so that lines stay aligned, as Docker prints them."""
    return f"{times.format_time(nanoseconds - nanoseconds % 1_000_000_000)[:-1]}.{nanoseconds % 1_000_000_000:09d}Z"


def read_logs(
    store: Store,
    container_id: str,
    *,
    follow: bool,
    tail: str | int | None,
    window: Window,
    is_running: Callable[[], bool],
) -> Iterator[tuple[str, bytes]]:
    """Yield (stream, bytes) in order. `follow` ends when the container does; raises StateError for driver none."""
    record = store.record(container_id)
    driver = record["HostConfig"]["LogConfig"]["Type"]
    if driver != "json-file":
        raise StateError("configured logging driver does not support reading")
    path = log_path(store, container_id)
    count = parse_tail(tail)
    if follow:
        yield from follow_log(path, count, window, is_running)
        return
    for line in last_lines(path, count):
        entry = window.render(line)
        if entry is not None:
            yield entry


def parse_tail(tail: str | int | None) -> int | None:
    """A number of lines; ``all``, None and what is not a number mean every line, as in Docker."""
    if tail is None or tail == "all":
        return None
    try:
        number = int(tail)
    except ValueError:
        raise InvalidArgument(f'invalid value for "tail": {tail}') from None
    return None if number < 0 else number


def rotated_paths(path: str) -> list[str]:
    """The log's files, oldest first."""
    paths = []
    number = 1
    while True:
        candidates = [name for name in (f"{path}.{number}", f"{path}.{number}.gz") if os.path.exists(name)]
        if not candidates:
            break
        paths.append(candidates[0])
        number += 1
    return [*reversed(paths), path]


def open_log(path: str) -> int | None:
    """A plain file's descriptor; None when it is not there."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of one file, oldest first; an unfinished last line is left out."""
    if path.endswith(".gz"):
        import gzip

        with gzip.open(path, "rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))
        return
    fd = open_log(path)
    if fd is None:
        return
    with os.fdopen(fd, "rb") as plain:
        yield from (line for line in plain if line.endswith(b"\n"))


def last_lines(path: str, count: int | None) -> Iterator[bytes]:
    """The last `count` lines over all files, oldest first; the newest file is read from its end."""
    files = rotated_paths(path)
    if count is None:
        for name in files:
            yield from read_lines(name)
        return
    found: list[list[bytes]] = []
    missing = count
    for name in reversed(files):
        if missing <= 0:
            break
        lines = list(read_lines(name))[-missing:] if name.endswith(".gz") else tail_lines(name, missing)
        missing -= len(lines)
        found.append(lines)
    for lines in reversed(found):
        yield from lines


def tail_lines(path: str, count: int) -> list[bytes]:
    """The last `count` whole lines of a plain file, read backwards."""
    fd = open_log(path)
    if fd is None:
        return []
    try:
        end = os.fstat(fd).st_size
        data = b""
        while end > 0 and data.count(b"\n") <= count:
            start = max(0, end - _CHUNK)
            data = os.pread(fd, end - start, start) + data
            end = start
    finally:
        os.close(fd)
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True) if b"\n" in data else []
    return lines[-count:] if count else []


def follow_log(
    path: str, count: int | None, window: Window, is_running: Callable[[], bool]
) -> Iterator[tuple[str, bytes]]:
    """What is there, then what comes. After a rotation the open file is read to its end first."""
    fd = open_log(path)
    position = os.fstat(fd).st_size if fd is not None else 0
    position = whole_lines_end(fd, position) if fd is not None else 0
    for line in lines_before(path, fd, position, count):
        entry = window.render(line)
        if entry is not None:
            yield entry
    rest = b""
    try:
        while True:
            alive = is_running()  # asked before reading: what was written before the end is then read
            if fd is None:
                fd = open_log(path)
            rest, position, lines = (rest, position, []) if fd is None else read_on(fd, position, rest)
            for line in lines:
                entry = window.render(line)
                if entry is not None:
                    yield entry
            if lines:
                continue
            newer = next_file(path, fd) if fd is not None else None
            if newer is not None:
                os.close(fd or 0)
                fd, position, rest = newer, 0, b""
                continue
            over = window.until_ns is not None and time.time_ns() > window.until_ns
            if not alive or over:
                return
            time.sleep(_POLL_S)
    finally:
        if fd is not None:
            os.close(fd)


def whole_lines_end(fd: int, size: int) -> int:
    """Where the last whole line ends."""
    start = size
    while start > 0:
        begin = max(0, start - _CHUNK)
        found = os.pread(fd, start - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        start = begin
    return 0


def lines_before(path: str, fd: int | None, position: int, count: int | None) -> list[bytes]:
    """The lines up to `position` of the open file, and of the rotated files before it."""
    older = rotated_paths(path)[:-1]
    current = read_range(fd, 0, position).splitlines(keepends=True) if fd is not None and position else []
    if count is not None and len(current) >= count:
        return current[-count:] if count else []
    lines: list[bytes] = []
    for name in older:
        lines += list(read_lines(name))
    lines += current
    return lines if count is None else lines[-count:] if count else []


def read_range(fd: int, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file."""
    data = b""
    while start + len(data) < end:
        chunk = os.pread(fd, min(1 << 20, end - start - len(data)), start + len(data))
        if not chunk:
            break
        data += chunk
    return data


def read_on(fd: int, position: int, rest: bytes) -> tuple[bytes, int, list[bytes]]:
    """New whole lines; what is left of an unfinished one and where to go on."""
    chunk = os.pread(fd, 1 << 20, position)
    data = rest + chunk
    end = data.rfind(b"\n") + 1
    return data[end:], position + len(chunk), data[:end].splitlines(keepends=True)


def next_file(path: str, fd: int) -> int | None:
    """The file that follows the open one when it was rotated away: the next younger one, not simply the newest."""
    identity = os.fstat(fd)
    files = [name for name in rotated_paths(path) if not name.endswith(".gz")]
    for index, name in enumerate(files):
        try:
            status = os.stat(name)
        except FileNotFoundError:
            continue
        if (status.st_dev, status.st_ino) == (identity.st_dev, identity.st_ino):
            return open_log(files[index + 1]) if index + 1 < len(files) else None
    return open_log(files[0]) if os.path.exists(path) and identity.st_nlink == 0 else open_log(path)
