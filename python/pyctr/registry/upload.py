"""Pushing: blobs that are missing, in one piece or in chunks that a broken connection does not lose, then the manifest."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from pyctr.errors import RegistryError
from pyctr.registry.transport import ATTEMPTS, Refused, Unreachable, discard, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3.response import BaseHTTPResponse

    from pyctr.registry.client import Repository
    from pyctr.registry.hosts import Endpoint

    Progress = Callable[[int], None]

#: Up to this a blob goes in one request.
MONOLITHIC_BYTES = 4 << 20
#: A chunk is what a broken connection costs at most.
CHUNK_BYTES = 64 << 20


class Section(io.RawIOBase):
    """Part of a file as a request's body; tells how far it got."""

    def __init__(self, path: str, start: int, length: int, progress: Progress) -> None:
        super().__init__()
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = start
        self._end = start + length
        self._progress = progress

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; none at the section's end."""
        left = self._end - self._position
        data = os.pread(self._fd, left if size is None or size < 0 else min(size, left), self._position)
        self._position += len(data)
        self._progress(self._position)
        return data

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            os.close(self._fd)
        super().close()


class Uploader:
    """Writes to one repository, to its one endpoint (mirrors are never written to)."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.registry = repository.registry
        self.endpoint: Endpoint = self.registry.endpoints()[-1]

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of the same registry; False if it will not, and nothing is begun."""
        scopes = (*self.repository.writing, f"repository:{source}:pull")
        try:
            location = self._begin({"mount": digest, "from": source}, scopes)
        except Refused:
            return False  # we may not read the other repository, or it is none
        if location is None:
            return True
        self._cancel(location)
        return False

    def _begin(self, query: dict[str, str], scopes: tuple[str, ...]) -> str | None:
        """Begin an upload; its location, or None if the blob is there already."""
        url = f"{self.endpoint.url}{self.repository.base}/blobs/uploads/"
        if query:
            url += "?" + urlencode(query)
        response = self._send("POST", url, scopes=scopes, body=b"", headers={"Content-Length": "0"}, expect=(201, 202))
        return None if response.status == 201 else self._location(url, response)

    def _cancel(self, location: str) -> None:
        try:
            self._send("DELETE", location, expect=(200, 202, 204, 404, 405))
        except RegistryError:
            return  # the registry forgets it by itself

    def upload(self, path: str, digest: str, size: int, progress: Progress) -> None:
        """Send a blob's file. Raises RegistryError if the registry will not have it or stores another digest."""
        location = self._begin({}, self.repository.writing)
        if location is None:
            return
        if size > MONOLITHIC_BYTES:
            location = self._send_chunks(location, path, size, progress)
            start = size
        else:
            start = 0
        separator = "&" if urlsplit(location).query else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - start)}
        self._send(
            "PUT", f"{location}{separator}{urlencode({'digest': digest})}", headers=headers,
            body=lambda: Section(path, start, size - start, progress), expect=(201, 204),
        )  # fmt: skip

    def _send_chunks(self, location: str, path: str, size: int, progress: Progress) -> str:
        """Send a file by PATCH; after a broken connection on from where the registry says it is. The last location."""
        offset, failures = 0, 0
        while offset < size:
            length = min(CHUNK_BYTES, size - offset)
            start = offset
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(length),
                "Content-Range": f"{offset}-{offset + length - 1}",
            }
            try:
                response = self._send(
                    "PATCH", location, headers=headers, expect=(202, 204), attempts=1,
                    body=lambda start=start, length=length: Section(path, start, length, progress),
                )  # fmt: skip
            except (Unreachable, Refused) as error:
                failures += 1
                # 416: what it has is not what we think (distribution-spec, "Pushing a blob in chunks").
                broken = isinstance(error, Unreachable) or error.status in (408, 416, 429, 500, 502, 503, 504)
                if failures >= ATTEMPTS or not broken:
                    raise
                self.registry.transport.pause(failures)
                location, offset = self._ask_offset(location, error)
                continue
            failures = 0
            offset += length
            location = self._location(location, response)
        return location

    def _ask_offset(self, location: str, cause: RegistryError) -> tuple[str, int]:
        try:
            response = self._send("GET", location, expect=(204, 200, 202))
        except Refused:
            raise cause from None
        last = (response.headers.get("Range") or "").removeprefix("bytes=").partition("-")[2]
        # ``0-0`` is how registries say both nothing and one byte: nothing is the safe reading, a chunk is sent again.
        offset = int(last) + 1 if last.isascii() and last.isdigit() and last != "0" else 0
        return self._location(location, response), offset

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> str:
        """Store a manifest under a tag or digest; its digest. Raises RegistryError if the registry has another."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        url = f"{self.endpoint.url}{self.repository.base}/manifests/{reference}"
        response = self._send("PUT", url, headers={"Content-Type": media_type}, body=data, expect=(201, 202))
        stored = response.headers.get("Docker-Content-Digest") or digest
        if stored != digest:
            raise RegistryError(f"push manifest {reference}: the registry stored another digest")
        return digest

    def _location(self, url: str, response: BaseHTTPResponse) -> str:
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"{url.partition('?')[0]}: the registry names no place for the upload")
        target = urljoin(url, location)
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RegistryError(f"{url.partition('?')[0]}: the registry names no place for the upload")
        # Behind a TLS proxy registries often say http for themselves: our own scheme then.
        home = urlsplit(self.endpoint.url)
        if parts.netloc == home.netloc and parts.scheme != home.scheme:
            target = parts._replace(scheme=home.scheme).geturl()
        elif parts.scheme == "http" and home.scheme == "https":
            raise RegistryError(f"{url.partition('?')[0]}: sent from https to http")
        return target

    def _send(
        self,
        method: str,
        url: str,
        *,
        expect: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: object = None,
        scopes: tuple[str, ...] | None = None,
        attempts: int = ATTEMPTS,
    ) -> BaseHTTPResponse:
        response = self.registry.send(
            self.endpoint, method, url, scopes or self.repository.writing, headers=headers,
            body=body,  # type: ignore[arg-type]
            attempts=attempts,
        )  # fmt: skip
        if response.status not in expect:
            error = refusal(method, url, response)
            if error.status in (401, 403):
                error = Refused(
                    "denied: requested access to the resource is denied" if not error.code else error.reason,
                    status=error.status, code=error.code, reason=error.reason,
                )  # fmt: skip
            raise error
        discard(response)
        return response
