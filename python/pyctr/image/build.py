"""Images made from layers at hand: the packaged one and bootstrapped base images."""

from __future__ import annotations

import os

from pyctr._core import store_blob
from pyctr.image import write
from pyctr.image.manifest import OCI_LAYER, host_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.store import Image, Store


def import_layers(store: Store, layers: list[bytes | str], config: dict[str, Any], *, name: str, created: str) -> Image:
    """An image of uncompressed layers, base first, each as bytes or as the path of a tar; `config` is its run config."""
    with write.adding(store):
        digests = [_store(store, layer) for layer in layers]
        system, architecture, variant = host_platform()
        image_config: dict[str, Any] = {
            "created": created,
            "architecture": architecture,
            "os": system,
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **config},
            "rootfs": {"type": "layers", "diff_ids": digests},
            "history": [{"created": created, "created_by": "pyctr", "comment": "imported"} for _ in layers],
        }
        if variant:
            image_config["variant"] = variant
        manifest = write.build_manifest(store, image_config, [(digest, OCI_LAYER) for digest in digests])
        return write.add_image(store, manifest, [name])


def _store(store: Store, layer: bytes | str) -> str:
    """An uncompressed layer's blob digest, which is its diff id."""
    if isinstance(layer, bytes):
        return write.put_blob(store, layer)
    file = os.open(layer, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return store_blob(file, store.blobs).digest
    finally:
        os.close(file)
