"""After a power cut: the store as far as it can be verified (docs/registry.md, "Durability")."""

from __future__ import annotations

import contextlib
import os

from pyctr._core import sync_file_system
from pyctr.engine.images.check import check_images
from pyctr.image import settle, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.image.store import Store


def recover(engine: Engine) -> None:
    """Take away what had not reached the disk, make it again where its blob is whole, and forget images that cannot be made again:
    a pull brings them back.
    """
    store: Store = engine.image_store
    stale = settle.stale_marks(store)
    if not stale or not os.access(store.root, os.W_OK):
        return
    with write.alone(store):
        for name in os.listdir(store.layers):
            if len(name) == 64 and not settle.is_present(store, "sha256:" + name):
                settle.set_aside(store, "sha256:" + name)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{store.layers}/{name}.json")
    check_images(engine, mend=True)
    sync_file_system(store.layers)
    settle.remove_marks(store, stale)
