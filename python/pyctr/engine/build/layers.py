"""Snapshots: the layers a step stands on, and how a directory of changes becomes one more.

A snapshot is its diff ids, base first; two with the same are the same, whoever made them.
"""

from __future__ import annotations

import os

from pyctr._core import diff_layer, settle_upper, sha256
from pyctr.image import write
from pyctr.image.manifest import EMPTY_LAYER, OCI_LAYER, OCI_TYPES, parse_manifest
from pyctr.image.reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from pyctr.image.store import Image, Store

#: What every tool reads (docs/layers.md).
COMPRESSION = "gzip"


class Layer:
    """A layer in the store: diff id, digest, media type and bytes of its blob, bytes of its content."""

    __slots__ = ("absent", "blob_size", "diff_id", "digest", "media_type", "size")

    def __init__(
        self, diff_id: str, digest: str, media_type: str, *, blob_size: int, size: int = 0, absent: bool = False
    ) -> None:
        self.diff_id = diff_id
        self.digest = digest
        self.media_type = media_type
        #: Known without the blob: one whose content came with another image is not kept (pyctr.engine.transfer.pull).
        self.blob_size = blob_size
        self.size = size
        #: It is known that a step comes to this, but nobody has it (an imported cache of `mode=min`).
        self.absent = absent

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Layer:
        """Of a cache record. Raises LookupError, TypeError, ValueError."""
        diff_id, digest = str(value["diff_id"]), str(value["digest"])
        if not is_digest(diff_id) or not is_digest(digest):
            raise ValueError("not a digest")
        size, blob_size = int(value["size"]), int(value["blob_size"])
        absent = bool(value.get("absent"))
        return cls(diff_id, digest, str(value["media_type"]), blob_size=blob_size, size=size, absent=absent)

    def to_json(self) -> dict[str, Any]:
        """As a cache record holds it."""
        names = self.__slots__ if self.absent else self.__slots__[1:]
        return {name: getattr(self, name) for name in names}

    def without_content(self) -> Layer:
        """The same, absent."""
        return Layer(self.diff_id, self.digest, self.media_type, blob_size=self.blob_size, size=self.size, absent=True)


class Snapshot:
    """Layers, base first."""

    __slots__ = ("layers",)

    def __init__(self, layers: Iterable[Layer] = ()) -> None:
        self.layers = tuple(layers)

    def __add__(self, layer: Layer | None) -> Snapshot:
        """With one more on top; None changes nothing."""
        return self if layer is None else Snapshot((*self.layers, layer))

    @property
    def key(self) -> str:
        """What identifies it: a digest of its diff ids (OCI's chain id says the same, less evenly)."""
        return sha256("\n".join(layer.diff_id for layer in self.layers).encode())

    @property
    def is_here(self) -> bool:
        """Whether all of it can be read."""
        return not any(layer.absent for layer in self.layers)

    def directories(self, store: Store) -> list[str]:
        """Its directories, topmost first, as overlay takes them, each once (`Image.layer_paths`); an empty one where there is none."""
        if self.layers:
            return list(dict.fromkeys(store.layer_path(layer.diff_id) for layer in reversed(self.layers)))
        empty = f"{store.root}/build/empty"
        os.makedirs(empty, 0o755, exist_ok=True)
        return [empty]


def image_snapshot(image: Image) -> Snapshot:
    """The layers of an image in the store."""
    manifest = parse_manifest(image.store.read_blob(image.manifest_digest))
    return Snapshot(
        Layer(diff_id, layer.digest, OCI_TYPES.get(layer.media_type, layer.media_type), blob_size=layer.size)
        for layer, diff_id in zip(manifest.layers, image.layers, strict=True)
    )


def pack_changes(
    store: Store, upper: str, lowers: list[str], *, clamp_s: int | None, hidden: list[str] | None = None
) -> Layer | None:
    """Make a layer of an overlay's upper directory; None where nothing changed. The caller holds `write.adding`."""
    written = write.new_layer(
        store,
        lambda target: diff_layer(
            upper, lowers, store.blobs,
            compression=COMPRESSION, clamp_mtime=clamp_s, extract_to=target, hidden=hidden or [],
        ),
    )  # fmt: skip
    if written.diff_id == EMPTY_LAYER:
        return None
    return Layer(
        written.diff_id, written.digest, f"{OCI_LAYER}+{COMPRESSION}", blob_size=written.size, size=written.content_size
    )


def take_changes(
    store: Store, upper: str, lowers: list[str], *, clamp_s: int | None, settled: str | None = None
) -> Layer | None:
    """As `pack_changes`; the upper directory, which nobody has mounted, becomes the layer's own and is gone afterwards.

    What is in its directory `settled` has its times already, and none of overlay's notes.
    """
    settle_upper(upper, clamp=clamp_s, settled=settled)
    written = diff_layer(upper, lowers, store.blobs, compression=COMPRESSION, clamp_mtime=clamp_s, still=True)
    if written.diff_id == EMPTY_LAYER:
        return None
    write.take_layer(store, upper, written)
    return Layer(
        written.diff_id, written.digest, f"{OCI_LAYER}+{COMPRESSION}", blob_size=written.size, size=written.content_size
    )
