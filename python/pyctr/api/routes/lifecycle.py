"""`/containers/{id}`: start, stop, kill, restart, pause, unpause, wait, resize."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyctr._core import json_dumps
from pyctr.api.http import Request, Response, Stream, empty
from pyctr.api.router import Route
from pyctr.engine.containers.session import connect
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyctr.api.starts import Waiting
    from pyctr.engine.containers.store import Store


def start(request: Request, id: str) -> Response:
    """Start a container; who attached before gets its streams."""
    from pyctr.engine.containers.burial import repair_locked
    from pyctr.engine.containers.start import prepare
    from pyctr.engine.host import gather

    engine = request.engine
    store = engine.containers.store
    container_id = engine.containers.resolve(id)
    lock = store.lock(container_id)
    if lock is None:
        return empty(304)
    waiting = request.starts.take(container_id)
    try:
        try:
            repair_locked(store, container_id)
            record = store.record(container_id)
            facts = gather(record["HostConfig"])
            make_log(store, record)
        except BaseException:
            os.close(lock)
            raise
        prepared = prepare(engine, record, facts, lock)
        first, others = (waiting[0], waiting[1:]) if waiting else (None, [])
        if first is None:
            prepared.session.watch()
        else:
            first.session = prepared.session
            rows, columns = (*(record["HostConfig"].get("ConsoleSize") or ()), 0, 0)[:2]
            prepared.session.attach(first.pipes.attach, (rows, columns) if rows and columns else None)
        try:
            prepared.spawn()
            prepared.session.expect("started", "exited")
            for other in others:
                _join(store.run_path(container_id), container_id, other)
        except BaseException:
            _discard(request, container_id)
            raise
        finally:
            if first is None:
                prepared.session.channel.close()
    finally:
        for one in waiting:  # the lent ends are the monitor's now, or nobody's
            one.pipes.lent()
            one.started.set()
    return empty()


def make_log(store: Store, record: dict[str, Any]) -> None:
    """Make the log's file before the client hears of the start; the monitor would make it at the first output.

    Who asks for logs at once and removes the container before reading them, as docker-py does, has them opened by then.
    """
    from pyctr.engine.containers.request import FILE_DRIVERS, log_path

    driver = record["HostConfig"]["LogConfig"]["Type"]
    if driver in FILE_DRIVERS:
        os.close(os.open(log_path(store, record["Id"], driver), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))


def _join(run_path: str, container_id: str, waiting: Waiting) -> None:
    session = connect(run_path, container_id)
    session.attach(waiting.pipes.attach)
    waiting.session = session


def _discard(request: Request, container_id: str) -> None:
    """A --rm container that never started goes."""
    containers = request.engine.containers
    if os.path.exists(containers.store.path(container_id)):
        containers._discard_if_temporary(containers.store.record(container_id))


def stop(request: Request, id: str) -> Response:
    """Stop a container."""
    if not _runs(request, id):
        return empty(304)
    request.engine.containers.stop(id, request.number("t"), request.text("signal") or None)
    return empty()


def _runs(request: Request, id: str) -> bool:
    from pyctr.engine.containers.state import is_running

    return is_running(request.engine.containers.store, request.engine.containers.resolve(id))


def restart(request: Request, id: str) -> Response:
    """Stop, then start."""
    request.engine.containers.restart(id, request.number("t"), request.text("signal") or None)
    return empty()


def kill(request: Request, id: str) -> Response:
    """Send a signal."""
    request.engine.containers.kill(id, request.text("signal") or "KILL")
    return empty()


def pause(request: Request, id: str) -> Response:
    """Stop every process."""
    request.engine.containers.pause(id)
    return empty()


def unpause(request: Request, id: str) -> Response:
    """Let them go on."""
    request.engine.containers.unpause(id)
    return empty()


def wait(request: Request, id: str) -> Stream:
    """The exit code, when it is known; the headers at once, since clients wait for them before they start a container."""
    from pyctr.engine.containers.wait import CONDITIONS, wait_for

    store = request.engine.containers.store
    container_id = request.engine.containers.resolve(id)
    condition = request.text("condition") or "not-running"
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')

    def code() -> Iterator[bytes]:
        try:
            found = wait_for(store, container_id, condition=condition, is_over=request.cancelled.is_set)
        except TimeoutError:  # the client has gone
            return
        yield json_dumps({"StatusCode": found}) + b"\n"

    return Stream(code())


def resize(request: Request, id: str) -> Response:
    """The size of a container's terminal."""
    store = request.engine.containers.store
    container_id = request.engine.containers.resolve(id)
    rows, columns = request.number("h"), request.number("w")
    if rows is None or columns is None:
        raise InvalidArgument("h and w are needed")
    with connect(store.run_path(container_id), container_id) as session:
        session.send({"op": "resize", "rows": rows, "cols": columns})
    return empty(200)


ROUTES = [
    Route("POST", "/containers/{id}/start", start),
    Route("POST", "/containers/{id}/stop", stop),
    Route("POST", "/containers/{id}/restart", restart),
    Route("POST", "/containers/{id}/kill", kill),
    Route("POST", "/containers/{id}/pause", pause),
    Route("POST", "/containers/{id}/unpause", unpause),
    Route("POST", "/containers/{id}/wait", wait),
    Route("POST", "/containers/{id}/resize", resize),
]
