"""Plain progress: `#N` lines, as buildx writes them where nobody watches; and none at all."""

from __future__ import annotations

import threading

from pyctr.build.report import Report
from pyctr.cli.build.vertex import Vertex, item_text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO


class Plain(Report):
    """A line an event, told from several threads; a vertex that another interrupts is left with `...` and headed by its name again."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.lock = threading.Lock()
        self.vertexes: dict[str, Vertex] = {}
        self._last: Vertex | None = None
        self._warnings: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self.lock:
            self.out.write(self._advice())
            self.out.flush()

    def _advice(self) -> str:
        """What was found that is no error, at the end, as buildx shows it."""
        if not self._warnings:
            return ""
        found = f"{len(self._warnings)} warning{'s' if len(self._warnings) > 1 else ''} found"
        return f"\n {found} (use build --check to expand):\n" + "".join(f" - {text}\n" for text in self._warnings)

    # -- Report --------------------------------------------------------------------------------------------------

    def start(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex begins."""
        del inputs
        with self.lock:
            self._write(self._vertex(vertex, name))

    def cached(self, vertex: str, name: str, *, inputs: tuple[str, ...] = ()) -> None:
        """A vertex was at hand."""
        del inputs
        with self.lock:
            if vertex in self.vertexes:
                return
            entry = self._vertex(vertex, name)
            entry.cached = True
            entry.finish()
            self._write(entry, "CACHED")

    def done(self, vertex: str, *, error: str = "") -> None:
        """A vertex has ended."""
        with self.lock:
            entry = self.vertexes[vertex]
            rest = [f"{entry.elapsed_s:.3f} {printable(line)}" for line in entry.finish(error)]
            end = "CANCELED" if error == "canceled" else f"ERROR: {error}" if error else f"DONE {entry.elapsed_s:.1f}s"
            self._write(entry, *rest, end)

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Output of a vertex."""
        with self.lock:
            entry = self.vertexes[vertex]
            lines = [f"{entry.elapsed_s:.3f} {printable(line)}" for line in entry.take(stream, data)]
            if lines:
                self._write(entry, *lines)

    def status(self, vertex: str, item: str, *, current: int = 0, total: int = 0, done: bool = False) -> None:
        """What goes on within a vertex; only its end is written."""
        with self.lock:
            entry = self.vertexes.get(vertex)
            if entry is None:
                return
            entry.items[item] = (current, total, done)
            if done:
                self._write(entry, item_text(item, current, total, done=True))

    def warn(self, text: str) -> None:
        """Advice; shown at the end."""
        with self.lock:
            self._warnings.append(text)

    # -- lines ---------------------------------------------------------------------------------------------------

    def _vertex(self, vertex: str, name: str) -> Vertex:
        entry = self.vertexes.get(vertex)
        if entry is None:
            entry = self.vertexes[vertex] = Vertex(name, len(self.vertexes) + 1)
        return entry

    def _write(self, entry: Vertex, *lines: str) -> None:
        text = ""
        if self._last is not entry:
            if self._last is not None:
                text += f"#{self._last.number} ...\n\n" if self._last.ended_s is None else "\n"
            name = printable(entry.name.replace("\n", " "))
            text += f"#{entry.number} {name}\n"
            self._last = entry
        text += "".join(f"#{entry.number} {line}\n" for line in lines)
        self.out.write(text)
        self.out.flush()

    def failed_output(self) -> str:
        """The last lines of what failed, under its name; "" if nothing did, or it said nothing."""
        for entry in self.vertexes.values():
            if entry.error and entry.error != "canceled" and entry.lines:
                lines = "".join(f"{printable(line)}\n" for line in entry.lines)
                return f"------\n > {printable(entry.name)}:\n{lines}------\n"
        return ""


class Quiet(Plain):
    """Nothing but what failed."""

    def _write(self, entry: Vertex, *lines: str) -> None:
        del entry, lines

    def warn(self, text: str) -> None:
        """Nothing."""
        del text
