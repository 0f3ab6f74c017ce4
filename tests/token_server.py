"""A token server (distribution's token specification) for a real docker-registry: RS256, signed by openssl; nothing else in it."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = "test registry"
ISSUER = "test issuer"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer:
    """Whom it knows (user → password), the identity tokens it gave (token → user), and what it was asked."""

    def __init__(self, directory: Path, openssl: str) -> None:
        self.openssl = openssl
        self.key, self.certificate = directory / "token-key.pem", directory / "token.pem"
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-batch", "-subj", "/CN=tokens", "-days", "2",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        lines = self.certificate.read_text().splitlines()
        self.header = _encoded(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}).encode())
        self.users: dict[str, str] = {}
        self.identities: dict[str, str] = {}
        #: Whether a login is given an identity token.
        self.gives_identities = True
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.realm = ""

    @property
    def registry_options(self) -> str:
        """The part of docker-registry's configuration that sends clients here."""
        place = f"realm: '{self.realm}', service: '{SERVICE}', issuer: '{ISSUER}', rootcertbundle: {self.certificate}"
        return f"auth:\n  token: {{{place}}}\n"

    def token(self, user: str, scopes: list[str]) -> str:
        """A token for all that is asked for."""
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": user, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now,
            "jti": secrets.token_hex(8), "access": access,
        }  # fmt: skip
        body = f"{self.header}.{_encoded(json.dumps(claims).encode())}"
        signed = subprocess.run(
            [self.openssl, "dgst", "-sha256", "-sign", self.key], input=body.encode(), check=True, capture_output=True
        )
        return f"{body}.{_encoded(signed.stdout)}"

    @contextlib.contextmanager
    def serving(self) -> Iterator[TokenServer]:
        """At a port of loopback."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"tokens": self}))
        self.realm = f"http://127.0.0.1:{server.server_address[1]}/token"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    tokens: TokenServer

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        """A token for a user and a password, or for nobody."""
        query = parse_qs(urlsplit(self.path).query)
        self.tokens.requests.append(("GET", self.path, {key: values[0] for key, values in query.items()}))
        sent = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(sent or "Og==").decode().partition(":")
        if self.tokens.users.get(user) != password:
            self.reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]})
            return
        answer = {"token": self.tokens.token(user, query.get("scope", [])), "expires_in": 300}
        if self.tokens.gives_identities and query.get("offline_token") == ["true"]:
            answer["refresh_token"] = self.new_identity(user)
        self.reply(200, answer)

    def do_POST(self) -> None:
        """A token for an identity token."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {key: values[0] for key, values in parse_qs(body).items()}
        self.tokens.requests.append(("POST", self.path, form))
        user = self.tokens.identities.get(form.get("refresh_token", ""))
        if form.get("grant_type") != "refresh_token" or user is None:
            self.reply(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unknown token"}]})
            return
        scopes = form.get("scope", "").split()
        self.reply(200, {"access_token": self.tokens.token(user, scopes), "expires_in": 300})

    def new_identity(self, user: str) -> str:
        token = secrets.token_hex(8)
        self.tokens.identities[token] = user
        return token

    def reply(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
