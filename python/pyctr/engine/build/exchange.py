"""`--cache-from`, `--cache-to`: cache records with their layers, in a registry, a directory, or an image's config.

An exported cache is an OCI image manifest: its config is the records, its layers the blobs. A source that cannot be read costs its cache, not the build.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pyctr._core import json_dumps, json_loads, store_blob
from pyctr.engine.build.cache import Record
from pyctr.engine.build.layers import Layer
from pyctr.errors import BuildError, CorruptData, InvalidArgument, NotFound, PyctrError
from pyctr.image import write
from pyctr.image.manifest import (
    INDEXES,
    MANIFEST_MAX_BYTES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    choose_platform,
    host_platform,
    parse_json,
)
from pyctr.image.reference import parse_reference

if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.plan.step import Plan
    from pyctr.build.request import Typed
    from pyctr.engine.build.execute import Executor
    from pyctr.registry.client import Repository

#: Media type of the config of an exported cache.
CONFIG_TYPE = "application/vnd.pyctr.build.cache.v1+json"
#: Key of an image config that holds records (`type=inline`).
INLINE = "pyctr.build.cache.v1"
_VERSION = 1
_RECORDS_MAX_BYTES = 64 << 20
_DEFAULT_TAG = "latest"


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

    def fetch(self, executor: Executor, layer: Layer) -> None:
        """Store the blob of a layer."""
        store_blob_file(executor, f"{self.path}/blobs/sha256/{layer.digest[7:]}", layer)

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
        answer = self.repository.manifest(self.reference.digest or self.reference.tag or _DEFAULT_TAG)
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

    def fetch(self, executor: Executor, layer: Layer) -> None:
        """Store the blob of a layer."""
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
        store_blob_file(executor, path, layer)
        os.unlink(path)

    def close(self) -> None:
        """Close the connections."""
        self.registry.transport.close()


def store_blob_file(executor: Executor, path: str, layer: Layer) -> None:
    """A file as a blob, verified. Raises NotFound, CorruptData."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        raise NotFound(f"cache has no layer {layer.digest}") from None
    try:
        store_blob(file, executor.store.blobs, digest=layer.digest, size=layer.blob_size)
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
        key: layers.get(diff_id) if diff_id else None
        for key, diff_id in (config.get(INLINE) or {}).items()
        if not diff_id or diff_id in layers
    }
    return {"version": _VERSION, "records": records}


class Imported:
    """Records of all sources, and where their layers are to be had."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._records: dict[str, tuple[Layer | None, LocalSource | RegistrySource]] = {}
        self._sources: list[LocalSource | RegistrySource] = []

    def load(self, sources: tuple[Typed, ...]) -> None:
        """Read every source's records; one that fails is told and left out."""
        report = self._executor.report
        for number, wanted in enumerate(sources):
            vertex = f"cache-from:{number}"
            report.start(vertex, f"importing cache manifest from {_place(wanted)}")
            try:
                source = self._open(wanted)
                self._sources.append(source)
                document = source.records()
                if document.get("version") != _VERSION:
                    raise CorruptData("not a build cache of pyctr's")
                for key, layer in document["records"].items():
                    self._records.setdefault(str(key), (Layer.from_json(layer) if layer else None, source))
            except (PyctrError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
                report.done(vertex, error=str(error))
                report.warn(f"cache from {_place(wanted)} is not used: {error}")
            else:
                report.done(vertex)

    def _open(self, wanted: Typed) -> LocalSource | RegistrySource:
        values = wanted.attributes
        if wanted.kind == "local":
            path = values.get("src", "")
            if not path:
                raise InvalidArgument("local cache importer requires src")
            return LocalSource(path, values.get("tag", _DEFAULT_TAG), values.get("digest", ""))
        if wanted.kind == "registry":
            return RegistrySource(self._executor, values.get("ref", ""))
        raise InvalidArgument(f"unknown cache importer: {wanted.kind}")

    def find(self, key: str, description: str) -> Record | None:
        """A record, its layer brought here. The caller holds `write.adding`."""
        found = self._records.get(key)
        if found is None:
            return None
        layer, source = found
        executor = self._executor
        if layer is not None:
            try:
                if not executor.store.has_blob(layer.digest):
                    source.fetch(executor, layer)
                write.add_layer(executor.store, layer.digest, layer.diff_id)
            except (NotFound, CorruptData, OSError) as error:
                executor.report.warn(f"layer {layer.digest} of the imported cache is not used: {error}")
                return None
        record = Record(key, layer, description=description)
        executor.cache.add(record)
        return record

    def close(self) -> None:
        """Close what is open."""
        for source in self._sources:
            source.close()


def _place(wanted: Typed) -> str:
    return wanted.attributes.get("ref") or wanted.attributes.get("src") or wanted.attributes.get("dest") or wanted.kind


# -- export --------------------------------------------------------------------------------------------------------


def export_cache(executor: Executor, plan: Plan) -> None:
    """Everything `--cache-to` asks for, but inline, which is part of the image."""
    from pyctr.engine.build.outputs import told

    for wanted in executor.request.cache_to:
        if wanted.kind == "inline":
            continue
        writers = {"local": _write_local, "registry": _write_registry}
        if wanted.kind not in writers:
            raise InvalidArgument(f"unknown cache exporter: {wanted.kind}")
        with told(executor, f"exporting cache to {wanted.kind} {_place(wanted)}"), write.adding(executor.store):
            chosen = chosen_records(executor, plan, everything=wanted.attributes.get("mode", "min") == "max")
            try:
                writers[wanted.kind](executor, wanted, chosen)
            except PyctrError as error:
                if wanted.attributes.get("ignore-error", "false") != "true":
                    raise BuildError(f"export cache to {_place(wanted)}: {error}") from None
                executor.report.warn(f"cache was not exported to {_place(wanted)}: {error}")


def chosen_records(executor: Executor, plan: Plan, *, everything: bool) -> dict[str, Layer | None]:
    """Key → layer of this build's records: all of them, or those whose layers are in the results."""
    wanted = {
        layer.diff_id for result in plan.results for layer in executor.snapshot_value(result.step).snapshot.layers
    }
    return {
        key: record.layer
        for key, record in sorted(executor.used.items())
        if everything or record.layer is None or record.layer.diff_id in wanted
    }


def inline_config(executor: Executor, plan: Plan) -> dict[str, Any]:
    """What goes into an image's config for `--cache-to type=inline`; empty if that was not asked for."""
    if not any(wanted.kind == "inline" for wanted in executor.request.cache_to):
        return {}
    chosen = chosen_records(executor, plan, everything=False)
    return {INLINE: {key: layer.diff_id if layer else "" for key, layer in chosen.items()}}


def _manifest(executor: Executor, chosen: dict[str, Layer | None]) -> tuple[bytes, list[dict[str, Any]], bytes]:
    """Manifest, descriptors of config and layers, config."""
    records = {key: layer.to_json() if layer else None for key, layer in chosen.items()}
    config = json_dumps({"version": _VERSION, "records": records}, sort_keys=True)
    described = {"mediaType": CONFIG_TYPE, "digest": write.put_blob(executor.store, config), "size": len(config)}
    layers = {
        layer.digest: {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.blob_size}
        for layer in chosen.values()
        if layer is not None
    }
    descriptors = [described, *layers.values()]
    manifest = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": list(layers.values()),
    }  # fmt: skip
    return json_dumps(manifest), descriptors, config


def _write_local(executor: Executor, wanted: Typed, chosen: dict[str, Layer | None]) -> None:
    from pyctr._core import write_atomic

    target = wanted.attributes.get("dest", "")
    if not target:
        raise InvalidArgument("local cache exporter requires dest")
    blobs = f"{target}/blobs/sha256"
    try:
        os.makedirs(blobs, exist_ok=True)
        manifest, descriptors, _ = _manifest(executor, chosen)
        for descriptor in descriptors:
            source = os.open(executor.store.blob_path(descriptor["digest"]), os.O_RDONLY | os.O_CLOEXEC)
            try:
                store_blob(source, blobs, digest=descriptor["digest"], size=descriptor["size"])
            finally:
                os.close(source)
        digest = write.put_blob(executor.store, manifest)
        write_atomic(f"{blobs}/{digest[7:]}", manifest, mode=0o644)
        tag = wanted.attributes.get("tag", _DEFAULT_TAG)
        entry = {
            "mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }  # fmt: skip
        others = [other for other in _entries(target) if (other.get("annotations") or {}) != entry["annotations"]]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*others, entry]}
        write_atomic(f"{target}/oci-layout", json_dumps({"imageLayoutVersion": "1.0.0"}), mode=0o644)
        write_atomic(f"{target}/index.json", json_dumps(index), mode=0o644)
    except OSError as error:
        raise BuildError(f"write {error.filename or target}: {(error.strerror or '').lower()}") from None


def _entries(target: str) -> list[dict[str, Any]]:
    try:
        with open(f"{target}/index.json", "rb") as file:
            entries = json_loads(file.read())["manifests"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _write_registry(executor: Executor, wanted: Typed, chosen: dict[str, Layer | None]) -> None:
    from pyctr.engine.transfer import connect
    from pyctr.registry.upload import Uploader

    reference = parse_reference(wanted.attributes.get("ref", ""))
    manifest, descriptors, _ = _manifest(executor, chosen)
    registry = connect(executor.engine, reference.domain, pull=False)
    try:
        uploader = Uploader(registry.repository(reference.path))
        for descriptor in descriptors:
            digest = descriptor["digest"]
            if not uploader.repository.has_blob(digest):
                uploader.upload(executor.store.blob_path(digest), digest, descriptor["size"], lambda _: None)
        uploader.put_manifest(reference.tag or _DEFAULT_TAG, manifest, OCI_MANIFEST)
    finally:
        registry.transport.close()
