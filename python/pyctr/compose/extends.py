"""``extends``: a service begins as another one, of the same file or of another."""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr.compose.errors import ComposeError, Path, Places
from pyctr.compose.merge import merge_service
from pyctr.compose.paths import refuse_remote, resolve_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Reads another file's services as far as long forms: (absolute path) -> tree, resets.
    Reader = Callable[[str], "tuple[dict[str, Any], tuple[Path, ...]]"]
    Trail = tuple[tuple[str, str], ...]


class _File(NamedTuple):
    """The services of a file, and the paths it resets."""

    name: str
    directory: str
    services: dict[str, Any]
    resets: tuple[Path, ...]


class Extends:
    """The services of one file, extended."""

    def __init__(self, reader: Reader, places: Places) -> None:
        self.reader, self.places = reader, places

    def apply(self, tree: dict[str, Any], file: str, directory: str, resets: tuple[Path, ...]) -> dict[str, Any]:
        """The file's tree with ``extends`` done. Raises ComposeError, naming cycles."""
        services = tree.get("services")
        if not isinstance(services, dict):
            return tree
        here = _File(file, directory, services, resets)
        if not any(isinstance(each, dict) and "extends" in each for each in services.values()):
            return tree
        return {**tree, "services": {name: self.service(name, here, ()) for name in services}}

    def service(self, name: str, file: _File, trail: Trail) -> Any:
        """One service over what it extends, and that over what it extends in turn."""
        service = file.services[name]
        if not isinstance(service, dict) or "extends" not in service:
            return service
        extends = service["extends"]
        reference = {"service": extends} if isinstance(extends, str) else extends
        if not isinstance(reference, dict) or not isinstance(reference.get("service"), str):
            raise self.places.error(("services", name, "extends"), f"extends.{name}.service is required")
        if (file.name, name) in trail:
            raise ComposeError(_circle((*trail, (file.name, name))))
        trail = (*trail, (file.name, name))
        target, other = reference["service"], reference.get("file")
        if other:
            base = self.elsewhere(name, target, str(other), file, trail)
        elif target in file.services:
            base = self.service(target, file, trail)
        else:
            raise self.places.error(
                ("services", name, "extends"),
                f'cannot extend service "{name}" in {file.name}: service "{target}" not found',
            )
        own = {key: value for key, value in service.items() if key != "extends"}
        if base is None:
            return own
        return merge_service(without(copy.deepcopy(base), file.resets, name), own, name)

    def elsewhere(self, name: str, target: str, other: str, file: _File, trail: Trail) -> Any:
        """A service of another file, its paths made absolute."""
        path = os.path.normpath(os.path.join(file.directory, os.path.expanduser(other)))
        refuse_remote(other, path)
        if not os.path.isfile(path):
            raise self.places.error(("services", name, "extends"), f"cannot read {other}")
        tree, resets = self.reader(path)
        services = tree.get("services")
        if not isinstance(services, dict):
            raise ComposeError(f'cannot extend service "{name}" in {path}: no services section')
        if target not in services:
            raise self.places.error(
                ("services", name, "extends"),
                f'cannot extend service "{name}" in {file.name}: service "{target}" not found in {other}',
            )
        there = _File(path, os.path.dirname(path), services, resets)
        extended = self.service(target, there, trail)
        resolved = resolve_paths({"services": {target: extended}}, there.directory, self.places)
        return resolved["services"][target]


def without(service: Any, resets: tuple[Path, ...], name: str) -> Any:
    """A service without the keys that ``!reset`` or ``!override`` of the one that extends it take away."""
    for path in resets:
        if path[:2] == ("services", name) and len(path) > 2:
            drop(service, path[2:])
    return service


def drop(tree: Any, path: Path) -> None:
    """Remove a key, if it is there."""
    for part in path[:-1]:
        if isinstance(tree, list):
            if not isinstance(part, int) or part >= len(tree):
                return
        elif not isinstance(tree, dict) or part not in tree:
            return
        tree = tree[part]
    if isinstance(tree, dict):
        tree.pop(path[-1], None)


def _circle(trail: Trail) -> str:
    return "circular reference: " + " extends ".join(f"{service} in {file}" for file, service in trail)
