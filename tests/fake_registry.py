"""A registry in this process: distribution-spec 1.1 as far as a client can tell, with every fault a test may want."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import socket
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pyctr.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    Fault = Callable[["Handler"], bool]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


class Layer:
    """A layer as it lies in a registry."""

    def __init__(self, tar: bytes, *, compress: bool = True) -> None:
        self.diff_id = digest_of(tar)
        self.data = gzip.compress(tar, 1, mtime=0) if compress else tar
        self.digest = digest_of(self.data)
        self.media_type = OCI_LAYER + ("+gzip" if compress else "")

    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


class FakeRegistry:
    """What is stored, what was asked, and what goes wrong. A fault is called with each request and may answer it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.faults: list[Fault] = []
        self.users: dict[str, str] = {}
        #: The challenge of a request without the right Authorization; with `users` Basic, with `tokens` Bearer.
        self.challenge = 'Basic realm="test"'
        self.tokens: set[str] = set()
        self.gives_ranges = True
        self.address = ""
        self.lock = threading.Lock()

    def put_blob(self, data: bytes) -> str:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def put_manifest(self, name: str, tag: str, value: Any, media_type: str) -> str:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.manifests[name, tag] = self.manifests[name, digest_of(data)] = (media_type, data)
        return digest_of(data)

    def put_image(self, name: str, tag: str, layers: list[Layer], **config: Any) -> str:
        """An image of layers; the manifest's digest."""
        for layer in layers:
            self.put_blob(layer.data)
        value = {"architecture": "amd64", "os": "linux", "config": {}, **config}
        value["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
        data = json.dumps(value).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": self.put_blob(data), "size": len(data)},
            "layers": [layer.descriptor() for layer in layers],
        }
        return self.put_manifest(name, tag, manifest, OCI_MANIFEST)

    def put_index(self, name: str, tag: str, platforms: dict[str, str]) -> str:
        """An index: ``os/arch[/variant]`` → manifest digest."""
        entries = []
        for text, digest in platforms.items():
            system, architecture, *variant = text.split("/")
            platform = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
            size = len(self.manifests[name, digest][1])
            entries.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform})
        return self.put_manifest(
            name, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX
        )

    def asked(self, method: str, part: str) -> list[dict[str, str]]:
        """Headers of the requests of a method whose path has a part in it."""
        return [headers for how, path, headers in self.requests if how == method and part in path]

    @contextlib.contextmanager
    def serving(self, context: ssl.SSLContext | None = None) -> Iterator[FakeRegistry]:
        server = Server(("127.0.0.1", 0), Handler)
        server.registry = self
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: FakeRegistry

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what tests are about."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    @property
    def registry(self) -> FakeRegistry:
        return self.server.registry

    def reply(self, status: int, data: bytes = b"", **headers: str) -> bool:
        """Answer in one go; True, so that a fault can end with it."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        return True

    def fail(self, status: int, code: str, message: str = "", **headers: str) -> bool:
        return self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def cut(self, *, reset: bool = False) -> bool:
        """End the connection, here and now."""
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self) -> None:
        registry = self.registry
        with registry.lock:
            registry.requests.append((self.command, self.path, dict(self.headers.items())))
        for fault in list(registry.faults):
            if fault(self):
                return
        if not self.authorized():
            self.body()
            self.fail(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=registry.challenge)
            return
        parts = urlsplit(self.path)
        for pattern, method in (
            (r"/v2/?", self.base), (r"/v2/(.+)/manifests/([^/]+)", self.manifest), (r"/v2/(.+)/tags/list", self.tags),
            (r"/v2/(.+)/blobs/uploads/(.*)", self.upload), (r"/v2/(.+)/blobs/(sha256:\w+)", self.blob),
        ):  # fmt: skip
            match = re.fullmatch(pattern, parts.path)
            if match:
                method(*match.groups())
                return
        self.fail(404, "NOT_FOUND")

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any

    def authorized(self) -> bool:
        sent = self.headers.get("Authorization", "")
        if self.registry.tokens:
            return sent.removeprefix("Bearer ") in self.registry.tokens
        if self.registry.users:
            import base64

            user, _, password = base64.b64decode(sent.removeprefix("Basic ") or "Og==").decode().partition(":")
            return self.registry.users.get(user) == password
        return True

    def base(self) -> None:
        self.reply(200, b"{}")

    def manifest(self, name: str, reference: str) -> None:
        registry = self.registry
        if self.command == "PUT":
            data = self.body()
            media_type = self.headers["Content-Type"]
            registry.manifests[name, reference] = registry.manifests[name, digest_of(data)] = (media_type, data)
            self.reply(201, Docker_Content_Digest=digest_of(data))
            return
        if (name, reference) not in registry.manifests:
            self.fail(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        media_type, data = registry.manifests[name, reference]
        self.reply(200, data, Content_Type=media_type, Docker_Content_Digest=digest_of(data))

    def tags(self, name: str) -> None:
        tags = sorted(tag for repository, tag in self.registry.manifests if repository == name and ":" not in tag)
        query = parse_qs(urlsplit(self.path).query)
        last = query.get("last", [""])[0]
        left = [tag for tag in tags if tag > last]
        link = {"Link": f'</v2/{name}/tags/list?last={left[1]}>; rel="next"'} if len(left) > 2 else {}
        self.reply(200, json.dumps({"name": name, "tags": left[:2]}).encode(), **link)

    def blob(self, _name: str, digest: str) -> None:
        data = self.registry.blobs.get(digest)
        if data is None:
            self.fail(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and self.registry.gives_ranges:
            start = int(match.group(1))
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(206, data[start:], Content_Range=span)
        else:
            self.reply(200, data)

    def upload(self, name: str, session: str) -> None:
        registry = self.registry
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if self.command == "POST":
            self.body()
            known = any(repository == query.get("from") for repository, _ in registry.manifests)
            if query.get("mount") in registry.blobs and known:
                self.reply(201, Location=f"/v2/{name}/blobs/{query['mount']}")
                return
            session = str(len(registry.uploads))
            registry.uploads[session] = bytearray()
            self.reply(202, Location=f"/v2/{name}/blobs/uploads/{session}?state=1", Range="0-0")
            return
        held = registry.uploads.get(session)
        if held is None:
            self.body()
            self.fail(404, "BLOB_UPLOAD_UNKNOWN")
            return
        location = f"/v2/{name}/blobs/uploads/{session}?state={len(held)}"
        if self.command == "PATCH":
            start = int(self.headers["Content-Range"].partition("-")[0])
            data = self.body()
            if start != len(held):
                self.fail(416, "RANGE_INVALID")
                return
            held += data
            self.reply(202, Location=location, Range=f"0-{len(held) - 1}")
        elif self.command == "GET":
            self.reply(204, Location=location, Range=f"0-{max(0, len(held) - 1)}")
        elif self.command == "DELETE":
            del registry.uploads[session]
            self.reply(204)
        else:
            held += self.body()
            if digest_of(held) != query["digest"]:
                self.fail(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
                return
            registry.blobs[query["digest"]] = bytes(held)
            self.reply(201, Docker_Content_Digest=query["digest"])
