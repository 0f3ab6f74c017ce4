"""Signals, stopping, waiting, renaming: what is done to a container that exists."""

from __future__ import annotations

import os
import time

from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.session import connect
from pyctr.engine.containers.state import ACTIVE, current_state, is_running
from pyctr.engine.containers.store import check_name, name_conflict
from pyctr.engine.signals import SIGKILL, SIGTERM, parse_signal
from pyctr.errors import Conflict, PyctrError, StateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.containers.store import Store

_DEFAULT_STOP_TIMEOUT_S = 10.0
_KILL_PATIENCE_S = 10.0
#: How long a monitor that has been killed may take to be gone.
_DYING_PATIENCE_S = 10.0


def kill_container(store: Store, container_id: str, signal: int) -> None:
    """Send a signal to PID 1; raises StateError worded as Docker's where it does not run."""
    if current_state(store, container_id).get("status") not in ACTIVE:
        raise StateError(f"cannot kill container: {container_id[:12]}: container {container_id} is not running")
    with connect(store.run_path(container_id), container_id) as session:
        session.send({"op": "kill", "signal": signal})
        session.expect("ok", "exited", timeout_s=_KILL_PATIENCE_S)


def stop_container(store: Store, container_id: str, timeout_s: float | None, signal: str | None) -> None:
    """The stop signal, a grace period, SIGKILL. What does not run is left alone. Negative: no SIGKILL."""
    state = current_state(store, container_id)
    if state.get("status") not in ACTIVE:
        return
    record = store.record(container_id)
    config = record["Config"]
    name = signal or config.get("StopSignal")
    number = parse_signal(name) if name else SIGTERM
    grace_s = timeout_s if timeout_s is not None else config.get("StopTimeout", _DEFAULT_STOP_TIMEOUT_S)
    patience = None
    while not end_life(store, container_id, number, grace_s):
        life, state = state.get("started_at"), current_state(store, container_id)
        if state.get("status") not in ACTIVE:
            break
        # Another life: its monitor had been killed, and who looked has started it again. That one is meant too.
        if patience is None or state.get("started_at") != life:
            patience = time.monotonic() + _DYING_PATIENCE_S
        # The same: its monitor is dying, and has let go of its socket, but not of its lock yet.
        if time.monotonic() > patience:
            raise StateError(f"container {container_id} is not running")
        time.sleep(0.01)
    write_event(store.root, "stop", record)


def end_life(store: Store, container_id: str, number: int, grace_s: float) -> bool:
    """End what runs now; False where nobody answers for it. Raises StateError if it does not end."""
    try:
        with connect(store.run_path(container_id), container_id) as session:
            session.send({"op": "wait"})
            session.send({"op": "kill", "signal": number})
            if session.expect("exited", timeout_s=None if grace_s < 0 else grace_s) is not None:
                return True
            session.send({"op": "kill", "signal": SIGKILL})
            if session.expect("exited", timeout_s=_KILL_PATIENCE_S) is not None:
                return True
    except StateError:
        return False
    raise StateError(f"stop container {container_id[:12]}: it did not end within {_KILL_PATIENCE_S:.0f} s of SIGKILL")


def pause_container(store: Store, container_id: str, *, paused: bool) -> None:
    """Stop every process, or let them go on; raises StateError where that is not possible."""
    if current_state(store, container_id).get("status") not in ACTIVE:
        raise StateError(f"Container {container_id} is not running")
    with connect(store.run_path(container_id), container_id) as session:
        session.send({"op": "pause" if paused else "unpause"})
        try:
            session.expect("ok", timeout_s=_KILL_PATIENCE_S)
        except PyctrError as error:  # the monitor's word: it is paused already, or is not
            raise StateError(str(error)) from None


def wait_container(store: Store, container_id: str) -> int:
    """The exit code, once the container is not running (at once where it is not)."""
    watched = ""  # the start of the life whose end was waited for when its monitor died
    while True:
        state = current_state(store, container_id)
        if watched and state.get("started_at") != watched:
            return 128 + SIGKILL
        if not state:  # it is being taken away (--rm): the journal knows
            from pyctr.engine.containers.wait import last_exit

            return last_exit(store.root, container_id, 0)
        if state.get("status") not in ACTIVE:
            return int(state.get("exit_code") or 0)
        try:
            with connect(store.run_path(container_id), container_id) as session:
                session.send({"op": "wait"})
                watched = state.get("started_at", "")
                event = session.expect("exited")
                if event is not None:
                    return int(event["code"])
        except StateError:
            time.sleep(0.01)  # the monitor is at its start, at its end, or dead: the state tells next time


def rename_container(store: Store, container_id: str, new_name: str) -> None:
    """Take the new name, write it down, give the old one back."""
    from pyctr.engine.network_change import changing, rename_running

    name = check_name(new_name)
    record = store.record(container_id)
    old = record["Name"].removeprefix("/")
    if old == name:
        raise Conflict("Renaming a container with the same name as its current name")
    if store.name_owner(name) == container_id:
        raise name_conflict(name, container_id)
    store.take_name(name, container_id)
    record["Name"] = "/" + name
    try:
        with changing(store, container_id):
            store.write(container_id, "config.json", record)
            rename_in_request(store, container_id, name)
            if is_running(store, container_id):
                rename_running(store, record, old)
    except BaseException:
        store.release_name(name, container_id)
        store.write(container_id, "config.json", {**record, "Name": "/" + old})
        raise
    store.release_name(old, container_id)
    write_event(store.root, "rename", record, oldName="/" + old)


def rename_in_request(store: Store, container_id: str, name: str) -> None:
    """A --rm container's monitor frees the name its request holds when it ends: keep it right for the next start."""
    path = store.path(container_id) + "/monitor.json"
    if os.path.exists(path):
        request = store.read(container_id, "monitor.json")
        if request.get("remove"):
            request["remove"]["name"] = f"{store.names_dir}/{name}"
            store.write(container_id, "monitor.json", request)
