"""Waiting for what others do, and looking at processes that may be gone a moment later."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long what must come is waited for, at most: on a busy machine everything takes long, and nothing is wrong with it.
PATIENCE_S = 120.0
_PAUSE_S = 0.02


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """Until a condition holds; its value. A file or process that is not there yet, or went while looked at, is no failure."""
    deadline = time.monotonic() + timeout_s
    while True:
        # The clock before the look: who was kept from looking all the time has looked once more after it.
        late = time.monotonic() >= deadline
        try:
            if value := condition():
                return value
            last = f"the last value: {value!r}"
        except (FileNotFoundError, ProcessLookupError) as error:
            last = f"the last error: {error!r}"
        if late:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}; {last}")
        time.sleep(_PAUSE_S)


def wait_equal(look: Callable[[], Any], wanted: object, what: str, timeout_s: float = PATIENCE_S) -> None:
    """Until what is seen is what is wanted; what was seen last is said where it never was."""
    seen: Any = None

    def is_equal() -> bool:
        nonlocal seen
        seen = look()
        return bool(seen == wanted)

    try:
        wait_until(is_equal, what, timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}\n  wanted: {wanted!r}\n  seen:   {seen!r}") from None


def wait_gone(pid: int, what: str = "a process") -> None:
    """Until a process has ended and been reaped."""
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), f"the end of {what} ({pid})")


def descriptors(pid: int) -> list[str]:
    """What the descriptors of a process lead to; one that is closed meanwhile is none. FileNotFoundError: no such process."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    return sorted(links)


def sockets(pid: int) -> int:
    """How many sockets a process has."""
    return sum(link.startswith("socket:") for link in descriptors(pid))


def threads(pid: int) -> list[int]:
    """The threads of a process; none of one that is gone."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))
    except (FileNotFoundError, ProcessLookupError):
        return []


def children(pid: int) -> list[int]:
    """The children of a process, whichever of its threads made them; none of one that is gone."""
    found: list[int] = []
    for thread in threads(pid):
        try:
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return sorted(found)


def state_letter(pid: int) -> str:
    """R, S, D, Z … (proc_pid_stat(5)); nothing of a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
