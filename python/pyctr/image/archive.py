"""Archives of images: docker-archive (`docker save`, `podman save`) and OCI layout, read in one pass from any stream.

Members come in any order, so each is stored under its digest first; what the archive's own lists do not lead to is
collected again. Every byte is hashed; names inside an archive never become paths of ours.
"""

from __future__ import annotations

import os

from pyctr._core import ArchiveReader
from pyctr.errors import CorruptData, InvalidArgument, NotFound
from pyctr.image import write
from pyctr.image.manifest import (
    INDEXES,
    MANIFEST_MAX_BYTES,
    MANIFESTS,
    OCI_LAYER,
    Descriptor,
    choose_platform,
    clean,
    fits_platform,
    host_platform,
    parse_config,
    parse_json,
    parse_manifest,
    platform_text,
)
from pyctr.image.reference import is_digest, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr._core import Member
    from pyctr.image.store import Image, Store

    Platform = tuple[str, str, str]

_LISTS = frozenset(("manifest.json", "index.json", "oci-layout", "repositories", "version"))
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_MEMBERS_MAX = 100_000


class Contents:
    """What an archive held: its lists as bytes, every other file by its digest, links by their target."""

    __slots__ = ("blobs", "links", "lists")

    def __init__(self) -> None:
        self.lists: dict[str, bytes] = {}
        self.blobs: dict[str, str] = {}
        self.links: dict[str, str] = {}

    def digest_of(self, name: str) -> str:
        """The digest of a member, through the archive's own links. Raises CorruptData if it is missing."""
        name = _clean(name)
        for _ in range(8):
            if name in self.blobs:
                return self.blobs[name]
            if name not in self.links:
                break
            name = self.links[name]
        raise CorruptData(f"load archive: {name} is missing")


def load(store: Store, fd: int, platform: Platform | None = None, *, sync: bool = True) -> list[Image]:
    """Load every image of an archive. On any error the store is as before. Without `sync` the caller settles afterwards."""
    try:
        with write.adding(store):
            contents = read_members(store, fd)
            return add_images(store, contents, platform, sync=sync)
    except BaseException:
        write.sweep(store)
        raise


def _clean(name: str) -> str:
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def checked_members(reader: ArchiveReader) -> Iterator[Member]:
    """The members; what does not even begin as a tar is said to be none, not to have this or that field wrong."""
    members = iter(reader)
    try:
        first = next(members, None)
    except CorruptData:
        raise CorruptData("load archive: this is no tar archive") from None
    if first is not None:
        yield first
        yield from members


def read_members(store: Store, fd: int) -> Contents:
    """Read an archive to its end, storing files by digest."""
    contents = Contents()
    reader = ArchiveReader(fd)
    for count, member in enumerate(checked_members(reader)):
        if count >= _MEMBERS_MAX:
            raise CorruptData(f"load archive: more than {_MEMBERS_MAX} members")
        name = _clean(member.name)
        if member.kind == "file" and name in _LISTS:
            contents.lists[name] = reader.read(MANIFEST_MAX_BYTES)
        elif member.kind == "file":
            digest = None
            if name.startswith("blobs/sha256/"):
                digest = "sha256:" + name.removeprefix("blobs/sha256/")
                if not is_digest(digest):
                    raise CorruptData(f"load archive: {name} is not named by a digest")
            contents.blobs[name] = reader.store_blob(store.blobs, digest=digest).digest
        elif member.kind == "symlink":
            contents.links[name] = _clean(f"{os.path.dirname(name)}/{member.linkname}")
        elif member.kind == "hardlink":
            contents.links[name] = _clean(member.linkname)
        elif member.kind != "directory":
            raise CorruptData(f"load archive: {name} is a {member.kind}")
    return contents


def add_images(store: Store, contents: Contents, platform: Platform | None = None, *, sync: bool = True) -> list[Image]:
    """Add the images an archive's lists name; of an image for several platforms that for `platform`, or for this machine."""
    if "index.json" in contents.lists:
        return _add_oci(store, contents, platform, sync=sync)
    if "manifest.json" in contents.lists:
        return _add_docker(store, contents, platform, sync=sync)
    raise CorruptData("load archive: neither manifest.json nor index.json is in it")


def check_platform(config: dict[str, Any], what: str, platform: Platform | None) -> None:
    """An image for one platform, where another one was asked for, is refused. Raises NotFound."""
    if platform is None or fits_platform(config, platform):
        return
    wanted = "/".join(part for part in platform if part)
    raise NotFound(
        f"image {what} was found but does not provide the specified platform ({wanted}): it is for {platform_text(config)}"
    )


def _add_docker(store: Store, contents: Contents, platform: Platform | None, *, sync: bool) -> list[Image]:
    entries = _json_list(contents.lists["manifest.json"])
    images = []
    for entry in entries:
        config_digest = contents.digest_of(str(entry.get("Config")))
        config = parse_config(store.read_blob(config_digest))
        members = entry.get("Layers")
        if not isinstance(members, list) or len(members) != len(config["rootfs"]["diff_ids"]):
            raise CorruptData("load archive: manifest.json and the image config do not name as many layers")
        layers = [(digest, layer_type(store, digest)) for digest in map(contents.digest_of, map(str, members))]
        names = [str(parse_reference(str(tag))) for tag in entry.get("RepoTags") or []]
        check_platform(config, ", ".join(map(str, entry.get("RepoTags") or [config_digest])), platform)
        manifest_digest = _manifest_for(store, config_digest, layers)
        images.append(write.add_image(store, manifest_digest, names, sync=sync))
    return images


def layer_type(store: Store, digest: str) -> str:
    """The media type of a stored layer, by its first bytes: docker-archive does not say it."""
    with open(store.blob_path(digest), "rb") as file:
        start = file.read(4)
    if start.startswith(b"\x1f\x8b"):
        return OCI_LAYER + "+gzip"
    return OCI_LAYER + "+zstd" if start == b"\x28\xb5\x2f\xfd" else OCI_LAYER


def _manifest_for(store: Store, config_digest: str, layers: list[tuple[str, str]]) -> str:
    """A manifest around a config that stays byte for byte what it was: its digest is the image's id."""
    from pyctr._core import json_dumps
    from pyctr.image.manifest import OCI_CONFIG, OCI_MANIFEST

    def size(digest: str) -> int:
        return os.path.getsize(store.blob_path(digest))

    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": size(config_digest)},
        "layers": [{"mediaType": kind, "digest": digest, "size": size(digest)} for digest, kind in layers],
    }
    return write.put_blob(store, json_dumps(manifest))


def _json_list(data: bytes) -> list[dict[str, Any]]:
    from pyctr._core import json_loads

    try:
        value = json_loads(data)
    except ValueError as error:
        raise CorruptData(f"read manifest.json: {error}") from None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise CorruptData("read manifest.json: not a list of images")
    return value


def _add_oci(store: Store, contents: Contents, platform: Platform | None, *, sync: bool) -> list[Image]:
    index = parse_json(contents.lists["index.json"], "index.json")
    descriptors = index.get("manifests")
    if not isinstance(descriptors, list):
        raise CorruptData("read index.json: no manifests")
    # One image of several names has several entries.
    found: dict[str, list[str]] = {}
    for value in descriptors:
        descriptor = Descriptor(value)
        manifest = _resolve(store, contents, descriptor, platform or host_platform())
        if platform is not None:
            config = parse_config(store.read_blob(parse_manifest(store.read_blob(manifest)).config.digest))
            check_platform(config, ", ".join(_names(descriptor)) or manifest, platform)
        found.setdefault(manifest, []).extend(_names(descriptor))
    return [write.add_image(store, manifest, names, sync=sync) for manifest, names in found.items()]


def _resolve(store: Store, contents: Contents, descriptor: Descriptor, platform: Platform, depth: int = 0) -> str:
    """The manifest a descriptor leads to on this machine, through nested indexes."""
    if depth > 4:
        raise CorruptData("read index.json: indexes nest too deep")
    contents.digest_of(f"blobs/sha256/{descriptor.digest[7:]}")
    data = store.read_blob(descriptor.digest)
    if len(data) != descriptor.size:
        raise CorruptData(f"read {descriptor.digest}: {len(data)} bytes, expected {descriptor.size}")
    value = parse_json(data, "manifest")
    kind = descriptor.media_type or str(value.get("mediaType"))
    if kind in MANIFESTS:
        return descriptor.digest
    if kind not in INDEXES:
        raise CorruptData(f"read {descriptor.digest}: media type {clean(kind)} is not supported")
    nested = [Descriptor(item) for item in value.get("manifests") or []]
    present = [item for item in nested if store.has_blob(item.digest)]
    return _resolve(store, contents, choose_platform(present, platform), platform, depth + 1)


def _names(descriptor: Descriptor) -> list[str]:
    """Docker and containerd annotate the full name; others a name, or only a tag, which names no repository."""
    for key in _NAMES:
        text = descriptor.annotations.get(key)
        if text and ("/" in text or ":" in text):
            try:
                return [str(parse_reference(text))]
            except InvalidArgument as error:
                raise CorruptData(f"load archive: {error}") from None
    return []
