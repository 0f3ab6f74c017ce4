"""What is being done, shown: a live table on a terminal, plain lines elsewhere, JSON for programs. Always on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TextIO

from pyctr.errors import BuildError, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from pyctr.build.report import Report as BuildReport

MODES = ("auto", "tty", "plain", "json", "quiet")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_YELLOW, _BLUE = "33", "34"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_SIGNS = {"done": ("✔", "32"), "error": ("✘", "31"), "warning": ("!", "33")}
_FRAME_S = 0.1
#: What a word and its detail get of a narrow terminal before the name.
_WORD_COLUMNS = 24


class Plain:
    """A line an event, in docker compose's form."""

    #: How builds are shown meanwhile.
    build_mode = "plain"

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

    def moved(self, subject: str, come_bytes: int, whole_bytes: int) -> None:
        """How far something is; only who draws anew shows it."""

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """Take an event of a pull, whose words docker compose spaces otherwise."""
        del state
        with self.lock:
            self.out.write(f"{self.prefix} {subject} {word} \n")
            self.out.flush()

    def layer(self, subject: str, id: str, status: str) -> None:
        """A layer has come to another stage; from any thread."""
        del subject
        with self.lock:
            self.out.write(f"{self.prefix} {id} {status} \n")
            self.out.flush()

    @contextmanager
    def builds(self, *, quiet: bool) -> Iterator[BuildReport]:
        """Builds, shown as `docker build` shows them; the output of what failed comes last."""
        from pyctr.cli.build import make_progress

        shown = make_progress(self.build_mode, quiet=quiet)
        try:
            with shown:
                yield shown
        except BuildError as error:
            self.out.write(shown.failed_output() + (f"{error.excerpt}\n" if error.excerpt else ""))
            raise


class Quiet(Plain):
    """Nothing."""

    build_mode = "quiet"

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, and say nothing."""
        del subject, word, state

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, and say nothing."""
        del subject, word, state

    def layer(self, subject: str, id: str, status: str) -> None:
        """Take a layer, and say nothing."""
        del subject, id, status


class Json(Plain):
    """An object a line."""

    build_mode = "rawjson"

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, from any thread."""
        with self.lock:
            status = {"working": "Working", "done": "Done", "error": "Error", "warning": "Warning"}[state]
            self.out.write(json.dumps({"id": subject, "status": status, "text": word}) + "\n")
            self.out.flush()

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """Take an event of a pull."""
        self.event(subject, word, state=state)

    def layer(self, subject: str, id: str, status: str) -> None:
        """A layer has come to another stage; from any thread."""
        over = status in ("Pull complete", "Already exists", "Download complete")
        said = {"id": id, "parent_id": subject, "status": "Done" if over else "Working", "text": status}
        with self.lock:
            self.out.write(json.dumps(said) + "\n")
            self.out.flush()


class Row:
    """One thing: how it stands, how far it is, since when, until when (seconds of the monotonic clock)."""

    __slots__ = ("begun_s", "detail", "ended_s", "state", "word")

    def __init__(self, begun_s: float) -> None:
        self.begun_s = begun_s
        self.ended_s: float | None = None
        self.word, self.state, self.detail = "", "working", ""


class Table(Plain):
    """A line a thing, drawn again and again: a sign, what it is, how it stands, for how long."""

    build_mode = "tty"

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        super().__init__(out)
        self.colour = colour
        self.rows: dict[str, Row] = {}
        self.drawn = 0
        self.frame = 0
        self.over = threading.Event()
        self.drawer: threading.Thread | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.over.set()
        self._finish()

    @contextmanager
    def builds(self, *, quiet: bool) -> Iterator[BuildReport]:
        """Builds; what the table says so far stays above them, and it begins anew below."""
        self.over.set()
        self._finish()
        with super().builds(quiet=quiet) as shown:
            yield shown
        self.rows, self.drawn = {}, 0
        self.over.clear()

    def event(self, subject: str, word: str, *, state: str) -> None:
        """Take an event, from any thread."""
        now = time.monotonic()
        with self.lock:
            row = self.rows.setdefault(subject, Row(now))
            row.word, row.state, row.detail = word, state, ""
            row.ended_s = None if state == "working" else now
            if self.drawer is None and not self.over.is_set():
                self.out.write(_HIDE_CURSOR)
                self.drawer = threading.Thread(target=self._animate, daemon=True)
                self.drawer.start()

    def pull(self, subject: str, word: str, *, state: str) -> None:
        """Take an event of a pull."""
        self.event(subject, word, state=state)

    def layer(self, subject: str, id: str, status: str) -> None:
        """Take a layer; the bytes of all of them are what is shown."""

    def moved(self, subject: str, come_bytes: int, whole_bytes: int) -> None:
        """Take bytes; they stand after the word until the next event."""
        from pyctr.cli.build.vertex import size_text

        with self.lock:
            if subject in self.rows and self.rows[subject].state == "working":
                self.rows[subject].detail = f"{size_text(come_bytes)} / {size_text(whole_bytes)}"

    def _finish(self) -> None:
        if self.drawer is not None:
            self.drawer.join()
            self._draw()
            self.drawer = None
            self.out.write(_SHOW_CURSOR)
        self.out.flush()

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
            lines = self._lines(size.columns or 80)
            room = max(2, (size.lines or 24) - 1)
            if len(lines) > room and not self.over.is_set():  # what does not fit cannot be drawn over
                lines = [lines[0], *self._shown(lines[1:], room - 1)]
            up = f"\x1b[{self.drawn}A" if self.drawn else ""
            self.out.write(f"\r{up}" + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
            self.out.flush()
            self.drawn = len(lines)

    def _shown(self, lines: list[str], room: int) -> list[str]:
        """As many rows as fit: those at work, and the newest of the others; in their order."""
        states = [row.state for row in self.rows.values()]
        newest_first = sorted(range(len(lines)), key=lambda index: (states[index] == "working", index), reverse=True)
        return [lines[index] for index in sorted(newest_first[:room])]

    def _lines(self, width: int) -> list[str]:
        from pyctr.cli.build.vertex import printable

        done = sum(1 for row in self.rows.values() if row.state != "working")
        lines = [self._paint(f"[+] Running {done}/{len(self.rows)}"[:width], _BLUE if done == len(self.rows) else "")]
        said = {key: printable(f"{row.word} {row.detail}".rstrip()) for key, row in self.rows.items()}
        words = min(_WORD_COLUMNS, max(map(len, said.values()), default=0))
        now = time.monotonic()
        for subject, row in self.rows.items():
            sign, code = _SIGNS.get(row.state, (_SPINNER[self.frame % len(_SPINNER)], _YELLOW))
            took = f" {(row.ended_s or now) - row.begun_s:.1f}s "
            room = width - len(took) - 5
            names = min(max(map(len, self.rows)), max(1, room - min(words, room // 2)))
            name = subject if len(subject) <= names else f"…{subject[len(subject) - names + 1 :]}"
            word = said[subject][: max(0, room - names)]
            gap = " " * (room - names - len(word))
            word = self._paint(word, "" if row.state == "working" else code)
            lines.append(f" {self._paint(sign, code)} {name:<{names}}  {word}{gap}{self._paint(took, _BLUE)}")
        return lines

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text


def ansi_mode(settings: dict[str, Any]) -> str:
    """``--ansi``: never, always or auto."""
    mode = str(settings.get("ansi") or os.environ.get("COMPOSE_ANSI") or "auto")
    if mode not in ("never", "always", "auto"):
        raise InvalidArgument(f'invalid --ansi value "{mode}": must be never, always or auto')
    return mode


def make_report(settings: dict[str, Any], *, dry_run: bool = False, quiet: bool = False) -> Plain:
    """The report that ``--progress`` and ``--ansi`` ask for; else what stderr is decides."""
    mode = settings.get("progress") or os.environ.get("COMPOSE_PROGRESS") or "auto"
    if mode not in MODES:
        raise InvalidArgument(f'unsupported --progress value "{mode}"')
    ansi = ansi_mode(settings)
    if quiet or mode == "quiet":
        return Quiet(sys.stderr)
    if mode == "json":
        return Json(sys.stderr)
    if not dry_run and (mode == "tty" or (mode == "auto" and ansi != "never" and sys.stderr.isatty())):
        return Table(sys.stderr, colour=ansi != "never" and not os.environ.get("NO_COLOR"))
    return Plain(sys.stderr, prefix=" DRY-RUN MODE - " if dry_run else "")
