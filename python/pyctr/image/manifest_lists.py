"""Manifest lists in the making (`manifest create`): ``ROOT/manifests/<name>.json``, one file a list, until it is removed.

An entry is what `manifest inspect -v` shows of an image: Ref, Descriptor, Raw (the manifest's bytes), the manifest itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os

from pyctr._core import json_dumps, json_loads, write_atomic
from pyctr.errors import CorruptData
from pyctr.image.manifest import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST
from pyctr.image.store import encode_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Entry = dict[str, Any]

_DESCRIPTOR = ("mediaType", "size", "digest", "platform")
#: Of an image config and of a descriptor alike.
PLATFORM_FIELDS = ("architecture", "os", "os.version", "os.features", "variant")


class ManifestLists:
    """The lists below one root. A reader takes no lock; who changes a list holds `changing` from reading to writing."""

    def __init__(self, root: str) -> None:
        self.directory = f"{root}/manifests"

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes a list meanwhile; what a killed command left of one is removed."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        lock = os.open(f"{self.directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name in os.listdir(self.directory):
                if name.startswith("."):
                    os.unlink(f"{self.directory}/{name}")
            yield
        finally:
            os.close(lock)

    def read(self, name: str) -> list[Entry] | None:
        """The entries of a list, in the order in which they are pushed; None if there is no such list."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                entries = json_loads(file.read())
        except FileNotFoundError:
            return None
        except ValueError:
            entries = None
        if not isinstance(entries, list):
            raise CorruptData(f"read {path}: malformed")
        return entries

    def write(self, name: str, entries: list[Entry]) -> None:
        """Keep a list; of several entries of one reference the last."""
        by_name = {entry["Ref"]: entry for entry in entries}
        ordered = [by_name[key] for key in sorted(by_name, key=_file_name_of_docker)]
        write_atomic(self._path(name), json_dumps(ordered))

    def remove(self, name: str) -> bool:
        """Forget a list; whether there was one."""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return False
        return True

    def _path(self, name: str) -> str:
        return f"{self.directory}/{encode_name(name)}.json"


def _file_name_of_docker(reference: str) -> bytes:
    """Docker's order is that of its files, and an index's digest depends on it."""
    return reference.replace("/", "_").replace(":", "-").encode()


def render_index(entries: list[Entry]) -> tuple[bytes, str]:
    """The index of a list, byte for byte as Docker's client makes it, and its media type: OCI's if every image is OCI's."""
    descriptors = [entry["Descriptor"] for entry in entries]
    media_type = OCI_INDEX if all(item["mediaType"] == OCI_MANIFEST for item in descriptors) else DOCKER_INDEX
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors}
    return render_list(value).encode(), media_type


def render_list(value: dict[str, Any]) -> str:
    """An index as Docker shows it: fields in its order, what it does not know of after them."""
    manifests = []
    for descriptor in value.get("manifests") or []:
        item = _ordered(descriptor, _DESCRIPTOR)
        if isinstance(item.get("platform"), dict):
            item["platform"] = order_platform(item["platform"])
        manifests.append(item)
    rest = {key: item for key, item in value.items() if key not in ("schemaVersion", "mediaType", "manifests")}
    head = {key: value[key] for key in ("schemaVersion", "mediaType") if key in value}
    return json.dumps({**head, "manifests": manifests, **rest}, indent=3, ensure_ascii=False)


def order_platform(platform: dict[str, Any]) -> dict[str, Any]:
    """A platform with its fields in Docker's order."""
    return _ordered(platform, PLATFORM_FIELDS)


def _ordered(value: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {**{key: value[key] for key in known if key in value}, **value}
