"""Looking at watched files, and putting changed ones into containers."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from typing import TYPE_CHECKING

from pyctr.compose.plan.watch import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyctr.engine import Engine

#: How long files are left alone between two looks; an editor's several writes are one change.
INTERVAL_S = 0.5
Snapshot = dict[str, tuple[int, int, int]]


def look(found: Iterable[Trigger]) -> Snapshot:
    """Every watched file: time of its change, size, mode. Directories that are ignored are not entered."""
    files: Snapshot = {}
    for trigger in found:
        for path in walk(trigger, trigger.path):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            files[path] = (status.st_mtime_ns, status.st_size, status.st_mode)
    return files


def walk(trigger: Trigger, path: str) -> Iterator[str]:
    """The files of a trigger below a path."""
    if not os.path.isdir(path) or os.path.islink(path):
        if trigger.wants(path):
            yield path
        return
    try:
        with os.scandir(path) as iterator:
            entries = sorted(iterator, key=lambda entry: entry.name)
    except (FileNotFoundError, PermissionError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if Trigger(trigger.service, trigger.path, trigger.action, ignore=trigger.ignore).wants(entry.path):
                yield from walk(trigger, entry.path)
        elif trigger.wants(entry.path):
            yield entry.path


def difference(before: Snapshot, now: Snapshot) -> set[str]:
    """Files that came, changed or went."""
    return {path for path in before.keys() | now.keys() if before.get(path) != now.get(path)}


def put(engine: Engine, container_id: str, files: Iterable[tuple[str, str]]) -> None:
    """Write files into a running container, directories as needed; those that are gone are removed there."""
    gone = []
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for source, place in files:
            try:
                archive.add(source, arcname=place.lstrip("/"), recursive=False, filter=plain)
            except FileNotFoundError:
                gone.append(place)
    if gone:
        from pyctr.compose.apply.hooks import run_hook

        run_hook(engine, container_id, {"command": ["rm", "-rf", "--", *gone], "user": "root"})
    if packed.tell() > tarfile.RECORDSIZE or packed.getvalue().strip(b"\0"):
        unpack(engine, container_id, packed.getvalue())


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, as `docker compose watch` writes it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(engine: Engine, container_id: str, data: bytes) -> None:
    """A tar into the container's root."""
    from pyctr.engine.containers.copy import put_archive

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        put_archive(engine, container_id, "/", file.fileno(), archive=False)
