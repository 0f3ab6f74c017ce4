"""`--cache-from`: cache records with their layers, and cache mounts, from a registry, a directory, or an image's config.

An exported cache (pyctr.engine.build.cache_to) is an OCI image manifest: its config is the records, its layers the blobs. Records whose layer is
not among them still say what a step comes to. A source that cannot be read costs its cache, not the build.
"""

from __future__ import annotations

import os

from pyctr._core import remove_tree, store_blob, unpack_archive
from pyctr.engine.build.cache import Record
from pyctr.engine.build.layers import Layer
from pyctr.errors import CorruptData, InvalidArgument, NotFound, PyctrError
from pyctr.image import write
from pyctr.image.compression import opened
from pyctr.image.manifest import (
    INDEXES,
    MANIFEST_MAX_BYTES,
    Descriptor,
    choose_platform,
    host_platform,
    parse_json,
)
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.request import Typed
    from pyctr.engine.build.execute import Executor
    from pyctr.registry.client import Repository

#: Media type of the config of an exported cache.
CONFIG_TYPE = "application/vnd.pyctr.build.cache.v1+json"
#: Key of an image config that holds records (`type=inline`).
INLINE = "pyctr.build.cache.v1"
VERSION = 1
_RECORDS_MAX_BYTES = 64 << 20
DEFAULT_TAG = "latest"


class LocalSource:
    """A directory that `--cache-to type=local` wrote, an OCI image layout."""

    def __init__(self, path: str, tag: str, digest: str) -> None:
        self.path = path
        self.tag = tag
        self.digest = digest

    def read(self, digest: str, limit: int) -> bytes:
        """A small blob, verified."""
        Descriptor({"digest": digest, "size": 0})  # a digest that is none becomes no path
        try:
            with open(f"{self.path}/blobs/sha256/{digest[7:]}", "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise NotFound(f"read cache {self.path}: {(error.strerror or '').lower()}") from None
        _verify(digest, data, limit)
        return data

    def records(self) -> dict[str, Any]:
        """The records' document."""
        digest = self.digest
        if not digest:
            try:
                with open(f"{self.path}/index.json", "rb") as file:
                    index = parse_json(file.read(MANIFEST_MAX_BYTES), "index")
            except OSError as error:
                raise NotFound(f"read cache {self.path}: {(error.strerror or '').lower()}") from None
            for entry in index.get("manifests") or ():
                if (entry.get("annotations") or {}).get("org.opencontainers.image.ref.name") == self.tag:
                    digest = str(entry["digest"])
        if not digest:
            raise NotFound(f"read cache {self.path}: no tag {self.tag}")
        manifest = parse_json(self.read(digest, MANIFEST_MAX_BYTES), "manifest")
        return parse_json(self.read(Descriptor(manifest.get("config")).digest, _RECORDS_MAX_BYTES), "cache")

    def fetch(self, executor: Executor, layer: Layer, blobs: str) -> None:
        """Store the blob of a layer in a directory."""
        del executor
        store_blob_file(f"{self.path}/blobs/sha256/{layer.digest[7:]}", layer, blobs)

    def close(self) -> None:
        """Nothing is open."""


class RegistrySource:
    """A cache in a registry, or an image with records inside."""

    def __init__(self, executor: Executor, text: str) -> None:
        from pyctr.engine.transfer import connect

        self.reference = parse_reference(text)
        self.registry = connect(executor.engine, self.reference.domain, pull=True)
        self.repository: Repository = self.registry.repository(self.reference.path)

    def records(self) -> dict[str, Any]:
        """The records' document; those of an image's config, its layers filled in, where it is one."""
        answer = self.repository.manifest(self.reference.digest or self.reference.tag or DEFAULT_TAG)
        if answer.media_type in INDEXES:
            entries = [Descriptor(entry) for entry in parse_json(answer.data, "index").get("manifests") or ()]
            answer = self.repository.manifest(choose_platform(entries, host_platform()).digest)
        manifest = parse_json(answer.data, "manifest")
        config = Descriptor(manifest.get("config"))
        document = parse_json(self._read(config), "cache")
        return document if config.media_type == CONFIG_TYPE else inline_records(document, manifest)

    def _read(self, descriptor: Descriptor) -> bytes:
        response, _ = self.repository.open_blob(descriptor.digest)
        try:
            data: bytes = response.read(_RECORDS_MAX_BYTES + 1)
        finally:
            response.close()
        _verify(descriptor.digest, data, _RECORDS_MAX_BYTES)
        return data

    def fetch(self, executor: Executor, layer: Layer, blobs: str) -> None:
        """Store the blob of a layer in a directory."""
        path = f"{executor.scratch.directory()}/blob"
        response, _ = self.repository.open_blob(layer.digest)
        try:
            with open(path, "wb") as file:
                while data := response.read1(1 << 18):
                    executor.cancelled.check()
                    if file.tell() + len(data) > layer.blob_size:
                        raise CorruptData(f"verify {layer.digest}: more than the expected {layer.blob_size} bytes")
                    file.write(data)
        finally:
            response.close()
        store_blob_file(path, layer, blobs)
        os.unlink(path)

    def close(self) -> None:
        """Close the connections."""
        self.registry.transport.close()


def store_blob_file(path: str, layer: Layer, blobs: str) -> None:
    """A file as a blob in a directory, verified. Raises NotFound, CorruptData."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise NotFound(f"cache has no layer {layer.digest}") from None
    try:
        store_blob(file, blobs, digest=layer.digest, size=layer.blob_size)
    finally:
        os.close(file)


def _verify(digest: str, data: bytes, limit: int) -> None:
    from hashlib import sha256

    if len(data) > limit or "sha256:" + sha256(data).hexdigest() != digest:
        raise CorruptData(f"verify {digest}: its content is another")


def inline_records(config: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The records an image's config holds: they name diff ids, whose blobs the manifest knows."""
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    layers = {
        diff_id: {
            "diff_id": diff_id, "digest": layer["digest"], "media_type": layer["mediaType"],
            "blob_size": layer["size"], "size": 0,
        }
        for diff_id, layer in zip(diff_ids, manifest.get("layers") or (), strict=False)
    }  # fmt: skip
    records = {
        key: layers.get(diff_id, _elsewhere(diff_id)) if diff_id else None
        for key, diff_id in (config.get(INLINE) or {}).items()
    }
    return {"version": VERSION, "records": records}


def _elsewhere(diff_id: str) -> dict[str, Any]:
    """A layer of which nothing but its content's digest is known."""
    return {"diff_id": diff_id, "digest": diff_id, "media_type": "", "blob_size": 0, "size": 0, "absent": True}


Source = LocalSource | RegistrySource


class Imported:
    """Records of all sources, and where their layers are to be had."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._records: dict[str, tuple[Layer | None, Source]] = {}
        self._mounts: dict[str, tuple[Layer, Source]] = {}
        self._sources: list[Source] = []

    def load(self, sources: tuple[Typed, ...]) -> None:
        """Read every source's records; one that fails is told and left out."""
        report = self._executor.report
        for number, wanted in enumerate(sources):
            vertex = f"cache-from:{number}"
            report.start(vertex, f"importing cache manifest from {place_of(wanted)}")
            try:
                source = self._open(wanted)
                self._sources.append(source)
                document = source.records()
                if document.get("version") != VERSION:
                    raise CorruptData("not a build cache of pyctr's")
                for key, layer in document["records"].items():
                    self._records.setdefault(str(key), (Layer.from_json(layer) if layer else None, source))
                for name, layer in (document.get("mounts") or {}).items():
                    self._mounts.setdefault(str(name), (Layer.from_json(layer), source))
            except (PyctrError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
                report.done(vertex, error=str(error))
                report.warn(f"cache from {place_of(wanted)} is not used: {error}")
            else:
                report.done(vertex)

    def _open(self, wanted: Typed) -> Source:
        values = wanted.attributes
        if wanted.kind == "local":
            path = values.get("src", "")
            if not path:
                raise InvalidArgument("local cache importer requires src")
            return LocalSource(path, values.get("tag", DEFAULT_TAG), values.get("digest", ""))
        if wanted.kind == "registry":
            return RegistrySource(self._executor, values.get("ref", ""))
        raise InvalidArgument(f"unknown cache importer: {wanted.kind}")

    def find(self, key: str, description: str) -> Record | None:
        """A record, its layer brought here, or absent if nobody has it. The caller holds `write.adding`."""
        found = self._records.get(key)
        if found is None:
            return None
        layer, source = found
        if layer is not None and layer.absent:
            return Record(key, layer, description=description)
        executor = self._executor
        if layer is not None:
            try:
                if not executor.store.has_blob(layer.digest):
                    source.fetch(executor, layer, executor.store.blobs)
                write.add_layer(executor.store, layer.digest, layer.diff_id)
            except (NotFound, CorruptData, OSError) as error:
                executor.report.warn(f"layer {layer.digest} of the imported cache is not used: {error}")
                return None
        record = Record(key, layer, description=description)
        executor.cache.add(record)
        return record

    def fill_mount(self, name: str, directory: str) -> None:
        """Unpack what a cache mount held, by the name of its directory; nothing if it did not come along, or cannot be read."""
        found = self._mounts.get(name)
        if found is None:
            return
        layer, source = found
        executor = self._executor
        blobs = executor.scratch.directory()
        try:
            source.fetch(executor, layer, blobs)
            with open(f"{blobs}/{layer.digest[7:]}", "rb") as file:
                unpack_into(file.fileno(), directory)
        except (PyctrError, OSError) as error:
            executor.report.warn(f"cache mount {name} of the imported cache is not used: {error}")
            remove_content(directory)
        finally:
            remove_tree(blobs)

    def close(self) -> None:
        """Close what is open."""
        for source in self._sources:
            source.close()


def place_of(wanted: Typed) -> str:
    """Where a cache is, for messages."""
    return wanted.attributes.get("ref") or wanted.attributes.get("src") or wanted.attributes.get("dest") or wanted.kind


def unpack_into(fd: int, directory: str) -> None:
    """Unpack an archive into a directory that is there."""
    with opened(fd) as stream:
        unpack_archive(stream, directory, "/")


def remove_content(directory: str) -> None:
    """Empty a directory."""
    for name in os.listdir(directory):
        remove_tree(f"{directory}/{name}")
