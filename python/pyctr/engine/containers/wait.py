"""Waiting for a container in the API's three ways: ``not-running``, ``next-exit``, ``removed``."""

from __future__ import annotations

import os
import time

from pyctr._core import json_loads
from pyctr.engine.containers.session import connect
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import InvalidArgument, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.engine.containers.store import Store

CONDITIONS = ("not-running", "next-exit", "removed")
#: While there is no monitor to tell, the state is looked at this often.
_POLL_S = 0.01
#: While a monitor is asked, `is_over` is looked at this often.
_SLICE_S = 0.5
#: Of the journal's end that is searched for the last word of a container that is gone.
_TAIL_BYTES = 1 << 20


def wait_for(
    store: Store,
    container_id: str,
    *,
    condition: str = "not-running",
    timeout_s: float | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> int:
    """The exit code, once the condition holds. Raises TimeoutError, also when `is_over`; NotFound if there is none."""
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    if not os.path.exists(store.path(container_id)):
        raise NotFound(f"No such container: {container_id}")
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    state = current_state(store, container_id)
    began, code = state.get("started_at"), int(state.get("exit_code") or 0)
    was_active, known = state.get("status") in ACTIVE, False
    ended = condition != "next-exit" and not was_active
    while not ended or (condition == "removed" and os.path.exists(store.path(container_id))):
        state = current_state(store, container_id)
        if state.get("status") in ACTIVE:
            was_active = True
            seen = _exited(store, container_id, deadline)
            if seen is not None:
                ended, code, known = True, seen, True
        elif state and (was_active or state.get("started_at") != began):
            ended, code, known = True, int(state.get("exit_code") or 0), True
        elif not os.path.exists(store.path(container_id)):
            break
        if is_over() or (deadline is not None and time.monotonic() >= deadline):
            raise TimeoutError(f"container {container_id[:12]}: {condition} not within {timeout_s} s")
        if not ended or condition == "removed":
            time.sleep(_POLL_S)
    # It may have begun, ended and gone between two looks: the journal knows.
    return code if known or os.path.exists(store.path(container_id)) else last_exit(store.root, container_id, code)


def _exited(store: Store, container_id: str, deadline: float | None) -> int | None:
    """The exit code its monitor tells; None after a while, or where the monitor is at its start or its end."""
    try:
        with connect(store.run_path(container_id), container_id) as session:
            session.send({"op": "wait"})
            left = _SLICE_S if deadline is None else min(max(deadline - time.monotonic(), 0), _SLICE_S)
            event = session.expect("exited", timeout_s=left)
    except StateError:
        return None
    return None if event is None else int(event["code"])


def last_exit(root: str, container_id: str, default: int) -> int:
    """The exit code the journal has of a container that is gone."""
    try:
        with open(root + "/events.jsonl", "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return default
    for line in reversed(lines):
        if container_id.encode() in line and b'"die"' in line:
            event = json_loads(line)
            if event.get("Action") == "die" and event["Actor"]["ID"] == container_id:
                return int(event["Actor"]["Attributes"].get("exitCode", default))
    return default
