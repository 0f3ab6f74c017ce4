"""SIGTERM and SIGHUP end a long command in order: what it runs ends with it, and what was done is kept."""

from __future__ import annotations

# Below `signal`, which makes enumerations of its numbers: a tenth of a cached build.
import _signal as signal  # type: ignore[import-not-found]
import contextlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import NoReturn


def ended_by_signals() -> AbstractContextManager[None]:
    """They raise SystemExit with 128 and the signal's number."""
    return _handled_by(_end)


def interrupted_by_signals() -> AbstractContextManager[None]:
    """They are what Ctrl-C is, as docker compose has it."""
    return _handled_by(_interrupt)


@contextlib.contextmanager
def _handled_by(act: Callable[[int, object], NoReturn]) -> Iterator[None]:
    # One that is ignored (nohup) stays so.
    numbers = [number for number in (signal.SIGHUP, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, act)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: object) -> NoReturn:
    # A second one would end what cleans up.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _interrupt(_number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt
