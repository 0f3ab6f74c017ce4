"""Sleeping until a file of a directory changes or a process ends, instead of looking again and again."""

from __future__ import annotations

import os
import select

from pyctr._core import watch_directory
from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Where the kernel cannot tell (no inotify instance is free, the process is not known): a look this often.
LOOK_S = 0.5
_EVENTS_BYTES = 1 << 16


class Watch:
    """What a follower waits for: a change in a directory; and, if `process` names one, the end of it.

    `goes_on` is the follower's own question, to be asked before each look. `left_s` says how long a wait may be at most, where
    its answer may change without the kernel telling.
    """

    def __init__(
        self,
        directory: str,
        goes_on: Callable[[], bool],
        *,
        process: Callable[[], int] | None = None,
        left_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.goes_on = goes_on
        self._directory = directory
        self._process = process
        self._left_s = left_s
        self._is_open = False
        self._changes = self._pidfd = -1

    def wait(self) -> None:
        """Until something happens; it may return when nothing did.

        The first time it always does: what happened before is seen by one more look only.
        """
        if not self._is_open:
            self._is_open = True
            self._changes = _open_changes(self._directory)
            return
        left_s = self._left_s()
        if self._process is not None and self._pidfd < 0:
            self._pidfd = _open_process(self._process())
        if self._changes < 0 or (self._process is not None and self._pidfd < 0):
            left_s = LOOK_S if left_s is None else min(left_s, LOOK_S)
        poll = select.poll()
        for fd in (self._changes, self._pidfd):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(None if left_s is None else max(left_s, 0) * 1000):
            if fd == self._changes:
                os.read(fd, _EVENTS_BYTES)
            else:
                os.close(fd)
                self._pidfd = -1

    def close(self) -> None:
        """Let go of the kernel's side."""
        for fd in (self._changes, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._changes = self._pidfd = -1


def _open_changes(directory: str) -> int:
    try:
        return watch_directory(directory)
    except PyctrError:
        return -1


def _open_process(pid: int) -> int:
    """A descriptor that becomes readable when a process ends; -1 if there is none."""
    try:
        return os.pidfd_open(pid) if pid > 0 else -1
    except OSError:
        return -1
