"""`/containers/{id}`: logs and stats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyctr._core import json_dumps
from pyctr.api.hijack import MULTIPLEXED, RAW, STDERR, STDOUT, frame
from pyctr.api.http import Request, Response, Stream, answer
from pyctr.api.router import Route
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = {"stdout": STDOUT, "stderr": STDERR}


def logs(request: Request, id: str) -> Stream:
    """What a container wrote."""
    from pyctr.engine.containers.logs import Window, read_logs
    from pyctr.engine.containers.state import is_running
    from pyctr.engine.watch import LOOK_S

    store = request.engine.containers.store
    container_id = request.engine.containers.resolve(id)
    wanted = {name for name in _NUMBERS if request.flag(name)}
    if not wanted:
        raise InvalidArgument("Bad parameters: you must choose at least one stream")
    window = Window(
        since=_moment(request.text("since")),
        until=_moment(request.text("until")),
        timestamps=request.flag("timestamps"),
        details=request.flag("details"),
    )

    def goes_on() -> bool:
        return (
            not request.cancelled.is_set()
            and os.path.exists(store.path(container_id))
            and is_running(store, container_id)
        )

    tty = store.record(container_id)["Config"]["Tty"]
    found = read_logs(
        store,
        container_id,
        follow=request.flag("follow"),
        tail=request.text("tail", "all"),
        window=window,
        is_running=goes_on,
        look_s=LOOK_S,  # no file says that the client has gone
    )
    chunks = (data if tty else frame(_NUMBERS[name], data) for name, data in found if name in wanted)
    return Stream(chunks, content_type=RAW if tty else MULTIPLEXED)


def _moment(text: str) -> str | None:
    return text if text not in ("", "0") else None


def stats(request: Request, id: str) -> Stream | Response:
    """What a container uses: once, or each second."""
    from pyctr.engine.containers.stats_api import follow_stats, read_stats

    store = request.engine.containers.store
    container_id = request.engine.containers.resolve(id)
    if not request.flag("stream", default=True):
        return answer(read_stats(store, container_id, one_shot=request.flag("one-shot")))

    def readings() -> Iterator[bytes]:
        for reading in follow_stats(store, container_id):
            if request.cancelled.is_set():
                return
            yield json_dumps(reading) + b"\n"

    return Stream(readings())


ROUTES = [
    Route("GET", "/containers/{id}/logs", logs),
    Route("GET", "/containers/{id}/stats", stats),
]
