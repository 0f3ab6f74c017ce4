"""Lines of progress: what has been told of each vertex so far."""

from __future__ import annotations

import time

#: Lines of output that are kept of a step, to be shown when it fails.
KEPT_LINES = 10
#: A line that gets this long is shown as it is: what has no line's end at all costs no more memory than this.
_LINE_MAX_BYTES = 1 << 16


class Vertex:
    """One line of progress. Times are of the monotonic clock, in seconds."""

    __slots__ = ("cached", "ended_s", "error", "items", "lines", "name", "number", "pending", "started_s")

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.started_s = time.monotonic()
        self.ended_s: float | None = None
        self.cached = False
        self.error = ""
        #: The last lines of output.
        self.lines: list[str] = []
        #: Output that has no line's end yet, by stream.
        self.pending: dict[int, bytes] = {}
        #: What goes on within: item → (bytes so far, bytes in all, done).
        self.items: dict[str, tuple[int, int, bool]] = {}

    @property
    def elapsed_s(self) -> float:
        """How long it takes, or took."""
        return (time.monotonic() if self.ended_s is None else self.ended_s) - self.started_s

    def take(self, stream: int, data: bytes, *, end: bool = False) -> list[str]:
        """Lines that output completes; with `end`, what is left too."""
        data = self.pending.pop(stream, b"") + data
        *whole, rest = data.split(b"\n")
        if rest and (end or len(rest) >= _LINE_MAX_BYTES):
            whole.append(rest)
        elif rest:
            self.pending[stream] = rest
        lines = [line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace") for line in whole]
        self.lines = [*self.lines, *lines][-KEPT_LINES:]
        return lines

    def finish(self, error: str = "") -> list[str]:
        """It has ended; lines that were not complete."""
        self.ended_s = time.monotonic()
        self.error = error
        return [line for stream in list(self.pending) for line in self.take(stream, b"", end=True)]


def printable(text: str) -> str:
    """A line without what would move the cursor or change colours."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\t" else "�" for letter in _plain(text))


def _plain(text: str) -> str:
    """Escape sequences taken away."""
    if "\x1b" not in text:
        return text
    import re

    return re.sub(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])", "", text)


def size_text(count: int) -> str:
    """`2.10MB`, as buildx shows bytes."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{count}B" if unit == "B" else f"{value:.2f}{unit}"
        value /= 1000
    return f"{count}B"


def item_text(item: str, current: int, total: int, *, done: bool) -> str:
    """What goes on within a vertex, in one line."""
    sizes = f" {size_text(current)} / {size_text(total)}" if total else f" {size_text(current)}" if current else ""
    return f"{item}{sizes}{' done' if done else ''}"
