"""What is being done, shown: a live table on a terminal, plain lines elsewhere, JSON for programs. Always on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TextIO

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from types import TracebackType

MODES = ("auto", "tty", "plain", "json", "quiet")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SIGNS = {"done": ("✔", "32"), "error": ("✘", "31"), "warning": ("!", "33")}
_FRAME_S = 0.1


class Plain:
    """A line an event, in docker compose's form."""

    def __init__(self, out: TextIO, *, prefix: str = "") -> None:
        self.out = out
        self.prefix = prefix
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.out.flush()

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, from any thread."""
        del state
        with self.lock:
            self.out.write(f"{self.prefix} {subject}  {word}\n")
            self.out.flush()


class Quiet(Plain):
    """Nothing."""

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, and say nothing."""
        del subject, word, state


class Json(Plain):
    """An object a line."""

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, from any thread."""
        with self.lock:
            status = {"working": "Working", "done": "Done", "error": "Error", "warning": "Warning"}[state]
            self.out.write(json.dumps({"id": subject, "status": status, "text": word}) + "\n")
            self.out.flush()


class Table(Plain):
    """A line a thing, drawn again and again: a sign, what it is, how it stands, for how long."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        super().__init__(out)
        self.colour = colour
        self.rows: dict[str, tuple[str, str, float, float | None]] = {}
        self.drawn = 0
        self.frame = 0
        self.over = threading.Event()
        self.drawer: threading.Thread | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.over.set()
        if self.drawer is not None:
            self.drawer.join()
            self._draw()
            self.drawer = None
        self.out.flush()

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, from any thread."""
        now = time.monotonic()
        with self.lock:
            begun = self.rows[subject][2] if subject in self.rows else now
            self.rows[subject] = (word, state, begun, None if state == "working" else now)
            if self.drawer is None and not self.over.is_set():
                self.drawer = threading.Thread(target=self._animate, daemon=True)
                self.drawer.start()

    def _animate(self) -> None:
        while not self.over.wait(_FRAME_S):
            self._draw()

    def _draw(self) -> None:
        try:
            size = os.get_terminal_size(self.out.fileno())
        except OSError:
            size = os.terminal_size((80, 24))
        with self.lock:
            self.frame += 1
            lines = self._lines(size.columns)
            room = max(2, size.lines - 1)
            if len(lines) > room and not self.over.is_set():  # what does not fit cannot be drawn over
                lines = [lines[0], *lines[-(room - 1) :]]
            up = f"\x1b[{self.drawn}A" if self.drawn else ""
            self.out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
            self.out.flush()
            self.drawn = len(lines)

    def _lines(self, width: int) -> list[str]:
        done = sum(1 for row in self.rows.values() if row[1] != "working")
        lines = [f"[+] Running {done}/{len(self.rows)}"]
        names = max((len(subject) for subject in self.rows), default=0)
        now = time.monotonic()
        for subject, (word, state, begun, ended) in self.rows.items():
            sign, code = _SIGNS.get(state, (_SPINNER[self.frame % len(_SPINNER)], "36"))
            took = f"{(ended or now) - begun:.1f}s"
            text = f" {subject:<{names}}  {word}"
            text = text[: max(10, width - len(took) - 4)]
            gap = " " * max(1, width - len(text) - len(took) - 3)
            shown = f"\x1b[{code}m{sign}\x1b[0m" if self.colour else sign
            lines.append(f" {shown}{text}{gap}{took}")
        return lines


def make_report(settings: dict[str, Any], *, dry_run: bool = False, quiet: bool = False) -> Plain:
    """The report that ``--progress`` and ``--ansi`` ask for; else what stderr is decides."""
    mode = settings.get("progress") or os.environ.get("COMPOSE_PROGRESS") or "auto"
    if mode not in MODES:
        raise InvalidArgument(f'unsupported --progress value "{mode}"')
    if quiet or mode == "quiet":
        return Quiet(sys.stderr)
    if mode == "json":
        return Json(sys.stderr)
    ansi = settings.get("ansi") or os.environ.get("COMPOSE_ANSI") or "auto"
    if not dry_run and (mode == "tty" or (mode == "auto" and ansi != "never" and sys.stderr.isatty())):
        return Table(sys.stderr, colour=ansi != "never" and not os.environ.get("NO_COLOR"))
    return Plain(sys.stderr, prefix=" DRY-RUN MODE - " if dry_run else "")
