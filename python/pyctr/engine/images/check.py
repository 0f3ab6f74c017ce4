"""`system check` of the images: every digest and every reference, and what can be mended.

What is derived can be made again (extracted layers from their blobs, summaries); what nothing leads to is swept; a name that leads
to an image whose manifest, config or layers are gone or damaged is taken away. What came from elsewhere cannot be made again: the
finding says what is to be pulled or loaded once more.
"""

from __future__ import annotations

import os

from pyctr._core import json_loads, remove_tree
from pyctr.engine.containers.freeze import thaw_abandoned
from pyctr.errors import CorruptData, NotFound, PyctrError
from pyctr.image import write
from pyctr.image.manifest import parse_config, parse_manifest
from pyctr.image.reference import is_hex, parse_reference
from pyctr.image.settle import is_present
from pyctr.image.store import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.image.store import Image, Store


class Finding:
    """One thing that is not as it must be: what, why, and whether it was mended."""

    __slots__ = ("mended", "reason", "what")

    def __init__(self, what: str, reason: str, *, mended: bool) -> None:
        self.what = what
        self.reason = reason
        self.mended = mended

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}" + (" (mended)" if self.mended else "")


def check_images(engine: Engine, *, mend: bool = False) -> list[Finding]:
    """Verify the store. While somebody adds images, or removes them, this waits; with `mend` nobody else changes anything."""
    store: Store = engine.image_store
    store.prepare()
    check = _Check(store, mend=mend)
    with write.alone(store) if mend else write.adding(store):
        check.blobs()
        check.names()
        check.images()
        check.layers()
    if mend:
        write.sweep(store)
        write.remove_rubbish(store)
    base = f"{engine.root}/containers"
    for name in os.listdir(base) if os.path.isdir(base) else []:
        if mend and not name.startswith(".") and thaw_abandoned(engine, name):
            check.found.append(Finding(f"container {name[:12]}", "left paused by a killed command", mended=True))
    return check.found


class _Check:
    def __init__(self, store: Store, *, mend: bool) -> None:
        self.store = store
        self.mend = mend
        self.found: list[Finding] = []
        self.in_use = write.layers_of_containers(store)

    def add(self, what: str, reason: str, *, mended: bool = False) -> None:
        self.found.append(Finding(what, reason, mended=mended and self.mend))

    def blobs(self) -> None:
        """Every blob has the digest that is its name."""
        for name in sorted(os.listdir(self.store.blobs)):
            path = f"{self.store.blobs}/{name}"
            if name.startswith("."):
                continue  # of an addition; swept
            if not is_hex(name) or len(name) != 64:
                self.add(f"blob {name}", "is not named by a digest", mended=True)
            elif _digest_of(path) == name:
                continue
            else:
                self.add(f"blob sha256:{name}", "its content does not have this digest", mended=True)
            if self.mend:
                os.unlink(path)

    def names(self) -> None:
        """Every name is well-formed and leads to an image."""
        for file in sorted(os.listdir(self.store.refs)):
            path = f"{self.store.refs}/{file}"
            if file.startswith("."):
                self.add(f"refs/{file}", "left by a killed command", mended=True)
                if self.mend:
                    remove_tree(path)
                continue
            try:
                entry = self.store._read_ref(path)
                if entry is None:
                    continue
                expected = encode_name(entry["name"]) if entry["name"] else "-" + entry["config"][7:]
                if expected != file or (entry["name"] and str(parse_reference(entry["name"])) != entry["name"]):
                    raise CorruptData("is not of the name that it holds")
            except (PyctrError, ValueError, LookupError, TypeError) as error:
                self.add(f"refs/{file}", str(error), mended=True)
                if self.mend:
                    remove_tree(path)

    def images(self) -> None:
        """Every image has a manifest, a config and all layers, as blobs or extracted."""
        for image in self._listed():
            try:
                manifest = parse_manifest(self.store.read_blob(image.manifest_digest))
                if manifest.config.digest != image.id:
                    raise CorruptData(f"its manifest has the config {manifest.config.digest}")
                diff_ids = parse_config(self.store.read_blob(image.id))["rootfs"]["diff_ids"]
                if len(diff_ids) != len(manifest.layers):
                    raise CorruptData("its manifest and its config do not name as many layers")
                for layer, diff_id in zip(manifest.layers, diff_ids, strict=True):
                    self._layer_of(layer.digest, diff_id)
            except (NotFound, CorruptData) as error:
                names = ", ".join(parse_reference(name).familiar for name in image.names) or image.id
                self.add(f"image {names}", f"{error}: pull or load it again", mended=True)
                if self.mend:
                    for name in image.names:
                        write.untag(self.store, name)
                    write.forget(self.store, image.id)

    def _listed(self) -> list[Image]:
        try:
            return self.store.images()
        except (CorruptData, ValueError, LookupError) as error:
            self.add("refs", str(error))
            return []

    def _layer_of(self, digest: str, diff_id: str) -> None:
        has_blob = self.store.has_blob(digest)
        if is_present(self.store, diff_id):
            if not has_blob:
                # Containers of it run, so the image stays.
                self.add(f"blob {digest}", "is missing: pull or load its image again before it is pushed or saved")
            return
        if not has_blob:
            raise CorruptData(f"layer {digest} is missing")
        self.add(f"layer {diff_id}", "is not extracted", mended=True)
        if self.mend:
            write.add_layer(self.store, digest, diff_id)

    def layers(self) -> None:
        """Every extracted layer has its size beside it, and the layers of containers are there."""
        names = set(os.listdir(self.store.layers))
        for name in sorted(names):
            path = f"{self.store.layers}/{name}"
            if name.startswith("."):
                continue  # swept
            if not is_hex(name.removesuffix(".json")) or len(name.removesuffix(".json")) != 64:
                self.add(f"layers/{name}", "is not named by a digest", mended=True)
                if self.mend:
                    remove_tree(path)
            elif name.endswith(".json"):
                self._size_file(name, path, present=name.removesuffix(".json") in names)
            elif name + ".json" not in names:
                self._unsized(name, path)
        for layer in sorted(self.in_use - names):
            self.add(f"layer sha256:{layer}", "a container stands on it, and it is missing")

    def _size_file(self, name: str, path: str, *, present: bool) -> None:
        try:
            with open(path, "rb") as file:
                int(json_loads(file.read())["size"])
        except (ValueError, LookupError, TypeError):
            self.add(f"layers/{name}", "malformed", mended=True)
            if self.mend:
                os.unlink(path)
                self._unsized(name.removesuffix(".json"), path.removesuffix(".json"))
            return
        if not present and self.mend:
            os.unlink(path)  # of a layer whose addition or removal was interrupted

    def _unsized(self, name: str, path: str) -> None:
        if not os.path.isdir(path):
            return
        self.add(f"layer sha256:{name}", "its size is not recorded", mended=True)
        if self.mend:
            from pyctr._core import json_dumps, write_atomic

            size = _tree_size(path)
            write_atomic(path + ".json", json_dumps({"digest": "sha256:" + name, "size": size}))


def _digest_of(path: str) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tree_size(path: str) -> int:
    total, seen = 0, set()
    for base, _, files in os.walk(path):
        for name in files:
            status = os.lstat(f"{base}/{name}")
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_size
    return total
