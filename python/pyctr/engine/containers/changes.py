"""What a container changed of its image: `diff`, `commit`, `export`."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pyctr._core import diff_layer, export_tree, layer_changes
from pyctr.engine import times
from pyctr.engine.containers.events import write_event
from pyctr.engine.containers.freeze import frozen
from pyctr.engine.images.events import write_image_event
from pyctr.errors import InvalidArgument, NotFound
from pyctr.image import write
from pyctr.image.change import apply_changes
from pyctr.image.manifest import EMPTY_LAYER, OCI_LAYER, OCI_TYPES, parse_manifest
from pyctr.image.reference import parse_reference

if TYPE_CHECKING:
    from typing import Any

    from pyctr._core import WrittenLayer
    from pyctr.engine import Engine
    from pyctr.image.store import Image
    from pyctr.image.store import Store as Images

#: What a start makes to mount something on, where the image has nothing: Docker keeps these in a layer of their own, which no
#: diff shows (moby daemon/initlayer).
STUBS = [
    "/.dockerenv", "/dev/console", "/dev/mqueue", "/dev/pts", "/dev/shm", "/etc/hostname", "/etc/hosts",  # noqa: S108
    "/etc/resolv.conf", "/proc", "/sys",
]  # fmt: skip
#: What of a container's configuration becomes an image's; the rest is about one run.
_KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck",
    "OnBuild", "Shell", "ArgsEscaped",
)  # fmt: skip


def directories(engine: Engine, record: dict[str, Any]) -> tuple[str, list[str]]:
    """A container's upper directory, and its layers, topmost first."""
    layers = [f"{engine.image_store.layers}/{layer}" for layer in dict.fromkeys(reversed(record["Pyctr"]["layers"]))]
    return engine.containers.store.path(record["Id"]) + "/upper", layers


def diff_container(engine: Engine, ref: str) -> list[tuple[str, str]]:
    """What a container changed: (A, C or D; path), sorted by path."""
    record = engine.containers.store.record(engine.containers.resolve(ref))
    upper, lowers = directories(engine, record)
    changes = layer_changes(upper, lowers, STUBS)
    _still_there(engine, record)
    return changes


def export_container(engine: Engine, ref: str, sink: int) -> WrittenLayer:
    """Write a container's root file system, without its mounts, as a tar to a descriptor."""
    record = engine.containers.store.record(engine.containers.resolve(ref))
    upper, lowers = directories(engine, record)
    written = export_tree([upper, *lowers], sink)
    _still_there(engine, record)
    write_event(engine.root, "export", record)
    return written


def _still_there(engine: Engine, record: dict[str, Any]) -> None:
    """What was read of a container that was removed meanwhile is part of it only."""
    if not os.path.exists(engine.containers.store.path(record["Id"]) + "/config.json"):
        raise NotFound(f"No such container: {record['Id']}")


def commit_container(
    engine: Engine,
    ref: str,
    name: str | None = None,
    *,
    author: str = "",
    message: str = "",
    changes: list[str] | None = None,
    pause: bool = True,
) -> str:
    """Make an image of a container; its id. A running container stands still meanwhile, unless told otherwise."""
    reference = parse_reference(name) if name else None
    if reference is not None and reference.digest:
        raise InvalidArgument("refusing to create a tag with a digest reference")
    container_id = engine.containers.resolve(ref)
    record = engine.containers.store.record(container_id)
    config = _image_config(record["Config"], changes or [])
    store: Images = engine.image_store
    sync = not engine.settles_afterwards
    with write.adding(store):
        parent = parent_of(store, record)
        upper, lowers = directories(engine, record)
        with frozen(engine, container_id) if pause else contextlib.nullcontext():
            layer = write.new_layer(
                store,
                lambda target: diff_layer(
                    upper, lowers, store.blobs, compression="none", extract_to=target, hidden=STUBS, sync=sync
                ),
            )
        _still_there(engine, record)
        image_config = _child_config(parent, record, config, layer, author=author, message=message)
        layers = parent_layers(store, parent)
        if layer.diff_id != EMPTY_LAYER:
            layers.append((layer.digest, OCI_LAYER))
        manifest = write.build_manifest(store, image_config, layers, sync=sync)
        names = [str(reference)] if reference else []
        image = write.add_image(store, manifest, names, sync=sync)
    if reference is not None:
        write_image_event(engine, "tag", image, reference.familiar)
    extra = {"imageID": image.id, "imageRef": str(reference) if reference else ""}
    write_event(engine.root, "commit", record, comment=message, **extra)
    return image.id


def parent_of(store: Images, record: dict[str, Any]) -> Image:
    """The image a container was made from. Raises NotFound: it can be removed by force."""
    found = store.find(record["Image"])
    if found is None:
        raise NotFound(f"No such image: {record['Image']}")
    return found


def parent_layers(store: Images, parent: Image) -> list[tuple[str, str]]:
    """An image's layers as a child's manifest names them, which is OCI's even where the parent's is Docker's."""
    manifest = parse_manifest(store.read_blob(parent.manifest_digest))
    return [(layer.digest, OCI_TYPES.get(layer.media_type, layer.media_type)) for layer in manifest.layers]


def _image_config(config: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """A container's configuration, changed, as an image's (moby daemon/commit.go)."""
    changed = apply_changes(config, changes)
    if not changed.get("Entrypoint"):
        changed["Cmd"] = changed.get("Cmd") or config.get("Cmd")
        if changed.get("Entrypoint") is None:
            changed["Entrypoint"] = config.get("Entrypoint")
    return {key: changed[key] for key in _KEPT if changed.get(key)}


def _child_config(
    parent: Image, record: dict[str, Any], config: dict[str, Any], layer: WrittenLayer, *, author: str, message: str
) -> dict[str, Any]:
    created = times.now()
    is_empty = layer.diff_id == EMPTY_LAYER
    step = {
        "created": created,
        **({"author": author} if author else {}),
        "created_by": " ".join(record["Config"].get("Cmd") or []),
        **({"comment": message} if message else {}),
        **({"empty_layer": True} if is_empty else {}),
    }
    before = parent.config
    kept = {
        key: before[key] for key in ("architecture", "variant", "os", "os.version", "os.features") if before.get(key)
    }
    return {
        **kept,
        **({"author": author} if author else {}),
        "config": config,
        "container": record["Id"],
        "created": created,
        "history": [*(before.get("history") or []), step],
        "rootfs": {"type": "layers", "diff_ids": [*parent.layers, *([] if is_empty else [layer.diff_id])]},
    }
