"""Method and path → handler."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyctr.api.http import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.api.http import Hijack, Request, Response, Stream

    Answer = Response | Stream | Hijack
    Handler = Callable[..., Answer]

NEWEST = (1, 47)
OLDEST = (1, 24)
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")
#: Things of Docker's that there are not.
_FOREIGN = re.compile(
    r"/(swarm|nodes|services|tasks|secrets|configs|plugins|session|grpc)(/|$)|.*/(checkpoints|attach/ws)"
)


class Route:
    """One handler; `uploads`: it reads the body from a descriptor while it comes."""

    __slots__ = ("handler", "method", "pattern", "uploads")

    def __init__(self, method: str, path: str, handler: Handler, *, uploads: bool = False) -> None:
        self.method = method
        # Names of images have slashes in them, those of other things do not.
        expression = path.replace("{image}", "(?P<image>.+)")
        self.pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", expression) + "/?")
        self.handler = handler
        self.uploads = uploads


def routes() -> list[Route]:
    """Every route there is, of every module."""
    from pyctr.api.routes import (
        archive,
        attach,
        build,
        containers,
        images,
        lifecycle,
        networks,
        observe,
        system,
        volumes,
    )

    modules = (system, containers, lifecycle, observe, attach, archive, images, networks, volumes, build)
    return [route for module in modules for route in module.ROUTES]


def version_of(path: str) -> tuple[tuple[int, int] | None, str]:
    """The version a path begins with, and the rest."""
    found = _VERSION.fullmatch(path)
    if found is None:
        return None, path
    return (int(found[1]), int(found[2])), found[3]


def find(table: list[Route], request: Request) -> tuple[Route | None, dict[str, str], Response | None]:
    """The route of a request and what its path names; or why there is none."""
    version, path = version_of(request.path)
    request.version = version or NEWEST
    request.path = path
    if version is not None and version > NEWEST:
        return None, {}, refusal(_range("new", "Maximum supported", NEWEST, version), 400)
    if version is not None and version < OLDEST:
        return None, {}, refusal(_range("old", "Minimum supported", OLDEST, version), 400)
    known = False
    for route in table:
        found = route.pattern.fullmatch(path)
        if found is None:
            continue
        if route.method == request.method or (route.method == "GET" and request.method == "HEAD"):
            return route, {key: unquote(value) for key, value in found.groupdict().items()}, None
        known = True
    if known:
        return None, {}, refusal(f"method {request.method} is not allowed for {path}", 405)
    if _FOREIGN.fullmatch(path) or _FOREIGN.match(path):
        return None, {}, refusal(f"{path}: not supported by pyctr", 501)
    return None, {}, refusal("page not found", 404)


def _range(word: str, which: str, limit: tuple[int, int], version: tuple[int, int]) -> str:
    text = ".".join(map(str, version))
    return f"client version {text} is too {word}. {which} API version is {'.'.join(map(str, limit))}"
