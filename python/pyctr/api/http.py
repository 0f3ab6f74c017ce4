"""What a handler takes and gives, and how errors become status codes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pyctr._core import json_dumps, json_loads
from pyctr.errors import (
    CommandNotExecutable,
    CommandNotFound,
    Conflict,
    InvalidArgument,
    NotFound,
    PyctrError,
    StateError,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from pyctr.api.starts import Starts
    from pyctr.engine import Engine

JSON = "application/json"
_TRUE = ("1", "true", "t", "yes", "on")


class Request:
    """A request: method, path without the version, query, headers (lower case), body.

    `body` is what was sent, or for handlers that stream `upload`, a descriptor to read it from.
    """

    __slots__ = ("body", "cancelled", "engine", "headers", "method", "path", "query", "starts", "upload", "version")

    def __init__(self, method: str, target: str, headers: dict[str, str], engine: Engine, starts: Starts) -> None:
        path, _, query = target.partition("?")
        self.method = method
        self.path = path
        self.query = parse_qs(query, keep_blank_values=True)
        self.headers = headers
        self.engine = engine
        self.starts = starts
        self.body = b""
        self.upload = -1
        self.version = (0, 0)
        #: Set when the client has gone; what follows something looks at it.
        self.cancelled = threading.Event()

    def text(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return self.query.get(name, [default])[-1]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A query parameter that is true or false."""
        return self.text(name).lower() in _TRUE if name in self.query else default

    def number(self, name: str) -> int | None:
        """A query parameter that is a number; None where it is not given. Raises InvalidArgument."""
        text = self.text(name)
        try:
            return int(text) if text else None
        except ValueError:
            raise InvalidArgument(f"invalid {name}: {text!r} is not a number") from None

    def filters(self) -> dict[str, list[str]]:
        """The ``filters`` parameter: {"name": ["value"]} or {"name": {"value": true}}. Raises InvalidArgument."""
        text = self.text("filters")
        if not text:
            return {}
        try:
            value = json_loads(text.encode())
            return {key: [str(item) for item in items] for key, items in value.items()}
        except (ValueError, TypeError, AttributeError):
            raise InvalidArgument(f"invalid filters: {text}") from None

    def json(self) -> dict[str, Any]:
        """The body as an object, empty where there is none. Raises InvalidArgument."""
        if not self.body.strip():
            return {}
        try:
            value = json_loads(self.body)
        except ValueError as error:
            raise InvalidArgument(f"invalid JSON: {error}") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidArgument("invalid JSON: an object is expected")
        return value


class Response:
    """An answer in one piece."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self, body: bytes = b"", *, status: int = 200, content_type: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = headers or {}


class Stream:
    """An answer that comes in pieces; its headers go out at once."""

    __slots__ = ("chunks", "content_type", "headers", "status")

    def __init__(
        self,
        chunks: Iterator[bytes],
        *,
        content_type: str = JSON,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.chunks = chunks
        self.headers = headers or {}
        self.content_type = content_type
        self.status = status


class Hijack:
    """The connection itself: `serve` has it, in a thread, after the headers; with what the client sent already."""

    __slots__ = ("content_type", "serve")

    def __init__(self, serve: Callable[[socket.socket, bytes], None], *, content_type: str) -> None:
        self.serve = serve
        self.content_type = content_type


def answer(value: Any, *, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json_dumps(value) + b"\n", status=status, content_type=JSON)


def empty(status: int = 204) -> Response:
    """An answer that says only that it is done."""
    return Response(status=status)


def refusal(message: str, status: int) -> Response:
    """An error as Docker's API tells it."""
    return answer({"message": message}, status=status)


def error_status(error: PyctrError) -> int:
    """The status code of an error (moby errdefs/http_helpers.go)."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, (Conflict, StateError)):
        return 409
    if isinstance(error, (InvalidArgument, CommandNotFound, CommandNotExecutable)):
        return 400
    return 500
