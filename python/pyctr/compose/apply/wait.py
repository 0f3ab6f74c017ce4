"""Waiting for containers: healthy, ended well, running."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyctr.compose.plan.up import COMPLETED, HEALTHY, RUNNING
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import NotFound, StateError

if TYPE_CHECKING:
    import threading

    from pyctr.engine import Engine

_POLL_S = 0.1
#: Who ends within this time of its start does not run (docker compose looks for the first time after as long).
_SETTLES_S = 0.5


class Deadline:
    """The longest time that several waits may take together, counted from now."""

    __slots__ = ("moment_s", "timeout_s")

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        #: Of the monotonic clock.
        self.moment_s = time.monotonic() + timeout_s


def wait_for(
    engine: Engine,
    name: str,
    condition: str,
    stop: threading.Event,
    *,
    deadline: Deadline | None = None,
    container_id: str | None = None,
) -> str | None:
    """Wait until a container meets a condition; the word to show. Raises StateError when it never will.

    `container_id` is looked at where the name is not its own yet.
    """
    if condition == RUNNING:
        stop.wait(_SETTLES_S)
    while True:
        verdict = look(engine, container_id or name, condition, name=name)
        if verdict:
            return verdict
        if deadline is not None and time.monotonic() > deadline.moment_s:
            raise StateError(f"container {name}: application not healthy after {deadline.timeout_s:g}s")
        if stop.wait(_POLL_S):
            raise StateError("canceled")


def look(engine: Engine, reference: str, condition: str, *, name: str) -> str | None:
    """The word for a condition that is met, None while it may still be."""
    store = engine.containers.store
    try:
        container_id = engine.containers.resolve(reference)
        state = current_state(store, container_id)
    except NotFound:
        raise StateError(f"dependency failed to start: No such container: {name}") from None
    status, code = state.get("status", "created"), int(state.get("exit_code") or 0)
    if condition == COMPLETED:
        return look_completed(name, status, code)
    prefix = "" if condition == RUNNING else "dependency failed to start: "
    if status not in ACTIVE and status != "created":
        raise StateError(f"{prefix}container {name} exited ({code})")
    health = (state.get("health") or {}).get("Status")
    if health == "unhealthy":
        raise StateError(f"{prefix}container {name} is unhealthy")
    if health == "healthy":
        return "Healthy"
    if health is None and status in ACTIVE:
        if condition == HEALTHY:
            raise StateError(f"dependency failed to start: container {name} has no healthcheck configured")
        return "Healthy"
    return None


def look_completed(name: str, status: str, code: int) -> str | None:
    """``service_completed_successfully``."""
    if status in ACTIVE or status == "created":
        return None
    if code:
        raise StateError(
            f"dependency failed to start: service {name!r} didn't complete successfully: exit {code}".replace(
                "'", '"', 2
            )
        )
    return "Exited"


def watch(engine: Engine, container_id: str, name: str, seconds: float, stop: threading.Event) -> None:
    """After an update: it must stay up for so long, and get healthy where it has a check."""
    deadline = time.monotonic() + seconds
    store = engine.containers.store
    while True:
        state = current_state(store, container_id)
        if state.get("status") not in ACTIVE or state.get("restart_count"):
            raise StateError(f"update failed: container {name} exited ({int(state.get('exit_code') or 0)})")
        health = (state.get("health") or {}).get("Status")
        if health == "unhealthy":
            raise StateError(f"update failed: container {name} is unhealthy")
        if time.monotonic() >= deadline and health in (None, "healthy"):
            return
        if stop.wait(_POLL_S):
            raise StateError("canceled")
