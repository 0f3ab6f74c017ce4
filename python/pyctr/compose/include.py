"""``include``: other projects' files, each loaded in its own directory with its own variables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyctr.compose import envfile
from pyctr.compose.errors import ComposeError
from pyctr.compose.paths import refuse_remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose.load import Loader

KINDS = ("services", "volumes", "networks", "secrets", "configs", "models")


def included_resources(
    loader: Loader, entries: Any, directory: str, variables: Mapping[str, str], trail: tuple[str, ...]
) -> dict[str, Any]:
    """The resources of every include of a file, by kind. Raises ComposeError, naming cycles."""
    if not isinstance(entries, list):
        raise loader.places.error(("include",), "`include` must be a list")
    found: dict[str, Any] = {}
    for index, entry in enumerate(entries):
        model = _included(loader, _long(loader, entry, index), directory, variables, trail)
        for kind in KINDS:
            for name, resource in (model.get(kind) or {}).items():
                known = found.setdefault(kind, {})
                if name in known and known[name] != resource:
                    raise loader.places.error(("include", index), f"{kind}.{name} conflicts with imported resource")
                known[name] = resource
    return found


def _long(loader: Loader, entry: Any, index: int) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"path": [entry]}
    if not isinstance(entry, dict) or "path" not in entry or set(entry) - {"path", "project_directory", "env_file"}:
        raise loader.places.error(
            ("include", index), f"include[{index}] must be a path or a mapping of path, project_directory and env_file"
        )
    return {
        key: [value] if isinstance(value, str) and key != "project_directory" else value for key, value in entry.items()
    }


def _included(
    loader: Loader, entry: dict[str, Any], directory: str, variables: Mapping[str, str], trail: tuple[str, ...]
) -> dict[str, Any]:
    files = [os.path.normpath(os.path.join(directory, os.path.expanduser(path))) for path in entry["path"]]
    if not files:
        return {}
    for path, file in zip(entry["path"], files, strict=True):
        refuse_remote(path, file)
    if files[0] in trail:
        raise ComposeError("include cycle detected: " + " include ".join((*trail, files[0])))
    below = os.path.dirname(files[0])
    if entry.get("project_directory"):
        below = os.path.normpath(os.path.join(directory, entry["project_directory"]))
    env_files = [os.path.normpath(os.path.join(directory, path)) for path in entry.get("env_file") or ()]
    default = os.path.join(below, ".env")
    if not env_files and os.path.isfile(default):
        env_files = [default]
    found: dict[str, str] = {}
    for path in env_files:
        if path == os.devnull:
            continue
        try:
            found |= envfile.read(path, {**found, **variables})
        except OSError as error:
            raise ComposeError(f"open {path}: {(error.strerror or '').lower()}") from error
    return loader.model(files, below, {**found, **variables}, trail)
