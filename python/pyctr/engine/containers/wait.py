"""Waiting for a container in the API's three ways: ``not-running``, ``next-exit``, ``removed``."""

from __future__ import annotations

import os
import time

from pyctr.engine.containers.session import connect
from pyctr.engine.containers.state import ACTIVE, current_state
from pyctr.errors import InvalidArgument, NotFound, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store

CONDITIONS = ("not-running", "next-exit", "removed")
#: While there is no monitor to tell, the state is looked at this often.
_POLL_S = 0.02


def wait_for(store: Store, container_id: str, *, condition: str = "not-running", timeout_s: float | None = None) -> int:
    """The exit code, once the condition holds. Raises TimeoutError; NotFound if it was not there to begin with."""
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    if not os.path.exists(store.path(container_id)):
        raise NotFound(f"No such container: {container_id}")
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    state = current_state(store, container_id)
    began, code = state.get("started_at"), int(state.get("exit_code") or 0)
    ended = condition != "next-exit" and state.get("status") not in ACTIVE
    was_active = False
    while not ended or (condition == "removed" and os.path.exists(store.path(container_id))):
        state = current_state(store, container_id)
        if state.get("status") in ACTIVE:
            was_active = True
            seen = _exited(store, container_id, deadline)
            ended, code = (True, seen) if seen is not None else (ended, code)
        elif was_active or state.get("started_at") != began:
            ended, code = True, int(state.get("exit_code") or 0)
        elif not os.path.exists(store.path(container_id)):
            break
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(f"container {container_id[:12]}: {condition} not within {timeout_s} s")
        if not ended or condition == "removed":
            time.sleep(_POLL_S)
    return code


def _exited(store: Store, container_id: str, deadline: float | None) -> int | None:
    """The exit code its monitor tells; None when time is up, or where the monitor is at its start or its end."""
    try:
        with connect(store.run_path(container_id), container_id) as session:
            session.send({"op": "wait"})
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            event = session.expect("exited", timeout_s=left)
    except StateError:
        return None
    return None if event is None else int(event["code"])
