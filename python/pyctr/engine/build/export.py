"""What a build makes in the end: images in the store, and files (docs/build-execute.md, "Outputs")."""

from __future__ import annotations

import os

from pyctr._core import json_dumps
from pyctr.engine import times
from pyctr.engine.build.epoch import iso_time
from pyctr.errors import InvalidArgument
from pyctr.image import write
from pyctr.image.manifest import OCI_INDEX, OCI_MANIFEST, parse_platform
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.build.plan.step import Plan, Result
    from pyctr.build.request import Typed
    from pyctr.engine.build.execute import Executor
    from pyctr.engine.build.values import Value
    from pyctr.image.store import Store

_EXPORTING = "exporting to image"


class BuiltImage:
    """An image for one platform."""

    __slots__ = ("id", "manifest_digest", "platform")

    def __init__(self, id: str, manifest_digest: str, platform: str) -> None:
        self.id = id
        self.manifest_digest = manifest_digest
        self.platform = platform


class Built:
    """What a build came to; `index_digest` where there are several platforms."""

    __slots__ = ("images", "index_digest")

    def __init__(self, images: tuple[BuiltImage, ...], index_digest: str = "") -> None:
        self.images = images
        self.index_digest = index_digest


def export(executor: Executor, plan: Plan) -> Built:
    """Make the outputs that were asked for; without any an image in the store."""
    outputs = list(executor.request.outputs)
    report = executor.report
    if all(output.kind == "cacheonly" for output in outputs) and outputs:
        _export_cache(executor, plan)
        return Built(())
    images: list[BuiltImage] = []
    index = ""
    if not outputs or any(output.kind not in ("local", "tar") for output in outputs):
        report.start(_EXPORTING, _EXPORTING)
        try:
            with write.adding(executor.store):
                inline = _inline(executor, plan)
                images = [make_image(executor, result, inline) for result in plan.results]
                index = make_index(executor, images) if len(images) > 1 else ""
                name_images(executor, images, index, outputs)
        except BaseException as error:
            report.done(_EXPORTING, error=str(error) or "canceled")
            raise
        for image in images:
            report.status(_EXPORTING, f"writing image {image.id}", done=True)
        for tag in executor.request.tags if keeps_image(outputs) else ():
            report.status(_EXPORTING, f"naming to {parse_reference(tag)}", done=True)
        report.done(_EXPORTING)
    built = Built(tuple(images), index)
    for output in outputs:
        from pyctr.engine.build.outputs import write_output

        write_output(executor, plan, built, output)
    _export_cache(executor, plan)
    return built


def _export_cache(executor: Executor, plan: Plan) -> None:
    if executor.request.cache_to:
        from pyctr.engine.build.cache_to import export_cache

        export_cache(executor, plan)


def _inline(executor: Executor, plan: Plan) -> dict[str, Any]:
    if not executor.request.cache_to:
        return {}
    from pyctr.engine.build.cache_to import inline_config

    return inline_config(executor, plan)


def keeps_image(outputs: list[Typed]) -> bool:
    """Whether the image is to stay in the store under its names."""
    return not outputs or any(
        output.kind == "image" or (output.kind == "docker" and not output.attributes.get("dest")) for output in outputs
    )


def make_image(executor: Executor, result: Result, extra: dict[str, Any]) -> BuiltImage:
    """Config, with what is `extra` to it, and manifest of a result, stored. The caller holds `write.adding`."""
    config = {**image_config(executor, result), **extra}
    value = executor.snapshot_value(result.step)
    layers = [(layer.digest, layer.media_type) for layer in value.snapshot.layers]
    annotations = dict(executor.request.annotations)
    sizes = {layer.digest: layer.blob_size for layer in value.snapshot.layers}
    named = [executor.store.entry(checked_name(tag)) for tag in executor.request.tags]
    kept = {entry[part] for entry in named if entry is not None for part in ("config", "manifest")}
    manifest = write.build_manifest(executor.store, config, layers, annotations=annotations, sizes=sizes, kept=kept)
    config_digest = write.manifest_config(executor.store, manifest)
    return BuiltImage(config_digest, manifest, result.platform)


def image_config(executor: Executor, result: Result) -> dict[str, Any]:
    """The whole config: the plan's, with times, layers, and which steps had none."""
    value = executor.snapshot_value(result.step)
    created = times.now() if executor.keeps_times else iso_time(value.epoch_s)
    config = {**result.config, "created": created}
    config["history"] = history_of(executor, result, value, created)
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in value.snapshot.layers]}
    return config


def history_of(executor: Executor, result: Result, value: Value, created: str) -> list[dict[str, Any]]:
    """History whose entries with a layer are as many as there are layers: steps that changed nothing have none."""
    entries = [dict(entry) for entry in result.config.get("history") or ()]
    added = [executor.snapshot_value(step).layer for step in result.layers]
    below = len(value.snapshot.layers) - sum(layer is not None for layer in added)
    with_layer = [index for index, entry in enumerate(entries) if not entry.get("empty_layer")]
    own = with_layer[len(with_layer) - len(added) :] if added else []
    if len(with_layer) - len(own) != below:
        # A base whose history does not tell of all of its layers: one entry for each that is missing.
        missing = below - (len(with_layer) - len(own))
        entries = [{"created": created, "comment": "base layer"}] * max(0, missing) + entries
        own = [index + max(0, missing) for index in own]
    for index, layer in zip(own, added, strict=True):
        if layer is None:
            entries[index]["empty_layer"] = True
    for entry in entries:
        entry.setdefault("created", created)
    return entries


def make_index(executor: Executor, images: list[BuiltImage]) -> str:
    """An index of the images, stored; its digest."""
    store = executor.store
    manifests = []
    for image in images:
        system, architecture, variant = parse_platform(image.platform)
        platform = {"architecture": architecture, "os": system, **({"variant": variant} if variant else {})}
        size = os.path.getsize(store.blob_path(image.manifest_digest))
        manifests.append(
            {"mediaType": OCI_MANIFEST, "digest": image.manifest_digest, "size": size, "platform": platform}
        )
    return write.put_blob(store, json_dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}))


def name_images(executor: Executor, images: list[BuiltImage], index: str, outputs: list[Typed]) -> None:
    """Let the names lead to what was made: to the image for this machine where there are several."""
    from pyctr.engine.build.sources import fits

    if not keeps_image(outputs):
        return
    store = executor.store
    chosen = images[0]
    for image in images:
        if fits(json_config(executor, image), ""):
            chosen = image
            break
    names = [checked_name(tag) for tag in executor.request.tags]
    if _is_named(store, images, chosen, names, index):
        return  # whoever named it has seen to it that the disk has it
    from pyctr.engine.images.events import write_image_event

    later = executor.engine.settles_afterwards
    if later:
        executor.announce()
    for image in images:
        stored = write.add_image(store, image.manifest_digest, names if image is chosen else [], sync=not later)
        for name in stored.names:
            write_image_event(executor.engine, "tag", stored, parse_reference(name).familiar)
    if index:
        for name in names:
            write.name_image(store, chosen.id, chosen.manifest_digest, name, digest=index)


def _is_named(store: Store, images: list[BuiltImage], chosen: BuiltImage, names: list[str], index: str) -> bool:
    """Whether every name leads to just this already, and what gets no name is known."""
    for name in names:
        entry = store.entry(name)
        if entry is None or entry["manifest"] != chosen.manifest_digest or (index and entry.get("digest") != index):
            return False
    nameless = {image.id for image in images if not names or image is not chosen}
    return not nameless or nameless <= {entry["config"] for entry in store.entries()}


def json_config(executor: Executor, image: BuiltImage) -> dict[str, Any]:
    """A built image's config."""
    from pyctr._core import json_loads

    config: dict[str, Any] = json_loads(executor.store.read_blob(image.id))
    return config


def checked_name(tag: str) -> str:
    """A name an image may get. Raises InvalidArgument."""
    reference = parse_reference(tag)
    if reference.digest:
        raise InvalidArgument(f"invalid tag {tag}: a digest cannot be given")
    return str(reference)
