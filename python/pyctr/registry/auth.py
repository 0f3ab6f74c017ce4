"""Who we are to a registry: Basic, or Bearer tokens from the place it names (distribution's token specification).

A login asks the place for an identity token too: it is kept in the password's stead, and traded for Bearer tokens (OAuth 2's
refresh_token grant).
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from pyctr.errors import RegistryError
from pyctr.image.manifest import clean
from pyctr.registry.challenge import parse_challenges
from pyctr.registry.transport import Refused, read_bounded, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.registry.challenge import Challenge
    from pyctr.registry.credentials import Credentials
    from pyctr.registry.hosts import Endpoint
    from pyctr.registry.transport import Transport

    Scopes = tuple[str, ...]

_TOKEN_MAX_BYTES = 1 << 20
#: What a token is worth if its server does not say (token specification, "expires_in").
_DEFAULT_LIFE_S = 60
_CLIENT_ID = "pyctr"


class Token:
    """A Bearer token, how long it lasts, and an identity token if one came with it."""

    __slots__ = ("identity", "life_s", "value")

    def __init__(self, value: str, life_s: float = _DEFAULT_LIFE_S, identity: str = "") -> None:
        self.value = value
        self.life_s = life_s
        self.identity = identity


class Authorizer:
    """Authorization headers for one registry; tokens are kept until they expire. A `login` wants an identity token."""

    def __init__(
        self,
        transport: Transport,
        find: Callable[[], Credentials | None],
        *,
        login: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self.login = login
        self.clock = clock
        #: The newest that came.
        self.identity_token = ""
        self._find = find
        self._credentials: list[Credentials | None] = []
        self._basic: set[str] = set()
        self._tokens: dict[tuple[str, Scopes], tuple[str, float]] = {}
        self._lock = threading.RLock()

    @property
    def credentials(self) -> Credentials | None:
        """The user's; looked for when a registry asks, not before."""
        with self._lock:
            if not self._credentials:
                self._credentials.append(self._find())
            return self._credentials[0]

    def header(self, endpoint: Endpoint, scopes: Scopes) -> str | None:
        """What to send without being asked."""
        with self._lock:
            if endpoint.url in self._basic and self.credentials is not None:
                return self.credentials.basic
            token, expires = self._tokens.get((endpoint.url, scopes), ("", 0.0))
            return f"Bearer {token}" if token and self.clock() < expires else None

    def answer(self, endpoint: Endpoint, challenge: str, scopes: Scopes, sent: str | None) -> str:
        """What to send when asked; `sent` is what was refused. Raises RegistryError if there is nothing better."""
        offered = {item.scheme: item for item in reversed(parse_challenges(challenge))}
        with self._lock:
            current = self.header(endpoint, scopes)
            if current is not None and current != sent:
                return current  # another thread was asked the same
            bearer = offered.get("bearer")
            if bearer is not None:
                token = self._fetch_token(endpoint, bearer, scopes)
                self._tokens[endpoint.url, scopes] = (token.value, self.clock() + token.life_s * 0.9)
                self.identity_token = token.identity or self.identity_token
                return f"Bearer {token.value}"
            if "basic" in offered:
                # A mirror is somebody else: it gets no password of the registry it stands for.
                if self.credentials is None or not self.credentials.user or endpoint.mirror:
                    raise RegistryError("no basic auth credentials", hint=f"pyctr login {endpoint.host}")
                if self.credentials.basic == sent:
                    raise RegistryError("unauthorized: authentication required", hint=f"pyctr login {endpoint.host}")
                self._basic.add(endpoint.url)
                return self.credentials.basic
        schemes = clean(", ".join(sorted(offered))) or "nothing that can be read"
        raise RegistryError(
            f"{endpoint.host} asks for authentication by {schemes}: only basic and bearer are supported"
        )

    def _fetch_token(self, endpoint: Endpoint, challenge: Challenge, scopes: Scopes) -> Token:
        realm = challenge.parameters.get("realm", "")
        host = _check_realm(endpoint, realm)
        service = challenge.parameters.get("service", "")
        wanted = scopes or tuple(filter(None, challenge.parameters.get("scope", "").split(" ")))
        credentials = None if endpoint.mirror else self.credentials
        if credentials is not None and credentials.registry_token:
            return Token(credentials.registry_token)
        # The place may have parameters of its own.
        url = realm.partition("#")[0]
        if credentials is not None and credentials.identity_token:
            form = {
                "grant_type": "refresh_token", "service": service, "client_id": _CLIENT_ID, "scope": " ".join(wanted),
                # A server may give a new one for each that it takes.
                "refresh_token": self.identity_token or credentials.identity_token,
            }  # fmt: skip
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            method, body = "POST", urlencode(form).encode()
        else:
            fields = [("service", service), *(("scope", scope) for scope in wanted)]
            headers = {}
            if credentials is not None and credentials.user:
                fields.append(("account", credentials.user))
                headers["Authorization"] = credentials.basic
            if self.login:
                fields += [("offline_token", "true"), ("client_id", _CLIENT_ID)]
            url += ("&" if urlsplit(url).query else "?") + urlencode([field for field in fields if field[1]])
            method, body = "GET", None
        response = self.transport.send(method, url, headers, body, insecure=endpoint.insecure)
        if response.status != 200:
            raise self._token_refused(method, url, response)
        return _read_token(read_bounded(response, _TOKEN_MAX_BYTES, "token"), host)

    def _token_refused(self, method: str, url: str, response: object) -> RegistryError:
        error: Refused = refusal(method, url, response)  # type: ignore[arg-type]
        if error.status in (401, 403) and not error.code:
            return Refused("unauthorized: incorrect username or password", status=error.status, code="UNAUTHORIZED",
                           reason="unauthorized: incorrect username or password")  # fmt: skip
        return error


def _check_realm(endpoint: Endpoint, realm: str) -> str:
    """The host of the place where tokens are; a registry may send us anywhere, but not our password through the open."""
    parts = urlsplit(realm)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise RegistryError(f"{endpoint.host} asks for a token of {clean(realm) or 'nowhere'}: not a URL")
    if parts.scheme == "http" and not endpoint.insecure:
        raise RegistryError(f"{endpoint.host} asks for a token of {clean(realm)}: not a secure place")
    return parts.hostname


def _read_token(data: bytes, host: str) -> Token:
    try:
        value = json.loads(data)
        token = value.get("token") or value.get("access_token")
        identity = value.get("refresh_token") or ""
        life_s = float(value.get("expires_in") or _DEFAULT_LIFE_S)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise RegistryError(f"{host} gave a malformed token") from None
    # It becomes a header: nothing that ends a line.
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise RegistryError(f"{host} gave a malformed token")
    if not isinstance(identity, str):
        raise RegistryError(f"{host} gave a malformed token")
    return Token(token, max(life_s, _DEFAULT_LIFE_S), identity)
