"""HTTP: one request, repeated while that may help. No redirects, no authentication; nothing secret in an error.

What is repeated: 429, 500, 502, 503, 504 and connections that fail or end early, with back-off and full jitter;
``Retry-After`` is honoured while it is a wait one can ask of a user.
"""

from __future__ import annotations

import email.utils
import os
import random
import ssl
import threading
import time
from typing import TYPE_CHECKING

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from pyctr import __version__
from pyctr.errors import RegistryError
from pyctr.image.manifest import clean
from pyctr.registry.hosts import Settings, tls_context
from pyctr.registry.proxy import find_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import IO

    from urllib3.response import BaseHTTPResponse

    #: A body is made anew for every attempt.
    Body = bytes | Callable[[], IO[bytes]] | None

ATTEMPTS = 5
_CONNECT_TIMEOUT_S = 15
_READ_TIMEOUT_S = 60
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_BLOCK_BYTES = 256 << 10
_RETRIED = frozenset((429, 500, 502, 503, 504))
_ERROR_MAX_BYTES = 64 << 10
#: What OpenSSL says when the other side does not speak TLS at all.
_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
)


# An insecure registry is the user's own decision, made by name in a file: not said again at every request.
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


class Unreachable(RegistryError):
    """No answer at all: another endpoint may have one."""


class Refused(RegistryError):
    """An answer that is an error; `status` is HTTP's, `code` the registry's own word (distribution-spec, "Error Codes")."""

    def __init__(self, message: str, *, status: int, code: str = "", reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.reason = reason


class Transport:
    """Connections to any number of hosts, shared by threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        environment: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.sleep = sleep
        self.jitter = jitter
        self._pools: dict[tuple[str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str, *, insecure: bool) -> urllib3.PoolManager:
        parts = urllib3.util.parse_url(url)
        host = parts.netloc or ""
        key = (f"{parts.scheme}://{host}", insecure)
        with self._lock:
            if key not in self._pools:
                context = tls_context(host, self.settings, insecure=insecure) if parts.scheme == "https" else None
                self._pools[key] = _make_pool(find_proxy(url, self.environment), context)
            return self._pools[key]

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body = None,
        *,
        insecure: bool = False,
        attempts: int = ATTEMPTS,
    ) -> BaseHTTPResponse:
        """The response, its body still to be read. Raises Unreachable."""
        pool = self._pool(url, insecure=insecure)
        sent = {"User-Agent": f"pyctr/{__version__}", "Accept-Encoding": "identity", **headers}
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                response = pool.request(
                    method, url, headers=sent, body=body() if callable(body) else body,
                    retries=False, redirect=False, preload_content=False, decode_content=False,
                    timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT_S, read=_READ_TIMEOUT_S),
                )  # fmt: skip
            except HTTPError as error:
                if last or not _may_pass(error):
                    raise explain(method, url, error) from None
                self._wait(attempt, None)
                continue
            if response.status not in _RETRIED or last:
                return response
            asked = retry_after(response.headers.get("Retry-After"), time.time())
            if asked is not None and asked > _LONGEST_WAIT_S:
                return response
            discard(response)
            self._wait(attempt, asked)
        raise AssertionError("unreachable")

    def _wait(self, attempt: int, asked_s: float | None) -> None:
        if asked_s is not None:
            # A little more than asked: not all who were told the same time come back at the same time.
            self.sleep(asked_s + self.jitter())
        else:
            self.sleep(min(_FIRST_WAIT_S * 2 ** (attempt - 1), _LONGEST_WAIT_S) * self.jitter())

    def pause(self, attempt: int) -> None:
        """The wait before a transfer is taken up again."""
        self._wait(attempt, None)


def _make_pool(proxy: str | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    kept = {"maxsize": 16, "blocksize": _BLOCK_BYTES}
    if proxy is None:
        return urllib3.PoolManager(ssl_context=context, **kept)  # type: ignore[arg-type]
    parts = urllib3.util.parse_url(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=parts.auth) if parts.auth else None
    bare = urllib3.util.Url(parts.scheme, None, parts.host, parts.port).url
    return urllib3.ProxyManager(bare, proxy_headers=headers, ssl_context=context, **kept)  # type: ignore[arg-type]


def _may_pass(error: HTTPError) -> bool:
    if isinstance(error, (NameResolutionError, SSLError, ProxyError)):
        return False
    return isinstance(error, (ProtocolError, ReadTimeoutError, ConnectTimeoutError, NewConnectionError))


def retry_after(value: str | None, now_s: float) -> float | None:
    """Seconds to wait (RFC 9110, section 10.2.3: seconds or a date); None if it says nothing."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, TypeError, OverflowError):
        return None


def discard(response: BaseHTTPResponse) -> None:
    """Give a response's connection back if little is left to read, else close it."""
    try:
        response.read(_ERROR_MAX_BYTES)
    except (HTTPError, OSError):
        response.close()
    else:
        response.release_conn() if response.closed else response.close()


def read_bounded(response: BaseHTTPResponse, limit: int, what: str) -> bytes:
    """A whole body of at most `limit` bytes. Raises RegistryError."""
    chunks: list[bytes] = []
    count = 0
    try:
        while count <= limit:
            chunk = response.read(min(limit + 1 - count, _BLOCK_BYTES))
            if not chunk:
                response.release_conn()
                return b"".join(chunks)
            chunks.append(chunk)
            count += len(chunk)
    except (HTTPError, OSError) as error:
        raise Unreachable(f"read {what}: {_reason(error)}") from None
    finally:
        response.close() if count > limit else None
    raise RegistryError(f"read {what}: larger than {limit} bytes")


def explain(method: str, url: str, error: BaseException) -> Unreachable:
    """A failed connection in Docker's words; without the query, where signatures are."""
    place = url.partition("?")[0]
    text = f'{method.capitalize()} "{place}": '
    inner: BaseException | None = error
    seen = []
    while inner is not None and inner not in seen:
        seen.append(inner)
        if isinstance(inner, ssl.SSLCertVerificationError):
            return Unreachable(f"{text}tls: failed to verify certificate: {inner.verify_message.lower().rstrip('.')}")
        if isinstance(inner, ssl.SSLError) and any(word in str(inner).upper() for word in _NOT_TLS):
            host = urllib3.util.parse_url(url).netloc
            return Unreachable(
                text + "http: server gave HTTP response to HTTPS client",
                hint=f'if that is what you want: "insecure-registries": ["{host}"] in daemon.json',
            )
        inner = inner.__cause__ or inner.__context__ or _argument(inner)
    return Unreachable(text + _reason(error))


def _argument(error: BaseException) -> BaseException | None:
    return next((item for item in error.args if isinstance(item, BaseException)), None)


def _reason(error: BaseException) -> str:
    """What went wrong, without addresses of objects or a class's name."""
    if isinstance(error, NameResolutionError):
        return "no such host"
    if isinstance(error, (ReadTimeoutError, ConnectTimeoutError)) and not isinstance(error, NewConnectionError):
        return "i/o timeout"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        inner = inner.__cause__ or inner.__context__ or _argument(inner)
    if isinstance(error, ProtocolError):
        return "connection closed before the end"
    return clean(str(error)) or type(error).__name__


def refusal(method: str, url: str, response: BaseHTTPResponse) -> Refused:
    """The error a response is: the registry's own words if it has some."""
    import json

    status = response.status
    try:
        data = read_bounded(response, _ERROR_MAX_BYTES, "error")
        errors = json.loads(data)["errors"]
        first = errors[0]
        code = clean(str(first.get("code") or ""))
        reason = f"{code.lower().replace('_', ' ')}: {clean(str(first.get('message') or ''))}".rstrip(": ")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, RegistryError):
        code, reason = "", f"received unexpected HTTP status: {status} {response.reason or ''}".rstrip()
    hint = None
    if status == 429:
        reason = reason if code else "toomanyrequests: too many requests"
        wait = response.headers.get("Retry-After")
        hint = f"the registry's rate limit is used up{f'; try again after {clean(wait)} s' if wait else ''}; `pyctr login` may raise it"
    place = url.partition("?")[0]
    return Refused(f'{method.capitalize()} "{place}": {reason}', status=status, code=code, reason=reason, hint=hint)
