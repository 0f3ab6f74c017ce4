"""The content store: blobs by digest, extracted layers by diff id, names in `refs/` (docs/design.md, "On disk").

Readers take no lock. Whoever adds content holds `images.lock` shared until a name leads to it; whoever collects garbage
holds it alone. A name is one small file, so resolving one on a start reads two: it and the image config.
"""

from __future__ import annotations

import os

from pyctr._core import json_dumps, json_loads, sha256
from pyctr.errors import CorruptData, NotFound, PyctrError
from pyctr.image.reference import Reference, is_digest, is_hex, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: Of a file's name, with room for what a temporary one is called (NAME_MAX is 255).
_FILE_NAME_MAX = 200
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def encode_name(name: str) -> str:
    """A reference as a file name: percent-encoded, dots too, so that no name is hidden or leads anywhere.

    One that a file system would not take is cut, and ends with its digest; the file says the whole name.
    """
    text = "".join(
        letter if letter in _SAFE else "".join(f"%{byte:02X}" for byte in letter.encode()) for letter in name
    )
    if len(text) <= _FILE_NAME_MAX:
        return text
    return f"{text[: _FILE_NAME_MAX // 2]}~{sha256(name.encode())}"


class Image:
    """An image in the store."""

    __slots__ = ("_config", "digests", "id", "manifest_digest", "names", "store")

    def __init__(self, store: Store, id: str, manifest_digest: str, names: list[str]) -> None:
        self.store = store
        self.id = id
        self.manifest_digest = manifest_digest
        self.names = names
        #: Name → the digest it has at its registry: of its manifest, or of the index that led to it; only names that were
        #: pulled or pushed have one.
        self.digests: dict[str, str] = {}
        self._config: dict[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The OCI image config."""
        if self._config is None:
            config = json_loads(self.store.read_blob(self.id))
            assert isinstance(config, dict)  # noqa: S101 - verified when it was stored
            self._config = config
        return self._config

    @property
    def layers(self) -> list[str]:
        """Diff ids, base first."""
        return list(self.config["rootfs"]["diff_ids"])

    def layer_paths(self) -> list[str]:
        """Directories of the layers, topmost first, as overlay takes them: each once, for it refuses one that is there twice.

        Nothing is lost: what the upper of two equal layers has hides all that the lower one has.
        """
        return [self.store.layer_path(layer) for layer in dict.fromkeys(reversed(self.layers))]

    @property
    def size(self) -> int:
        """Bytes of all layers' content."""
        return sum(self.store.layer_size(layer) for layer in self.layers)

    def pin(self) -> int:
        """Keep the image from being removed as long as the descriptor that this returns is open. Raises NotFound if it was.

        One lock an image: who makes a container or a name of it shares the lock on its config, who removes it has it alone.
        """
        import fcntl

        try:
            lock = os.open(self.store.blob_path(self.id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"No such image: {self.id}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if not self.is_listed():
                raise NotFound(f"No such image: {self.names[0] if self.names else self.id}")
        except BaseException:
            os.close(lock)
            raise
        return lock

    def is_listed(self) -> bool:
        """Whether a name still leads to it, or it is kept without one."""
        for name in self.names:
            entry = self.store._read_ref(f"{self.store.refs}/{encode_name(name)}")
            if entry is not None and entry["config"] == self.id:
                return True
        return any(entry["config"] == self.id for entry in self.store.entries())


class Store:
    """The images below one root."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.blobs = f"{root}/blobs/sha256"
        self.layers = f"{root}/layers"
        self.refs = f"{root}/refs"

    def prepare(self) -> None:
        """Make the directories; before anything is added."""
        for path in (self.blobs, self.layers, self.refs):
            os.makedirs(path, mode=0o711, exist_ok=True)
        os.chmod(self.layers, 0o700)  # root's programs in there are the containers' alone

    # Reading

    def blob_path(self, digest: str) -> str:
        """Where a blob lies; the digest must be valid."""
        return f"{self.blobs}/{digest[7:]}"

    def has_blob(self, digest: str) -> bool:
        """Whether a blob is stored."""
        return os.path.exists(self.blob_path(digest))

    def read_blob(self, digest: str) -> bytes:
        """A small blob. Raises NotFound."""
        try:
            with open(self.blob_path(digest), "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise NotFound(f"read blob {digest}: not in the store") from None

    def ref_path(self, name: str) -> str:
        """The file of a name, as `Reference` prints it."""
        return f"{self.refs}/{encode_name(name)}"

    def layer_path(self, diff_id: str) -> str:
        """Directory of an extracted layer."""
        return f"{self.layers}/{diff_id[7:]}"

    def layer_size(self, diff_id: str) -> int:
        """Bytes of a layer's content."""
        try:
            with open(self.layer_path(diff_id) + ".json", "rb") as file:
                return int(json_loads(file.read())["size"])
        except FileNotFoundError:
            return 0

    def resolve(self, text: str) -> Image:
        """The image of a name, an id or a unique prefix of one. Raises NotFound in Docker's words."""
        found = self.find(text)
        if found is None:
            raise NotFound(f"No such image: {text if ':' in text or is_hex(text) else text + ':latest'}")
        return found

    def find(self, text: str) -> Image | None:
        """As `resolve`; None if there is none. Raises on an ambiguous prefix and on what is no name at all."""
        if is_digest(text):
            return self._by_id(text[7:])
        error: PyctrError | None = None
        try:
            reference = parse_reference(text)
        except PyctrError as caught:
            error = caught
        else:
            found = self._by_reference(reference)
            if found is not None:
                return found
        prefix = text.removeprefix("sha256:")
        if is_hex(prefix):
            return self._by_id(prefix)
        if error is not None:
            raise error
        return None

    def _by_reference(self, reference: Reference) -> Image | None:
        if reference.digest is None:
            entry = self._read_ref(self.ref_path(str(reference)))
            return Image(self, entry["config"], entry["manifest"], [entry["name"]]) if entry else None
        for image in self.images():
            if reference.digest in (image.manifest_digest, *image.digests.values()):
                names = [name for name in image.names if parse_reference(name).name == reference.name]
                if names:
                    return image
        return None

    def _by_id(self, prefix: str) -> Image | None:
        found = [image for image in self.images() if image.id.startswith(prefix, 7)]
        if len({image.id for image in found}) > 1:
            raise PyctrError(f"reading image {prefix!r}: ambiguous image ID")
        return found[0] if found else None

    @staticmethod
    def _read_ref(path: str) -> dict[str, str] | None:
        try:
            with open(path, "rb") as file:
                entry = json_loads(file.read())
        except FileNotFoundError:
            return None
        if not isinstance(entry, dict) or not is_digest(str(entry.get("config"))):
            raise CorruptData(f"read {path}: malformed")
        return entry

    def entry(self, name: str) -> dict[str, str] | None:
        """What a name, as `Reference` prints it, leads to: name, manifest, config, digest at its registry."""
        return self._read_ref(self.ref_path(name))

    def entries(self) -> Iterator[dict[str, str]]:
        """Every name's entry: name, manifest, config."""
        try:
            files = sorted(os.listdir(self.refs))
        except FileNotFoundError:
            return
        for file in files:
            if not file.startswith("."):
                entry = self._read_ref(f"{self.refs}/{file}")
                if entry is not None:
                    yield entry

    def images(self) -> list[Image]:
        """Every image once, with all its names (none: it was loaded without one, or lost its last)."""
        by_id: dict[str, Image] = {}
        for entry in self.entries():
            image = by_id.setdefault(entry["config"], Image(self, entry["config"], entry["manifest"], []))
            if entry["name"]:
                image.names.append(entry["name"])
                if entry.get("digest"):
                    image.digests[entry["name"]] = entry["digest"]
        return list(by_id.values())

    # Writing; the rest of it is pyctr.image.write, which a start does not need

    def tag(self, image_id: str, manifest_digest: str, name: str) -> None:
        """Let a name lead to an image; an image that loses its last name by this stays, nameless."""
        from pyctr.image import write

        write.tag(self, image_id, manifest_digest, name)


def entry_bytes(name: str, manifest_digest: str, config_digest: str, digest: str = "") -> bytes:
    """The content of a file in `refs/`; `digest` is the name's at its registry, where it was pulled from or pushed to."""
    entry = {"name": name, "manifest": manifest_digest, "config": config_digest}
    return json_dumps({**entry, "digest": digest} if digest else entry)
