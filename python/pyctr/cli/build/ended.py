"""Signals that end a build as Ctrl-C does: the commands it runs end with it, and what was done stays in the cache."""

from __future__ import annotations

import contextlib
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise SystemExit with 128 and the signal's number on SIGTERM and SIGHUP; one that is ignored (nohup) stays so."""
    numbers = [number for number in (signal.SIGHUP, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: object) -> NoReturn:
    # A second one would end what cleans up.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
