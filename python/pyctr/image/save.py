"""Archives of images written: an OCI image layout that is also a docker-archive, as Docker writes since version 25.

Blobs go in as they lie in the store, each once, so that digests stay what they are. The same images give the same bytes.
"""

from __future__ import annotations

import os
import tarfile

from pyctr._core import json_dumps
from pyctr.errors import CorruptData, PyctrError
from pyctr.image.manifest import OCI_INDEX, OCI_MANIFEST, parse_json, parse_manifest
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.store import Image, Store

_COPY_BYTES = 1 << 24


def save(store: Store, images: list[Image], sink: int, *, index_digest: str = "") -> None:
    """Write images, each under its `names`, to a descriptor. Raises CorruptData if a blob is missing.

    With `index_digest` they are one image for several platforms: its names, those of the first, lead to that index, as BuildKit's OCI
    archives have it; a docker-archive, which has no platforms, it is not.
    """
    sizes: dict[str, int] = {}
    for image in images:
        manifest = parse_manifest(store.read_blob(image.manifest_digest))
        for digest in (image.manifest_digest, image.id, *(layer.digest for layer in manifest.layers)):
            try:
                sizes[digest] = os.path.getsize(store.blob_path(digest))
            except FileNotFoundError:
                raise CorruptData(f"save image: {digest} is missing in the store") from None
    if index_digest:
        sizes[index_digest] = os.path.getsize(store.blob_path(index_digest))
    for directory in ("blobs/", "blobs/sha256/"):
        _write(sink, _header(directory, 0, tarfile.DIRTYPE))
    for digest in sorted(sizes):
        _add_blob(sink, store.blob_path(digest), f"blobs/sha256/{digest[7:]}", sizes[digest])
    roots = (
        [(index_digest, images[0].names)]
        if index_digest
        else [(image.manifest_digest, image.names) for image in images]
    )
    descriptors = [entry for digest, names in roots for entry in _descriptors(store, digest, names, sizes[digest])]
    _add(sink, "index.json", json_dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}))
    if not index_digest:
        _add(sink, "manifest.json", json_dumps([_docker_entry(store, image) for image in images]))
    _add(sink, "oci-layout", json_dumps({"imageLayoutVersion": "1.0.0"}))
    _write(sink, bytes(1024))


def _descriptors(store: Store, digest: str, names: list[str], size: int) -> list[dict[str, Any]]:
    """What index.json says of a manifest or an index: once for each name."""
    document = parse_json(store.read_blob(digest), "manifest")
    entry: dict[str, Any] = {"mediaType": document.get("mediaType") or OCI_MANIFEST, "digest": digest, "size": size}
    if not names:
        return [entry]
    return [
        {
            **entry,
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": parse_reference(name).tag or "",
            },
        }
        for name in names
    ]


def _docker_entry(store: Store, image: Image) -> dict[str, Any]:
    manifest = parse_manifest(store.read_blob(image.manifest_digest))
    return {
        "Config": f"blobs/sha256/{image.id[7:]}",
        "RepoTags": [parse_reference(name).familiar for name in image.names] or None,
        "Layers": [f"blobs/sha256/{layer.digest[7:]}" for layer in manifest.layers],
    }


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(name.rstrip("/"))
    entry.type, entry.size, entry.mode = kind, size, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)


def _add(sink: int, name: str, data: bytes) -> None:
    _write(sink, _header(name, len(data)) + data + bytes(-len(data) % 512))


def _add_blob(sink: int, path: str, name: str, size: int) -> None:
    """Copied inside the kernel where it can be."""
    with open(path, "rb") as file:
        _write(sink, _header(name, size))
        left = size
        while left:
            count = _copy(file.fileno(), sink, size - left, min(left, _COPY_BYTES))
            if count == 0:
                raise PyctrError(f"save image: {path} has become shorter")
            left -= count
    _write(sink, bytes(-size % 512))


def _copy(source: int, sink: int, offset: int, count: int) -> int:
    try:
        return os.sendfile(sink, source, offset, count)
    except OSError:  # a descriptor opened to append, a file system that cannot: by way of memory
        data = os.pread(source, min(count, 1 << 20), offset)
        _write(sink, data)
        return len(data)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]
