"""Progress on a terminal: a list of steps with their times, and the last lines of those that run, drawn anew ten times a second."""

from __future__ import annotations

import os
import threading
import time

from pyctr.cli.build.plain import Plain
from pyctr.cli.build.vertex import Vertex, item_text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

_PERIOD_S = 0.1
_SHOWN_LINES = 6
_SHOWN_ITEMS = 4
_BLUE, _RED, _DIM, _RESET = "\x1b[34m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Live(Plain):
    """The list. Nothing is drawn while nothing changes but the clock, and never more than the screen holds."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._began_s = time.monotonic()
        self._drawn = 0
        self._over = threading.Event()
        self._colours = not os.environ.get("NO_COLOR")
        self._painter = threading.Thread(target=self._paint, daemon=True)

    def __enter__(self) -> Self:
        self._painter.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._painter.join()
        with self.lock:
            self._draw(last=True)
            self.out.write(self._advice())
            self.out.flush()

    def _write(self, entry: Vertex, *lines: str) -> None:
        del entry, lines

    def _paint(self) -> None:
        while not self._over.wait(_PERIOD_S):
            with self.lock:
                self._draw(last=False)

    def _draw(self, *, last: bool) -> None:
        size = _terminal_size(self.out)
        lines = self._lines(size.columns)
        if not last:
            lines = [lines[0], *lines[1:][-(size.lines - 2) :]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        self.out.write(f"\r{up}" + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self.out.flush()
        self._drawn = len(lines)

    def _lines(self, columns: int) -> list[str]:
        entries = list(self.vertexes.values())
        done = sum(entry.ended_s is not None for entry in entries)
        over = " FINISHED" if self._over.is_set() and done == len(entries) else ""
        lines = [f"[+] Building {time.monotonic() - self._began_s:.1f}s ({done}/{len(entries)}){over}"]
        for entry in entries:
            lines += self._entry(entry, columns)
        return lines

    def _entry(self, entry: Vertex, columns: int) -> list[str]:
        mark = "CACHED " if entry.cached else "ERROR " if entry.error not in ("", "canceled") else ""
        mark = "CANCELED " if entry.error == "canceled" else mark
        colour = _RED if entry.error else _BLUE if entry.ended_s is not None else ""
        lines = [self._line(f" => {mark}{printable(entry.name)}", f"{entry.elapsed_s:.1f}s", columns, colour)]
        if entry.ended_s is not None:
            return lines
        for item, (current, total, done) in list(entry.items.items())[-_SHOWN_ITEMS:]:
            lines.append(self._line(f" => => {item_text(item, current, total, done=done)}", "", columns, ""))
        output = (f" => => # {printable(line).expandtabs()}" for line in entry.lines[-_SHOWN_LINES:])
        return lines + [self._line(line, "", columns, _DIM) for line in output]

    def _line(self, text: str, right: str, columns: int, colour: str) -> str:
        room = max(columns - len(right) - 1, 10)
        text = text.replace("\t", " ")
        text = text if len(text) <= room else text[: room - 3] + "..."
        whole = f"{text:<{room}}{right}" if right else text
        return f"{colour}{whole}{_RESET}" if colour and self._colours else whole


def _terminal_size(out: TextIO) -> os.terminal_size:
    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        return os.terminal_size((80, 24))
    return size if size.columns and size.lines > 3 else os.terminal_size((80, 24))
