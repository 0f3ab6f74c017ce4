"""`/_ping`, `/version`, `/info`, `/events`, `/system/df`, `/auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr._core import json_dumps
from pyctr.api.http import Request, Response, Stream, answer
from pyctr.api.router import NEWEST, OLDEST, Route

if TYPE_CHECKING:
    from collections.abc import Iterator


def ping(_request: Request) -> Response:
    """Whether there is a server, and which."""
    headers = {
        "Builder-Version": "1",
        "Swarm": "inactive",
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
    }
    return Response(b"OK", content_type="text/plain; charset=utf-8", headers=headers)


def version(request: Request) -> Response:
    """Versions."""
    from pyctr.engine.system import version

    found = version(request.engine)
    own = {"ApiVersion": ".".join(map(str, NEWEST)), "MinAPIVersion": ".".join(map(str, OLDEST)), "Experimental": False}
    for component in found["Components"]:
        component["Details"] |= {**own, "Experimental": "false"}
    return answer({**found, **own})


def info(request: Request) -> Response:
    """What the host offers and what is stored."""
    from pyctr.engine.system import info

    return answer(info(request.engine))


def events(request: Request) -> Stream:
    """What happens, a line each."""
    import time

    from pyctr.engine import times
    from pyctr.engine.events import check_filters, matches, parse_event, read_lines
    from pyctr.engine.watch import LOOK_S, Watch

    filters = request.filters()
    check_filters(filters)
    now_ns = time.time_ns()
    since, until = (request.text(name) for name in ("since", "until"))
    since_ns = times.parse_moment(since, now_ns=now_ns) if since and since != "0" else now_ns
    until_ns = times.parse_moment(until, now_ns=now_ns) if until and until != "0" else None

    def goes_on() -> bool:
        return not request.cancelled.is_set() and (until_ns is None or time.time_ns() < until_ns)

    def lines() -> Iterator[bytes]:
        # No file says that the client has gone.
        watch = Watch(request.engine.root, goes_on, left_s=lambda: LOOK_S)
        for line in read_lines(request.engine.root + "/events.jsonl", watch):
            event = parse_event(line)
            if event is None or event["timeNano"] < since_ns or (until_ns and event["timeNano"] > until_ns):
                continue
            if matches(event, filters):
                yield json_dumps(event) + b"\n"

    return Stream(lines())


def disk_usage(request: Request) -> Response:
    """What takes how much of the disk."""
    from pyctr.engine.disk_usage import disk_usage

    return answer(disk_usage(request.engine))


def auth(request: Request) -> Response:
    """Try credentials; the client keeps them."""
    from pyctr.engine.credentials import check_login, given_credentials

    body = request.json()
    words = [str(body.get(key) or "") for key in ("username", "password", "identitytoken")]
    credentials = check_login(request.engine, str(body.get("serveraddress") or ""), given_credentials(*words))
    return answer({"Status": "Login Succeeded", "IdentityToken": credentials.identity_token})


ROUTES = [
    Route("GET", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/events", events),
    Route("GET", "/system/df", disk_usage),
    Route("POST", "/auth", auth),
]
