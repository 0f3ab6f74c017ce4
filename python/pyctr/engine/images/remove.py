"""`rmi` and `image prune`: conflicts, what is untagged and what deleted, in Docker's words (moby daemon/images/image_delete.go).

There are no parents here: an image is a config and layers, and layers stay as long as anybody has them.
"""

from __future__ import annotations

import os
import time

from pyctr._core import json_loads
from pyctr.engine import times
from pyctr.engine.containers.events import write_entry
from pyctr.engine.images.events import write_deleted, write_image_event
from pyctr.engine.transfer.partial import remove_partials
from pyctr.errors import Conflict, CorruptData, InvalidArgument, NotFound
from pyctr.image import write
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.image.store import Image, Store

_SHORT = 12


def remove_image(engine: Engine, reference: str, *, force: bool = False) -> list[str]:
    """Untag, or delete when no name is left; the lines Docker prints. Raises NotFound, Conflict."""
    store: Store = engine.image_store
    image = whole(store, reference)
    with write.removing(store, image.id):
        image = whole(store, image.id) if not _is_name(reference, image) else whole(store, reference)
        if _is_name(reference, image):
            name = str(parse_reference(reference))
            if image.names == [name] and not force:
                _refuse_reference(engine, image, reference)
            names = [name]
        else:
            if len(image.names) > 1 and not force:
                raise _conflict(image, "must be forced", "image is referenced in multiple repositories")
            _refuse_id(engine, image, force=force)
            names = list(image.names)
        lines = [f"Untagged: {text}" for text in untagged(image, names)]
        if set(names) < set(image.names):
            untag(engine, image, names)
            return lines
        if _is_name(reference, image) and _user(engine, image) is not None:
            # Forced by name: a container goes on using it, so it stays, nameless.
            write.keep_nameless(store, image)
            untag(engine, image, names)
            return lines
        layers = _layers(image)  # read while the config is still there
        untag(engine, image, names)
        write.forget(store, image.id)
        write_deleted(engine, image.id)
    removed = set(write.sweep(store))
    return [*lines, f"Deleted: {image.id}", *(f"Deleted: {layer}" for layer in reversed(layers) if layer in removed)]


def untag(engine: Engine, image: Image, names: list[str]) -> None:
    """Take names from an image."""
    for name in names:
        write.untag(engine.image_store, name)
        write_image_event(engine, "untag", image)


def untagged(image: Image, names: list[str]) -> list[str]:
    """What goes with names: each of them, and behind the last one of a repository the digests it had there."""
    gone: list[str] = []
    left = set(image.names)
    for name in names:
        left.discard(name)
        reference = parse_reference(name)
        if reference.tag is not None:
            gone.append(reference.familiar)
        if any(parse_reference(other).name == reference.name for other in left):
            continue
        digests = (digest for other, digest in image.digests.items() if parse_reference(other).name == reference.name)
        gone += [f"{reference.familiar_name}@{digest}" for digest in dict.fromkeys(digests)]
    return gone


def _layers(image: Image) -> list[str]:
    try:
        return image.layers
    except (NotFound, CorruptData, LookupError, TypeError, ValueError):
        return []  # damaged; it goes all the same


def whole(store: Store, reference: str) -> Image:
    """An image with all its names, however it was named. Raises NotFound."""
    found = store.resolve(reference)
    return next((image for image in store.images() if image.id == found.id), found)


def _is_name(reference: str, image: Image) -> bool:
    try:
        parsed = parse_reference(reference)
    except InvalidArgument:
        return False
    return str(parsed) in image.names


def _conflict(image: Image, kind: str, reason: str) -> Conflict:
    return Conflict(f"conflict: unable to delete {image.id[7:19]} ({kind}) - {reason}")


def _refuse_reference(engine: Engine, image: Image, reference: str) -> None:
    user = _user(engine, image)
    if user is not None:
        raise Conflict(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"container {user[0]} is using its referenced image {image.id[7:19]}"
        )


def _refuse_id(engine: Engine, image: Image, *, force: bool) -> None:
    user = _user(engine, image)
    if user is None:
        return
    short, running = user
    if running:
        raise _conflict(image, "cannot be forced", f"image is being used by running container {short}")
    if not force:
        raise _conflict(image, "must be forced", f"image is being used by stopped container {short}")


def _user(engine: Engine, image: Image) -> tuple[str, bool] | None:
    """A container made from an image: its short id and whether it runs; one that runs is preferred."""
    found: tuple[str, bool] | None = None
    for record in records(engine):
        if record.get("Image") != image.id:
            continue
        try:
            running = bool(engine.containers.inspect(record["Id"])["State"]["Running"])
        except NotFound:
            continue
        if running:
            return record["Id"][:_SHORT], True
        found = found or (record["Id"][:_SHORT], False)
    return found


def records(engine: Engine) -> list[dict[str, Any]]:
    """What was asked for of every container."""
    found = []
    base = f"{engine.root}/containers"
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []
    for name in names:
        try:
            with open(f"{base}/{name}/config.json", "rb") as file:
                found.append(json_loads(file.read()))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue
    return found


def prune_images(
    engine: Engine, *, all: bool = False, filters: dict[str, list[str]] | None = None
) -> tuple[list[str], int]:
    """Remove images without a name (`all`: that no container uses); the lines Docker prints, and the bytes that came free."""
    store: Store = engine.image_store
    wanted = _filter(dict(filters or {}))
    if "dangling" in (filters or {}):
        all = (filters or {})["dangling"][-1].lower() in ("false", "0")
    used = {record.get("Image") for record in records(engine)}
    sizes: dict[str, int] = {}
    lines: list[str] = []
    for candidate in store.images():
        if candidate.id in used or (candidate.names and not all) or not wanted(candidate):
            continue
        with write.removing(store, candidate.id):
            image = next((image for image in store.images() if image.id == candidate.id), None)
            if image is None or (image.names and not all) or _user(engine, image) is not None:
                continue  # somebody was faster
            layers = _layers(image)
            sizes.update((layer, store.layer_size(layer)) for layer in layers)
            untag(engine, image, image.names)
            write.forget(store, image.id)
            write_deleted(engine, image.id)
        lines += [f"untagged: {text}" for text in untagged(image, image.names)]
        lines.append(f"deleted: {image.id}")
    removed = write.sweep(store)
    lines += [f"deleted: {layer}" for layer in removed if layer in sizes]
    reclaimed = remove_partials(store) + sum(sizes.get(layer, 0) for layer in removed)
    write_entry(engine.root, "image", "prune", "", {"reclaimed": str(reclaimed)})
    return lines, reclaimed


def _filter(filters: dict[str, list[str]]) -> Any:
    """A predicate of `--filter`: until, label, label!, dangling. Raises InvalidArgument."""
    for name in filters:
        if name not in ("until", "label", "label!", "dangling"):
            raise InvalidArgument(f"invalid filter '{name}'")
    for value in filters.get("dangling", []):
        if value.lower() not in ("true", "false", "1", "0"):
            raise InvalidArgument(f"invalid filter 'dangling={value}'")
    if len(filters.get("until", [])) > 1:
        raise InvalidArgument("more than one until filter specified")
    now_ns = time.time_ns()
    until_ns = min((times.parse_moment(text, now_ns=now_ns) for text in filters.get("until", [])), default=now_ns)

    def wanted(image: Image) -> bool:
        config = image.config
        labels = (config.get("config") or {}).get("Labels") or {}
        created = config.get("created") or ""
        if "until" in filters and (times.parse_time(created) if created else 0) > until_ns:
            return False
        return all(has_label(labels, text) for text in filters.get("label", [])) and not any(
            has_label(labels, text) for text in filters.get("label!", [])
        )

    return wanted


def has_label(labels: dict[str, str], text: str) -> bool:
    """Whether labels have ``KEY`` or ``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)
