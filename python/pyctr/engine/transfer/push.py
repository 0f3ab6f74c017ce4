"""`push`: what a registry does not have yet, then the manifest under its name."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from pyctr._core import compress_blob, json_dumps
from pyctr.engine.images.events import write_transfer
from pyctr.engine.transfer import connect, silent
from pyctr.engine.transfer.layers import fetch_blob, short
from pyctr.engine.transfer.parallel import side_by_side
from pyctr.engine.transfer.partial import Cancelled
from pyctr.errors import InvalidArgument, NotFound, RegistryError
from pyctr.image import write
from pyctr.image.manifest import OCI_LAYER, OCI_MANIFEST, parse_config, parse_json, parse_manifest
from pyctr.image.reference import parse_reference
from pyctr.registry.upload import Uploader

if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.engine.transfer import Report
    from pyctr.image.manifest import Descriptor
    from pyctr.image.reference import Reference
    from pyctr.image.store import Store

#: Repositories that may have a layer already, each asked at the price of a request.
_SOURCES_MAX = 3
_REPORT_S = 0.1
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
#: Plain tars, and what they are when compressed.
_PACKED = {OCI_LAYER: OCI_LAYER + "+gzip", _DOCKER_LAYER: _DOCKER_LAYER + ".gzip"}


class Pushed:
    """One tag at the registry."""

    __slots__ = ("digest", "size", "tag")

    def __init__(self, tag: str, digest: str, size: int) -> None:
        self.tag = tag
        self.digest = digest
        self.size = size


def push(engine: Engine, text: str, *, all_tags: bool = False, report: Report = silent) -> list[Pushed]:
    """Push a name, or with `all_tags` every tag there is of its repository. Raises NotFound, RegistryError."""
    reference = parse_reference(text)
    if reference.digest:
        raise InvalidArgument("cannot push a digest reference")
    if all_tags and ":" in text.rpartition("/")[2]:
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    store: Store = engine.image_store
    report(f"The push refers to repository [{reference.name}]")
    names = [str(reference)]
    if all_tags:
        entries = (parse_reference(entry["name"]) for entry in store.entries() if entry["name"])
        names = [str(item) for item in entries if item.name == reference.name and item.digest is None]
        if not names:
            raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}")
    registry = connect(engine, reference.domain, pull=False)
    try:
        uploader = Uploader(registry.repository(reference.path))
        pushed = [Push(engine, uploader, parse_reference(name), report).run() for name in names]
        write_transfer(engine, "push", reference, all_tags=all_tags)
        return pushed
    finally:
        registry.transport.close()


class Push:
    """One image on its way."""

    def __init__(self, engine: Engine, uploader: Uploader, reference: Reference, report: Report) -> None:
        self.engine = engine
        self.store: Store = engine.image_store
        self.uploader = uploader
        self.reference = reference
        self.report = report
        self.cancelled = threading.Event()

    def run(self) -> Pushed:
        """Layers side by side, then the config, then the manifest: a registry never has one that leads nowhere."""
        with write.adding(self.store):  # nothing is collected meanwhile
            entry = self.store._read_ref(self.store.ref_path(str(self.reference)))
            if entry is None:
                raise NotFound(f"tag does not exist: {self.reference.familiar}")
            if not entry.get("digest"):
                entry = self._compressed(entry)
            data = self.store.read_blob(entry["manifest"])
            manifest = parse_manifest(data)
            diff_ids = parse_config(self.store.read_blob(manifest.config.digest))["rootfs"]["diff_ids"]
            layers = {layer.digest: (layer, diff_id) for layer, diff_id in zip(manifest.layers, diff_ids, strict=True)}
            for _, diff_id in layers.values():
                self.report("Preparing", short(diff_id))
            self._push_layers(list(layers.values()))
            if not self.uploader.repository.has_blob(manifest.config.digest):
                self._upload(manifest.config, lambda _: None)
        media_type = str(parse_json(data, "manifest").get("mediaType") or OCI_MANIFEST)
        tag = self.reference.tag or ""
        digest = self.uploader.put_manifest(tag, data, media_type)
        write.name_pushed(self.store, str(self.reference), entry, digest)
        self.report(f"{tag}: digest: {digest} size: {len(data)}")
        return Pushed(tag, digest, len(data))

    def _compressed(self, entry: dict[str, str]) -> dict[str, str]:
        """What is made here is kept as plain tars, as Docker keeps it: compressed when it is first sent, and kept that way.

        What came from a registry, or was there, stays as it is: so do its digests.
        """
        value = parse_json(self.store.read_blob(entry["manifest"]), "manifest")
        changed = False
        for layer in value["layers"]:
            kind = _PACKED.get(layer.get("mediaType"))
            if kind is None or not self.store.has_blob(layer["digest"]):
                continue
            source = os.open(self.store.blob_path(layer["digest"]), os.O_RDONLY | os.O_CLOEXEC)
            try:
                written = compress_blob(source, self.store.blobs, compression="gzip")
            finally:
                os.close(source)
            layer.update(mediaType=kind, digest=written.digest, size=written.size)
            changed = True
        if not changed:
            return entry
        digest = write.put_blob(self.store, json_dumps(value))
        for other in list(self.store.entries()):
            if other["manifest"] == entry["manifest"] and other["name"] and not other.get("digest"):
                write.name_image(self.store, other["config"], digest, other["name"])
        return {**entry, "manifest": digest}

    def _push_layers(self, layers: list[tuple[Descriptor, str]]) -> None:
        threads = self.engine.config.max_concurrent_uploads
        side_by_side(self._push_layer, layers, threads=threads, name="push", cancelled=self.cancelled)

    def _push_layer(self, layer: Descriptor, diff_id: str) -> None:
        id = short(diff_id)
        if self.uploader.repository.has_blob(layer.digest):
            self.report("Layer already exists", id)
            return
        names = self._names_with(layer.digest)
        for source in self._sources(names):
            if self.uploader.mount(layer.digest, source):
                self.report(f"Mounted from {source}", id)
                return
        if not self.store.has_blob(layer.digest):
            fetch_blob(self.engine, layer, names, self.cancelled)
        told = [0.0]

        def progress(done: int) -> None:
            if self.cancelled.is_set():
                raise Cancelled("interrupted")
            if time.monotonic() - told[0] >= _REPORT_S:
                told[0] = time.monotonic()
                self.report("Pushing", id, done, layer.size)

        self._upload(layer, progress)
        self.report("Pushed", id)

    def _upload(self, blob: Descriptor, progress: object) -> None:
        path = self.store.blob_path(blob.digest)
        size = os.path.getsize(path)
        if size != blob.size:
            raise RegistryError(f"push {blob.digest}: size is {size}, expected {blob.size}", hint="pyctr system check")
        self.uploader.upload(path, blob.digest, size, progress)  # type: ignore[arg-type]

    def _names_with(self, digest: str) -> list[str]:
        """Names of images that have a layer."""
        names = []
        for entry in self.store.entries():
            manifest = parse_manifest(self.store.read_blob(entry["manifest"]))
            if entry["name"] and any(layer.digest == digest for layer in manifest.layers):
                names.append(entry["name"])
        return names

    def _sources(self, names: list[str]) -> list[str]:
        """Other repositories of the same registry that an image with this layer is named after."""
        references = map(parse_reference, names)
        paths = (item.path for item in references if item.domain == self.reference.domain)
        return [path for path in dict.fromkeys(paths) if path != self.reference.path][:_SOURCES_MAX]
