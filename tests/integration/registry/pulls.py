"""What tests of pulls share: two layers, faults of a registry, and what a store has to be like afterwards."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from tests.fake_registry import Handler, Layer, digest_of, tar_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.engine import Engine
    from pyctr.image.store import Store

CONTENT = random.Random(7).randbytes(400_000)
SMALL = Layer(tar_of({"small": b"small"}))
LARGE = Layer(tar_of({"large": CONTENT}))


class Heard(list[tuple[str, str]]):
    """A report."""

    def __call__(self, status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        if status != "Downloading":
            self.append((id, status))


def blob_fault(act: Callable[[Handler, bytes, int], bool]) -> Callable[[Handler], bool]:
    """A fault for reads of blobs larger than a config; it is given the blob and where the client wants to begin."""

    def fault(handler: Handler) -> bool:
        data = handler.registry.blobs.get(handler.path.rpartition("/")[2], b"")
        if handler.command != "GET" or len(data) < 1000:
            return False
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        return act(handler, data, start)

    return fault


def send_part(handler: Handler, data: bytes, start: int, count: int, *, reset: bool) -> bool:
    """Promise everything, send `count` bytes, cut."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()
    handler.wfile.write(data[start : start + count])
    return handler.cut(reset=reset)


def check_whole(engine: Engine, name: str, layers: list[Layer]) -> None:
    """The image is in the store, its content and digests right."""
    image = engine.image_store.resolve(name)
    assert image.layers == [layer.diff_id for layer in layers]
    for layer in layers:
        assert digest_of(engine.image_store.read_blob(layer.digest)) == layer.digest
    for layer in layers:
        if layer is LARGE:
            with open(f"{engine.image_store.layer_path(layer.diff_id)}/large", "rb") as file:
                assert file.read() == CONTENT
    assert leftovers(engine.image_store) == []


def leftovers(store: Store) -> list[str]:
    """Drafts and partial blobs."""
    drafts = [name for name in os.listdir(store.layers) if name.startswith(".")]
    return drafts + (os.listdir(f"{store.root}/partial") if os.path.isdir(f"{store.root}/partial") else [])


def check_nothing(engine: Engine, *, partial: bool = False) -> None:
    """No image, no name, no draft."""
    assert engine.images.list() == []
    left = leftovers(engine.image_store) if os.path.isdir(engine.image_store.layers) else []
    assert partial or left == []
    assert not any(name.endswith(".pull") for name in left)
