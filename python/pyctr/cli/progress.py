"""What a transfer tells, shown: bars on a terminal, a line an event where nobody watches, or JSON as Docker's API has it."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Self

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, TextIO

#: Statuses that are one of many of the same; only bars show them.
_MOVING = frozenset(("Downloading", "Pushing"))
MODES = ("auto", "plain", "tty", "json")


class Plain:
    """One line an event."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.out.flush()

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """Take an event, from any thread."""
        del current, total
        if status not in _MOVING:
            with self.lock:
                self.out.write(f"{id}: {status}\n" if id else f"{status}\n")
                self.out.flush()


class Quiet(Plain):
    """Nothing."""

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """Take an event, and say nothing."""
        del status, id, current, total


class Json(Plain):
    """One object a line: Docker's jsonmessage."""

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """Take an event, from any thread."""
        from pyctr._core import json_dumps

        message: dict[str, Any] = {"status": status}
        if total:
            message["progressDetail"] = {"current": current, "total": total}
        if id:
            message["id"] = id
        with self.lock:
            self.out.write(json_dumps(message).decode() + "\n")
            self.out.flush()


class Bars(Plain):
    """A line a layer that moves: bytes, rate, time left (rich)."""

    def __init__(self, out: TextIO) -> None:
        super().__init__(out)
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self.lock:
            self._stop()
        self.out.flush()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks = {}

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}:"), TextColumn("{task.fields[status]:<20}"), BarColumn(bar_width=24),
            DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
            console=Console(file=self.out), refresh_per_second=10,
        )  # fmt: skip
        self._progress.start()

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        """Take an event, from any thread."""
        with self.lock:
            if not id or status.startswith("Pulling from"):
                self._stop()
                self.out.write(f"{id}: {status}\n" if id else f"{status}\n")
                self.out.flush()
                return
            if self._progress is None:
                self._start()
            if id not in self._tasks:
                self._tasks[id] = self._progress.add_task(id, total=None, status=status)
            task = self._tasks[id]
            if total:
                self._progress.update(task, status=status, completed=current, total=total)
            elif status in ("Pull complete", "Pushed", "Already exists", "Layer already exists"):
                known = next(item.total for item in self._progress.tasks if item.id == task) or 0
                self._progress.update(task, status=status, completed=known, total=known)
            else:
                self._progress.update(task, status=status)


def make_report(options: dict[str, Any], out: TextIO | None = None) -> Plain:
    """The report that options ask for: `--quiet`, `--progress`; else what the output is decides."""
    out = out or sys.stdout
    mode = options.get("progress", "auto")
    if mode not in MODES:
        raise InvalidArgument(f"invalid --progress {mode}: must be one of {', '.join(MODES)}")
    if options.get("quiet"):
        return Quiet(out)
    if mode == "json":
        return Json(out)
    return Bars(out) if mode == "tty" or (mode == "auto" and out.isatty()) else Plain(out)
