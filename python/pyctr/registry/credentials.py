"""Docker's client configuration: who logs in where (``~/.docker/config.json`` or ``$DOCKER_CONFIG``), credential helpers.

Secrets are never in argv, logs or errors; the file is 0600.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from typing import TYPE_CHECKING

from pyctr._core import write_atomic
from pyctr.errors import InvalidArgument, PyctrError

if TYPE_CHECKING:
    from typing import Any

#: Docker Hub's key in config.json, a leftover of the first protocol.
HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1"))
_TOKEN_USER = "<token>"  # noqa: S105 - the word helpers say instead of a user name
_HELPER_TIMEOUT_S = 60
_NOT_FOUND = "credentials not found in native keychain"
_HELPER_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Credentials:
    """A user and a password, or a token that stands for both (`identity_token`) or for a session (`registry_token`)."""

    __slots__ = ("identity_token", "password", "registry_token", "user")

    def __init__(self, user: str = "", password: str = "", identity_token: str = "", registry_token: str = "") -> None:
        self.user = user
        self.password = password
        self.identity_token = identity_token
        self.registry_token = registry_token

    def __repr__(self) -> str:
        return f"Credentials({self.user!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and all(getattr(self, n) == getattr(other, n) for n in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def server_key(server: str) -> str:
    """How config.json names a registry: its host and port; Docker Hub by its old URL."""
    text = server.strip().rstrip("/")
    if not text or text in _HUB_NAMES:
        return HUB_KEY
    host = text.partition("://")[2] or text
    host = host.partition("/")[0]
    return HUB_KEY if host in _HUB_NAMES else host


def config_path() -> str:
    """Docker's client configuration."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker")
    return os.path.join(directory, "config.json")


class ClientConfig:
    """config.json; what is not ours in it stays as it is."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path or config_path()
        self._value: dict[str, Any] | None = None

    @property
    def value(self) -> dict[str, Any]:
        """The whole file; empty if there is none. Raises InvalidArgument for what is no JSON object."""
        if self._value is None:
            self._value = self._read()
        return self._value

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                value = json.loads(file.read() or b"{}")
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError as error:
            raise PyctrError(f"read {self.path}: {(error.strerror or '').lower()}") from None
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(f"read {self.path}: {error}") from None
        if not isinstance(value, dict):
            raise InvalidArgument(f"read {self.path}: not a JSON object")
        return value

    def _table(self, name: str) -> dict[str, Any]:
        table = self.value.get(name)
        return table if isinstance(table, dict) else {}

    def helper(self, key: str) -> str:
        """The credential helper of a registry: its own, else the one for all; empty if the file itself keeps them."""
        return str(self._table("credHelpers").get(key) or self.value.get("credsStore") or "")

    def find(self, server: str) -> Credentials | None:
        """The credentials for a registry, None if there are none. Raises PyctrError if a helper fails."""
        key = server_key(server)
        helper = self.helper(key)
        if helper:
            found = _ask_helper(helper, key)
            if found is not None:
                return found
        for name, entry in self._table("auths").items():
            if isinstance(entry, dict) and server_key(name) == key:
                found = _read_entry(entry, self.path, name)
                if found is not None:
                    return found
        return None

    def store(self, server: str, credentials: Credentials) -> str:
        """Keep credentials; the helper that has them, or an empty text if the file does."""
        key = server_key(server)
        helper = self.helper(key)
        entry: dict[str, str] = {}
        if helper:
            token = credentials.identity_token
            request = {"ServerURL": key, "Username": _TOKEN_USER if token else credentials.user}
            _run_helper(helper, "store", json.dumps({**request, "Secret": token or credentials.password}))
        else:
            entry["auth"] = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
            if credentials.identity_token:
                entry = {"auth": base64.b64encode(f"{credentials.user}:".encode()).decode()}
                entry["identitytoken"] = credentials.identity_token
        self.value.setdefault("auths", {})[key] = entry
        self._write()
        return helper

    def erase(self, server: str) -> bool:
        """Forget credentials; whether there were any."""
        key = server_key(server)
        helper = self.helper(key)
        known = [name for name in self._table("auths") if server_key(name) == key]
        erased = bool(known)
        if helper and _ask_helper(helper, key) is not None:
            _run_helper(helper, "erase", key)
            erased = True
        for name in known:
            del self.value["auths"][name]
        if known:
            self._write()
        return erased

    def _write(self) -> None:
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        # A link (dotfiles kept elsewhere) stays one.
        write_atomic(os.path.realpath(self.path), json.dumps(self.value, indent="\t").encode(), mode=0o600)


def _read_entry(entry: dict[str, Any], path: str, name: str) -> Credentials | None:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    text = entry.get("auth")
    if text:
        try:
            decoded = base64.b64decode(str(text), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidArgument(f"read {path}: the auth of {name} is not valid base64") from None
        user, colon, password = decoded.partition(":")
        if not colon:
            raise InvalidArgument(f"read {path}: the auth of {name} has no colon")
        password = password.strip("\0")
    found = Credentials(user, password, str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or ""))
    return found if user or found.identity_token or found.registry_token else None


def _ask_helper(helper: str, key: str) -> Credentials | None:
    output = _run_helper(helper, "get", key)
    if output is None:
        return None
    try:
        value = json.loads(output)
        user, secret = str(value["Username"]), str(value["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PyctrError(f"docker-credential-{helper} get: malformed answer") from None
    return Credentials(identity_token=secret) if user == _TOKEN_USER else Credentials(user, secret)


def _run_helper(helper: str, verb: str, text: str) -> str | None:
    """A helper's answer (docker-credential-helpers' protocol); None if it has none."""
    if not _HELPER_LETTERS.issuperset(helper):
        raise InvalidArgument(f"credential helper {helper!r}: invalid name")
    name = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [name, verb], input=text, capture_output=True, text=True, timeout=_HELPER_TIMEOUT_S, check=False
        )
    except FileNotFoundError:
        raise PyctrError(f"error getting credentials: {name}: executable file not found in $PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PyctrError(f"{name} {verb}: {type(error).__name__}") from None
    if done.returncode == 0:
        return done.stdout
    # Helpers say what is wrong on stdout; an answer of theirs could hold a secret, so only a known word is looked for.
    if _NOT_FOUND in done.stdout:
        return None
    raise PyctrError(f"{name} {verb}: exit status {done.returncode}")
