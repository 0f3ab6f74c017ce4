"""`--cache-to`: this build's records, layers and cache mounts, to a registry, a directory, or the image's own config.

`mode=min`, which is the default, takes the layers of the results along; of other steps only what they come to is said, which is enough
for a build in which nothing changed. `mode=max` takes all layers.
"""

from __future__ import annotations

import fcntl
import os

from pyctr._core import export_tree, json_dumps, json_loads, store_blob, write_atomic
from pyctr.build.plan.step import Run
from pyctr.engine.build.cache_from import CONFIG_TYPE, DEFAULT_TAG, INLINE, VERSION, place_of
from pyctr.engine.build.layers import COMPRESSION, Layer
from pyctr.engine.build.mounts import cache_base
from pyctr.errors import BuildError, InvalidArgument, PyctrError
from pyctr.image import write
from pyctr.image.manifest import OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeGuard

    from pyctr.build.plan.step import Plan
    from pyctr.build.request import Typed
    from pyctr.engine.build.execute import Executor

_WAIT_S = 0.05


def export_cache(executor: Executor, plan: Plan) -> None:
    """Everything `--cache-to` asks for, but inline, which is part of the image."""
    from pyctr.engine.build.outputs import told

    for wanted in executor.request.cache_to:
        if wanted.kind == "inline":
            continue
        writers = {"local": _write_local, "registry": _write_registry}
        if wanted.kind not in writers:
            raise InvalidArgument(f"unknown cache exporter: {wanted.kind}")
        with told(executor, f"exporting cache to {wanted.kind} {place_of(wanted)}"), write.adding(executor.store):
            chosen = chosen_records(executor, plan, everything=wanted.attributes.get("mode", "min") == "max")
            mounts = pack_mounts(executor, plan) if wanted.attributes.get("mounts") == "true" else {}
            try:
                writers[wanted.kind](executor, wanted, Content(executor, chosen, mounts))
            except PyctrError as error:
                if wanted.attributes.get("ignore-error", "false") != "true":
                    raise BuildError(f"export cache to {place_of(wanted)}: {error}") from None
                executor.report.warn(f"cache was not exported to {place_of(wanted)}: {error}")


def chosen_records(executor: Executor, plan: Plan, *, everything: bool) -> dict[str, Layer | None]:
    """Key → layer of this build's records. Those whose layers are not in the results are absent unless `everything` is exported."""
    wanted = {
        layer.diff_id for result in plan.results for layer in executor.snapshot_value(result.step).snapshot.layers
    }

    def exported(layer: Layer | None) -> Layer | None:
        return layer if layer is None or everything or layer.diff_id in wanted else layer.without_content()

    return {key: exported(record.layer) for key, record in sorted(executor.used.items())}


def inline_config(executor: Executor, plan: Plan) -> dict[str, Any]:
    """What goes into an image's config for `--cache-to type=inline`; empty if that was not asked for."""
    if not any(wanted.kind == "inline" for wanted in executor.request.cache_to):
        return {}
    chosen = chosen_records(executor, plan, everything=False)
    return {INLINE: {key: layer.diff_id if layer else "" for key, layer in chosen.items()}}


def pack_mounts(executor: Executor, plan: Plan) -> dict[str, tuple[Layer, str]]:
    """Name → archive, and its file, of each cache mount that a RUN of the plan has and that was ever filled."""
    packed: dict[str, tuple[Layer, str]] = {}
    blobs = executor.scratch.directory()
    for step in plan.steps:
        for mount in step.mounts if isinstance(step, Run) else ():
            base = cache_base(executor.store.root, mount, has_initial=mount.source_step is not None)
            name = os.path.basename(base)
            if mount.kind == "cache" and name not in packed and os.path.isdir(f"{base}/0/data"):
                packed[name] = _pack_mount(executor, f"{base}/0", blobs, mount.identity)
    return packed


def _pack_mount(executor: Executor, directory: str, blobs: str, identity: str) -> tuple[Layer, str]:
    with open(f"{directory}/lock", "rb") as lock:
        while True:  # another build may have it for itself
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                executor.cancelled.pause(_WAIT_S)
        try:
            written = export_tree([f"{directory}/data"], blobs, compression=COMPRESSION)
        except PyctrError as error:
            raise BuildError(f"export cache mount {identity}: {error}") from None
    layer = Layer(
        written.diff_id, written.digest, f"{OCI_LAYER}+{COMPRESSION}", blob_size=written.size, size=written.content_size
    )
    return layer, f"{blobs}/{written.digest[7:]}"


class Content:
    """What is exported: manifest, and descriptors of its blobs with the files they are in."""

    def __init__(
        self, executor: Executor, chosen: dict[str, Layer | None], mounts: dict[str, tuple[Layer, str]]
    ) -> None:
        """The caller holds `write.adding`."""
        store = executor.store
        document: dict[str, Any] = {
            "version": VERSION, "records": {key: layer.to_json() if layer else None for key, layer in chosen.items()},
        }  # fmt: skip
        if mounts:
            document["mounts"] = {name: layer.to_json() for name, (layer, _) in mounts.items()}
        config = json_dumps(document, sort_keys=True)
        described: dict[str, Any] = {
            "mediaType": CONFIG_TYPE,
            "digest": write.put_blob(store, config),
            "size": len(config),
        }
        files = {layer.digest: (layer, store.blob_path(layer.digest)) for layer in chosen.values() if _has_blob(layer)}
        files |= {layer.digest: (layer, path) for layer, path in mounts.values()}
        layers: list[dict[str, Any]] = [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.blob_size}
            for layer, _ in files.values()
        ]
        #: Descriptor and file of each blob.
        self.blobs = [(described, store.blob_path(described["digest"]))]
        self.blobs += [(layer, files[layer["digest"]][1]) for layer in layers]
        self.manifest = json_dumps(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
        )


def _has_blob(layer: Layer | None) -> TypeGuard[Layer]:
    return layer is not None and not layer.absent


def _write_local(executor: Executor, wanted: Typed, content: Content) -> None:
    target = wanted.attributes.get("dest", "")
    if not target:
        raise InvalidArgument("local cache exporter requires dest")
    blobs = f"{target}/blobs/sha256"
    try:
        os.makedirs(blobs, exist_ok=True)
        for descriptor, path in content.blobs:
            source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                store_blob(source, blobs, digest=descriptor["digest"], size=descriptor["size"])
            finally:
                os.close(source)
        digest = write.put_blob(executor.store, content.manifest)
        write_atomic(f"{blobs}/{digest[7:]}", content.manifest, mode=0o644)
        tag = wanted.attributes.get("tag", DEFAULT_TAG)
        entry = {
            "mediaType": OCI_MANIFEST, "digest": digest, "size": len(content.manifest),
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


def _write_registry(executor: Executor, wanted: Typed, content: Content) -> None:
    from pyctr.engine.transfer import connect
    from pyctr.registry.upload import Uploader

    reference = parse_reference(wanted.attributes.get("ref", ""))
    registry = connect(executor.engine, reference.domain, pull=False)
    try:
        uploader = Uploader(registry.repository(reference.path))
        for descriptor, path in content.blobs:
            digest = descriptor["digest"]
            if not uploader.repository.has_blob(digest):
                uploader.upload(path, digest, descriptor["size"], lambda _: None)
        uploader.put_manifest(reference.tag or DEFAULT_TAG, content.manifest, OCI_MANIFEST)
    finally:
        registry.transport.close()
