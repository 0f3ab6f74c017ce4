"""Secrets and configs: a file of the host is bound as it is; what has an owner, a mode, or no file gets a file of its own.

Such a file lies in ROOT/compose/PROJECT/files/, named after all that makes it what it is, so replicas share it and a
changed one is another file; those no container mounts any more are swept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr._core import sha256
from pyctr.compose.apply.lock import project_directory
from pyctr.compose.plan.mounts import long_form
from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project
    from pyctr.engine import Engine

_MODE = 0o444


class Material(NamedTuple):
    """One secret or config in one service: a file of the host, or content with owner and mode."""

    target: str
    source: str = ""
    content: bytes = b""
    uid: int = 0
    gid: int = 0
    mode: int = _MODE

    @property
    def name(self) -> str:
        """What the made file is called."""
        described = f"{self.uid}:{self.gid}:{self.mode:o}:".encode()
        return sha256(described + self.content)


def materials(project: Project, service: Mapping[str, Any]) -> list[Material]:
    """What a service's `secrets` and `configs` come to. Raises InvalidArgument, NotFound."""
    return [
        material(project, service["name"], kind, reference)
        for kind in ("secrets", "configs")
        for reference in service.get(kind) or ()
    ]


def material(project: Project, service: str, kind: str, reference: Mapping[str, Any]) -> Material:
    """One of them."""
    source = reference["source"]
    entry = (project.model.get(kind) or {}).get(source)
    if entry is None:
        raise InvalidArgument(f'service "{service}" refers to undefined {kind[:-1]} {source}')
    if entry.get("external"):
        raise InvalidArgument(f"unsupported external {kind[:-1]} {source}: there is no swarm that keeps it")
    if entry.get("driver") or entry.get("template_driver"):
        raise InvalidArgument(f"{kind}.{source}: drivers are not supported")
    target = reference.get("target") or source
    if not target.startswith("/"):
        target = ("/run/secrets/" if kind == "secrets" else "/") + target
    owned = any(reference.get(key) is not None for key in ("uid", "gid", "mode"))
    if entry.get("file") and not owned:
        return Material(target, source=entry["file"])
    return Material(
        target,
        content=content_of(project, kind, source, entry),
        uid=number(reference.get("uid"), f"services.{service}.{kind}.{source}.uid"),
        gid=number(reference.get("gid"), f"services.{service}.{kind}.{source}.gid"),
        mode=mode_of(reference.get("mode")),
    )


def content_of(project: Project, kind: str, source: str, entry: Mapping[str, Any]) -> bytes:
    """The bytes behind `file`, `content` or `environment`."""
    if entry.get("content") is not None:
        return str(entry["content"]).encode()
    if entry.get("environment"):
        value = project.environment.get(entry["environment"])
        if value is None:
            raise InvalidArgument(
                f'environment variable "{entry["environment"]}" required by {kind[:-1]} "{source}" is not set'
            )
        return str(value).encode()
    try:
        with open(entry["file"], "rb") as file:
            return file.read()
    except OSError as error:
        raise NotFound(f"{kind[:-1]} {source}: open {entry['file']}: {(error.strerror or '').lower()}") from None


def number(value: Any, where: str) -> int:
    """A uid or gid; names mean nothing outside the container."""
    text = str(value if value is not None else 0)
    if not text.isascii() or not text.isdigit():
        raise InvalidArgument(f"{where}: {text!r} is not a number")
    return int(text)


def mode_of(value: Any) -> int:
    """Permission bits, octal where they are text."""
    if value is None:
        return _MODE
    return value if isinstance(value, int) else int(str(value).removeprefix("0o"), 8)


def digest(found: list[Material]) -> str:
    """What of the files decides that a container is made anew: made ones; bound ones are seen live."""
    if not found:
        return ""
    text = "\n".join(f"{item.target}:{item.source or item.name}" for item in found)
    return sha256(text.encode())


def mount(engine: Engine, project: Project, found: list[Material]) -> list[str]:
    """Make the files that are not there yet; values of ``--mount``."""
    directory = f"{project_directory(engine, project.name)}/files"
    values = []
    for item in found:
        source = item.source or write(directory, item)
        values.append(long_form({"type": "bind", "source": source, "target": item.target}, read_only=True))
    return values


def write(directory: str, item: Material) -> str:
    """One file, complete or not there."""
    path = f"{directory}/{item.name}"
    if os.path.exists(path):
        return path
    os.makedirs(directory, 0o700, exist_ok=True)
    temporary = f"{path}.{os.urandom(8).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(item.content)
            file.flush()
            os.fchown(file.fileno(), item.uid, item.gid)
            os.fchmod(file.fileno(), item.mode)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def sweep(engine: Engine, project_name: str) -> None:
    """Remove made files that no container mounts, and the directory when nothing is left in it."""
    directory = project_directory(engine, project_name)
    try:
        present = os.listdir(f"{directory}/files")
    except FileNotFoundError:
        return
    used = {point["Source"] for _, record in engine.containers.store.records() for point in record["Mounts"]}
    for name in present:
        if f"{directory}/files/{name}" not in used:
            os.unlink(f"{directory}/files/{name}")
    for path in (f"{directory}/files", directory):
        try:
            os.rmdir(path)
        except OSError:  # not empty
            return
