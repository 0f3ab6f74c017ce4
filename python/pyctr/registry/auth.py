"""Who we are to a registry: Basic, or Bearer tokens from the place it names (distribution's token specification)."""

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


class Authorizer:
    """Authorization headers for one registry; tokens are kept until they expire."""

    def __init__(
        self,
        transport: Transport,
        find: Callable[[], Credentials | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self.clock = clock
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
                token, life_s = self._fetch_token(endpoint, bearer, scopes)
                self._tokens[endpoint.url, scopes] = (token, self.clock() + life_s * 0.9)
                return f"Bearer {token}"
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

    def _fetch_token(self, endpoint: Endpoint, challenge: Challenge, scopes: Scopes) -> tuple[str, float]:
        realm = challenge.parameters.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise RegistryError(f"{endpoint.host} asks for a token of {clean(realm) or 'nowhere'}: not a URL")
        if parts.scheme == "http" and not endpoint.insecure:
            raise RegistryError(f"{endpoint.host} asks for a token of {clean(realm)}: not a secure place")
        wanted = scopes or tuple(filter(None, challenge.parameters.get("scope", "").split(" ")))
        credentials = None if endpoint.mirror else self.credentials
        if credentials is not None and credentials.registry_token:
            return credentials.registry_token, _DEFAULT_LIFE_S
        fields = [("service", challenge.parameters.get("service", "")), *(("scope", scope) for scope in wanted)]
        # The place may have parameters of its own.
        url = realm.partition("#")[0]
        if credentials is not None and credentials.identity_token:
            form = [
                ("grant_type", "refresh_token"), ("service", challenge.parameters.get("service", "")),
                ("client_id", _CLIENT_ID), ("scope", " ".join(wanted)), ("refresh_token", credentials.identity_token),
            ]  # fmt: skip
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            method, body = "POST", urlencode(form).encode()
        else:
            headers = {}
            if credentials is not None and credentials.user:
                fields.append(("account", credentials.user))
                headers["Authorization"] = credentials.basic
            url += ("&" if parts.query else "?") + urlencode([field for field in fields if field[1]])
            method, body = "GET", None
        response = self.transport.send(method, url, headers, body, insecure=endpoint.insecure)
        if response.status != 200:
            raise self._token_refused(method, url, response)
        return _read_token(read_bounded(response, _TOKEN_MAX_BYTES, "token"), parts.hostname)

    def _token_refused(self, method: str, url: str, response: object) -> RegistryError:
        error: Refused = refusal(method, url, response)  # type: ignore[arg-type]
        if error.status in (401, 403) and not error.code:
            return Refused("unauthorized: incorrect username or password", status=error.status, code="UNAUTHORIZED",
                           reason="unauthorized: incorrect username or password")  # fmt: skip
        return error


def _read_token(data: bytes, host: str) -> tuple[str, float]:
    try:
        value = json.loads(data)
        token = value.get("token") or value.get("access_token")
        life_s = float(value.get("expires_in") or _DEFAULT_LIFE_S)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise RegistryError(f"{host} gave a malformed token") from None
    # It becomes a header: nothing that ends a line.
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise RegistryError(f"{host} gave a malformed token")
    return token, max(life_s, _DEFAULT_LIFE_S)
