"""`images`: one row a name, found without reading a thousand files.

What a row needs of an image never changes: an image is its digest. So it is kept in one file, `images.summary`, with the state of
the directory of names that it was read from. It is believed only if that directory is as it was; it may be lost at any time.
"""

from __future__ import annotations

import os
import time

from pyctr._core import json_dumps, json_loads, write_atomic
from pyctr.errors import InvalidArgument
from pyctr.image.reference import parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.store import Store

    Filters = dict[str, list[str]]

_VERSION = 4
#: A directory's time has the kernel's tick: two changes within one look like one. So a summary is written only of a directory
#: that nobody touched for longer.
_SETTLED_NS = 50_000_000


class ImageSummary:
    """One row of `pyctr images`: one name, or a nameless image."""

    __slots__ = ("created", "created_s", "digest", "id", "labels", "repository", "size", "tag")

    def __init__(self, id: str, digest: str, name: str, facts: dict[str, Any]) -> None:
        self.id = id
        self.repository, self.tag = _split(name)
        self.digest = digest or "<none>"
        self.created: str = facts["created"]
        #: Seconds since 1970, 0 where it is not said.
        self.created_s: int = facts["created_s"]
        self.size: int = facts["size"]
        self.labels: dict[str, str] = facts["labels"]


def _split(name: str) -> tuple[str, str]:
    """Repository and tag as Docker shows them."""
    if not name:
        return "<none>", "<none>"
    repository, colon, tag = name.rpartition(":")
    if colon and "/" not in tag and "@" not in repository:  # as stored: with a tag, and most without a digest
        if repository.startswith("docker.io/"):
            rest = repository[10:].removeprefix("library/")
            return (repository[10:] if "/" in rest else rest), tag
        return repository, tag
    reference = parse_reference(name)
    return reference.familiar_name, reference.tag or "<none>"


def list_images(store: Store, filters: Filters) -> list[ImageSummary]:
    """Names of images, newest first. Raises InvalidArgument."""
    unknown = filters.keys() - {"reference", "dangling", "label", "before", "since", "until"}
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    names, facts = read_summary(store)
    rows = [ImageSummary(config, digest, name, facts[config]) for name, _, config, digest in names]
    for wanted in _predicates(store, filters):
        rows = [row for row in rows if wanted(row)]
    rows.sort(key=lambda row: (row.repository, row.tag))
    rows.sort(key=lambda row: row.created, reverse=True)  # RFC 3339 sorts as text, and to the nanosecond
    return rows


def read_summary(store: Store) -> tuple[list[list[str]], dict[str, dict[str, Any]]]:
    """Every name as [name, manifest, config, digest at its registry or ""], and of every config created, size and labels."""
    state = _state(store)
    path = f"{store.root}/images.summary"
    try:
        with open(path, "rb") as file:
            kept = json_loads(file.read())
        if kept["version"] == _VERSION and kept["state"] == state:
            return kept["names"], kept["images"]
        known = kept["images"] if kept["version"] == _VERSION else {}
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        known = {}  # none yet, or a damaged one
    names = [[entry["name"], entry["manifest"], entry["config"], entry.get("digest", "")] for entry in store.entries()]
    facts: dict[str, dict[str, Any]] = {}
    for _, manifest, config, _ in names:
        facts[config] = known.get(config) or _facts(store, manifest, config)
    if state and state[0] + _SETTLED_NS < time.time_ns() and os.access(store.root, os.W_OK):
        summary = {"version": _VERSION, "state": state, "names": names, "images": facts}
        write_atomic(path, json_dumps(summary), sync=False)
    return names, facts


def _state(store: Store) -> list[int]:
    """The directory of names, before it is read: any change moves its time."""
    try:
        status = os.stat(store.refs)
    except FileNotFoundError:
        return []
    return [status.st_mtime_ns, status.st_ino, status.st_ctime_ns]


def _facts(store: Store, manifest: str, config: str) -> dict[str, Any]:
    from pyctr.image.store import Image

    image = Image(store, config, manifest, [])
    labels = (image.config.get("config") or {}).get("Labels") or {}
    created = str(image.config.get("created") or "")
    return {"created": created, "created_s": _moment(created) // 10**9, "size": image.size, "labels": labels}


def _predicates(store: Store, filters: Filters) -> list[Any]:
    found: list[Any] = []
    if not filters:
        return found
    if filters.get("reference"):
        found.append(lambda row: any(name_matches(row, pattern) for pattern in filters["reference"]))
    for value in filters.get("dangling", []):
        if value.lower() not in ("true", "false", "1", "0"):
            raise InvalidArgument(f"invalid filter 'dangling={value}'")
        nameless = value.lower() in ("true", "1")
        found.append(lambda row, nameless=nameless: (row.repository == "<none>") == nameless)
    if filters.get("label"):
        from pyctr.engine.images.remove import has_label

        found.append(lambda row: all(has_label(row.labels, text) for text in filters["label"]))
    for text in filters.get("before", []):
        moment = _created(store, text)
        found.append(lambda row, moment=moment: _moment(row.created) < moment)
    for text in filters.get("since", []):
        moment = _created(store, text)
        found.append(lambda row, moment=moment: _moment(row.created) > moment)
    if filters.get("until"):
        from pyctr.engine import times

        if len(filters["until"]) > 1:
            raise InvalidArgument("more than one until filter specified")
        until = times.parse_moment(filters["until"][0], now_ns=time.time_ns())
        found.append(lambda row: _moment(row.created) < until)
    return found


def _created(store: Store, reference: str) -> int:
    return _moment(str(store.resolve(reference).config.get("created") or ""))


def _moment(created: str) -> int:
    from pyctr.engine import times

    return times.parse_time(created) if created else 0


def name_matches(row: ImageSummary, pattern: str) -> bool:
    """Whether a row's name matches a pattern as Docker's do: ``*`` stays within one component (distribution FamiliarMatch)."""
    if row.repository == "<none>":
        return False
    full = f"{row.repository}:{row.tag}"
    return any(_path_matches(pattern, text) for text in (full, row.repository))


def _path_matches(pattern: str, text: str) -> bool:
    import fnmatch

    wanted, given = pattern.split("/"), text.split("/")
    return len(wanted) == len(given) and all(
        fnmatch.fnmatchcase(part, glob) for part, glob in zip(given, wanted, strict=True)
    )
