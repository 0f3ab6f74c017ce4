"""A registry and its repositories (OCI distribution-spec 1.1): manifests, blobs, tags; `upload` writes."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from pyctr.errors import CorruptData, NotFound, RegistryError
from pyctr.image.manifest import DOCKER_INDEX, DOCKER_MANIFEST, MANIFEST_MAX_BYTES, OCI_INDEX, OCI_MANIFEST, clean
from pyctr.image.reference import is_digest, is_tag
from pyctr.registry.auth import Authorizer
from pyctr.registry.credentials import ClientConfig
from pyctr.registry.hosts import plan_endpoints
from pyctr.registry.transport import ATTEMPTS, Refused, Unreachable, discard, read_bounded, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3.response import BaseHTTPResponse

    from pyctr.image.manifest import Descriptor
    from pyctr.registry.auth import Scopes
    from pyctr.registry.credentials import Credentials
    from pyctr.registry.hosts import Endpoint
    from pyctr.registry.transport import Body, Transport

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
ACCEPTED = (OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_REDIRECTS_MAX = 10
_TAGS_MAX_BYTES = 16 << 20
_PAGES_MAX = 1000
_MIRROR_ATTEMPTS = 2


class Answer:
    """A manifest as it came: its very bytes, what they are, and their digest."""

    __slots__ = ("data", "digest", "media_type")

    def __init__(self, data: bytes, media_type: str, digest: str) -> None:
        self.data = data
        self.media_type = media_type
        self.digest = digest


class Registry:
    """One registry by its domain; what it takes to talk to it is found out at the first request."""

    def __init__(
        self,
        domain: str,
        transport: Transport,
        *,
        pull: bool = True,
        login: bool = False,
        find: Callable[[], Credentials | None] | None = None,
    ) -> None:
        self.domain = domain
        self.transport = transport
        self.pull = pull
        self.auth = Authorizer(transport, find or (lambda: ClientConfig().find(domain)), login=login)
        self._lock = threading.Lock()
        self._endpoints: list[Endpoint] | None = None

    def endpoints(self) -> list[Endpoint]:
        """The hosts that answer, best first: of an insecure one only the scheme it speaks."""
        with self._lock:
            if self._endpoints is None:
                planned = plan_endpoints(self.domain, self.transport.settings, pull=self.pull)
                self._endpoints = self._probe(planned) if any(item.scheme == "http" for item in planned) else planned
            return self._endpoints

    def _probe(self, planned: list[Endpoint]) -> list[Endpoint]:
        """TLS or not: who is insecure is asked before anything that matters is sent."""
        spoken = [item for item in planned if item.mirror]
        for endpoint in planned:
            if endpoint.mirror:
                continue
            if endpoint.scheme == "https" and endpoint.insecure:
                try:
                    headers: dict[str, str] = {}
                    discard(self.transport.send("GET", endpoint.url + "/v2/", headers, insecure=True, attempts=1))
                except Unreachable:
                    continue
                return [*spoken, endpoint]
            spoken.append(endpoint)
        return spoken

    def repository(self, path: str) -> Repository:
        """One repository of this registry."""
        return Repository(self, path)

    def ping(self) -> None:
        """Ask whether there is a registry that knows us. Raises RegistryError."""
        discard(self.call("GET", "/v2/", (), expect=(200,)))

    def call(
        self,
        method: str,
        path: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        expect: tuple[int, ...] = (200,),
    ) -> BaseHTTPResponse:
        """A request to the first endpoint that can answer it. Raises Refused, Unreachable; a mirror's error is skipped."""
        endpoints = self.endpoints()
        for endpoint in endpoints:
            last = endpoint is endpoints[-1]
            try:
                response = self.send(
                    endpoint, method, endpoint.url + path, scopes, headers=headers, body=body,
                    attempts=ATTEMPTS if last else _MIRROR_ATTEMPTS,
                )  # fmt: skip
            except RegistryError:
                if last:
                    raise
                continue
            if response.status in expect:
                return response
            if last:
                raise refusal(method, endpoint.url + path, response)
            discard(response)
        raise RegistryError(f"{self.domain}: no endpoint")

    def send(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        attempts: int = ATTEMPTS,
    ) -> BaseHTTPResponse:
        """A request with whatever authentication is asked for, through redirects."""

        def follow(authorization: str | None) -> BaseHTTPResponse:
            return self._follow(
                endpoint, method, url, authorization, headers=headers or {}, body=body, attempts=attempts
            )

        authorization = self.auth.header(endpoint, scopes)
        response = follow(authorization)
        for _ in range(2):  # the token we have may have expired: then one more
            if response.status != 401:
                return response
            challenge = ", ".join(response.headers.getlist("WWW-Authenticate"))
            if not challenge:
                return response
            discard(response)
            answer = self.auth.answer(endpoint, challenge, scopes, authorization)
            if answer == authorization:
                reason = "unauthorized: authentication required"
                raise Refused(
                    reason, status=401, code="UNAUTHORIZED", reason=reason, hint=f"pyctr login {endpoint.host}"
                )
            authorization = answer
            response = follow(authorization)
        return response

    def _follow(
        self,
        endpoint: Endpoint,
        method: str,
        url: str,
        authorization: str | None,
        *,
        headers: Mapping[str, str],
        body: Body,
        attempts: int,
    ) -> BaseHTTPResponse:
        """Go where redirects lead. Who we are is told to nobody but the host that asked."""
        home = (urlsplit(endpoint.url).scheme, urlsplit(endpoint.url).netloc)
        for _ in range(_REDIRECTS_MAX + 1):
            parts = urlsplit(url)
            sent = dict(headers)
            if authorization is not None and (parts.scheme, parts.netloc) == home:
                sent["Authorization"] = authorization
            response = self.transport.send(method, url, sent, body, insecure=endpoint.insecure, attempts=attempts)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            discard(response)
            if response.status == 303:
                method, body = "GET", None
            target = urljoin(url, location)
            self._check_target(endpoint, url, target)
            url = target
        raise RegistryError(
            f'{method.capitalize()} "{url.partition("?")[0]}": stopped after {_REDIRECTS_MAX} redirects'
        )

    @staticmethod
    def _check_target(endpoint: Endpoint, url: str, target: str) -> None:
        parts = urlsplit(target)
        place = url.partition("?")[0]
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise RegistryError(f"{place}: redirected to what is not a URL")
        if parts.scheme == "http" and url.startswith("https:") and not endpoint.insecure:
            raise RegistryError(f"{place}: redirected from https to http")


class Repository:
    """One repository: what can be read of it."""

    def __init__(self, registry: Registry, path: str) -> None:
        self.registry = registry
        self.path = path
        self.base = f"/v2/{path}"
        self.reading: Scopes = (f"repository:{path}:pull",)
        self.writing: Scopes = (f"repository:{path}:pull,push",)

    @property
    def scopes(self) -> Scopes:
        """What we may want to do here."""
        return self.reading if self.registry.pull else self.writing

    def manifest(self, reference: str, *, size: int | None = None) -> Answer:
        """The manifest or index of a tag or digest; its digest verified where one was asked for.

        Raises NotFound for an unknown one, CorruptData for a wrong one, RegistryError otherwise.
        """
        path = f"{self.base}/manifests/{quote(reference, safe=':')}"
        try:
            response = self.registry.call("GET", path, self.scopes, headers={"Accept": ", ".join(ACCEPTED)})
        except Refused as error:
            raise self.explain(error, reference) from None
        data = read_bounded(response, MANIFEST_MAX_BYTES if size is None else size, f"manifest {reference}")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if size is not None and len(data) != size:
            raise CorruptData(f"verify manifest {reference}: size is {len(data)}, expected {size}")
        expected = reference if is_digest(reference) else response.headers.get("Docker-Content-Digest") or ""
        if expected.startswith("sha256:") and expected != digest:
            raise CorruptData(f"verify manifest {reference}: digest is {digest}, expected {clean(expected)}")
        media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        return Answer(data, media_type, digest)

    def explain(self, error: Refused, reference: str = "") -> RegistryError | NotFound:
        """A refusal in Docker's words."""
        name = self.path if self.registry.domain == "docker.io" else f"{self.registry.domain}/{self.path}"
        name = name.removeprefix("library/")
        if error.status == 404 and reference and error.code != "NAME_UNKNOWN":
            separator = "@" if is_digest(reference) else ":"
            return NotFound(
                f"manifest for {name}{separator}{reference} not found: {error.reason or 'manifest unknown'}"
            )
        if error.status == 404 and reference:
            return NotFound(f"repository {name} not found: {error.reason}")
        if error.status in (401, 403):
            return Refused(
                f"pull access denied for {name}, repository does not exist or may require 'pyctr login': {error.reason}",
                status=error.status, code=error.code, reason=error.reason,
            )  # fmt: skip
        return error

    def open_blob(self, digest: str, *, offset: int = 0) -> tuple[BaseHTTPResponse, int]:
        """A blob's bytes from `offset` on, and where they really begin: 0 if the server gives no parts."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        path = f"{self.base}/blobs/{digest}"
        try:
            response = self.registry.call("GET", path, self.scopes, headers=headers, expect=(200, 206))
        except Refused as error:
            if error.status == 404:
                raise NotFound(f"blob {digest} not found: {error.reason}") from None
            raise self.explain(error) from None
        if response.status == 200:
            return response, 0
        start = _range_start(response.headers.get("Content-Range") or "")
        if start != offset:
            response.close()
            raise RegistryError(f"blob {digest}: asked for bytes from {offset}, got others")
        return response, offset

    def small_blob(self, descriptor: Descriptor, what: str) -> bytes:
        """A blob that is read whole, an image's config say, of the size of a manifest at most. Raises CorruptData naming `what`."""
        if descriptor.size > MANIFEST_MAX_BYTES:
            raise CorruptData(f"read {what}: larger than {MANIFEST_MAX_BYTES} bytes")
        response, _ = self.open_blob(descriptor.digest)
        data = read_bounded(response, descriptor.size, f"{what} {descriptor.digest}")
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if (digest, len(data)) != (descriptor.digest, descriptor.size):
            raise CorruptData(
                f"verify {what}: digest is {digest}, size {len(data)}; expected {descriptor.digest}, {descriptor.size}"
            )
        return data

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        response = self.registry.call("HEAD", f"{self.base}/blobs/{digest}", self.scopes, expect=(200, 404))
        discard(response)
        return response.status == 200

    def has_manifest(self, reference: str) -> str | None:
        """The digest a tag leads to, as the registry says it; None if there is no such tag."""
        path = f"{self.base}/manifests/{quote(reference, safe=':')}"
        headers = {"Accept": ", ".join(ACCEPTED)}
        response = self.registry.call("HEAD", path, self.scopes, headers=headers, expect=(200, 404))
        discard(response)
        return response.headers.get("Docker-Content-Digest") if response.status == 200 else None

    def tags(self) -> list[str]:
        """Every tag, through all pages."""
        try:
            found = list(pages(self.registry, f"{self.base}/tags/list?n=1000", self.scopes, "tags"))
        except Refused as error:
            raise self.explain(error, "tags") from None
        for tag in found:
            if not is_tag(tag):  # it would become a name here
                raise RegistryError(f"list tags: {clean(tag)!r} is no tag")
        return found


def pages(registry: Registry, path: str, scopes: Scopes, field: str) -> Iterator[str]:
    """Entries of a list that comes in pages (distribution-spec, "Listing Tags"): RFC 5988 links, to the same host only."""
    import json

    seen = set()
    for _ in range(_PAGES_MAX):
        if path in seen:
            raise RegistryError(f"list {field}: pages lead in a circle")
        seen.add(path)
        response = registry.call("GET", path, scopes)
        try:
            values = json.loads(read_bounded(response, _TAGS_MAX_BYTES, field)).get(field) or []
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(f"list {field}: malformed answer") from None
        yield from (value for value in values if isinstance(value, str))
        link = response.headers.get("Link") or ""
        if 'rel="next"' not in link or "<" not in link:
            return
        target = urlsplit(urljoin("http://x" + path, link.partition("<")[2].partition(">")[0]))
        path = target.path + (f"?{target.query}" if target.query else "")


def _range_start(text: str) -> int | None:
    """The first byte of ``bytes 100-199/200``."""
    unit, _, rest = text.strip().partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isascii() and first.isdigit() else None
