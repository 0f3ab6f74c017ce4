"""Relative paths of a model, made absolute below a directory (or relative to another, for what `extends` takes)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError
from pyctr.compose.rules import Rules, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.compose.errors import Path, Places

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/|docker-image:|oci-layout:")


#: Compose files that docker compose fetches.
_FETCHED = re.compile(r"(?:oci|git|ssh|https?)://|git@|github\.com/")


def refuse_remote(path: str, resolved: str) -> None:
    """Raise ComposeError for a compose file of somewhere else; `resolved` is what the path would be here."""
    if _FETCHED.match(path) and not os.path.exists(resolved):
        raise ComposeError(f"{path}: remote compose files are not supported, fetch it and name the local file")


def resolve_paths(tree: dict[str, Any], base: str, places: Places) -> dict[str, Any]:
    """The tree with every path of it below ``base``."""

    def walk(value: Any, path: Path, state: State) -> Any:
        rule = _RULES.at(state)
        if rule is not None:
            try:
                return rule(value, base)
            except (KeyError, ValueError) as error:
                raise places.error(path, str(error)) from error
        if isinstance(value, dict):
            return {key: walk(each, (*path, key), _RULES.step(state, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, (*path, index), _RULES.step(state, "[]")) for index, each in enumerate(value)]
        return value

    result: dict[str, Any] = walk(tree, (), _RULES.start)
    return result


def join(base: str, path: str) -> str:
    """``path`` below ``base``; ``~`` is the user's home directory."""
    if path == "~" or path.startswith("~/"):
        path = os.path.expanduser(path)
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(base, path))


def _path(value: Any, base: str) -> Any:
    if isinstance(value, list):
        return [_path(each, base) for each in value]
    return join(base, value) if isinstance(value, str) and value else value


def _context(value: Any, base: str) -> Any:
    """A build context: remote ones, other services and stages stay."""
    if not isinstance(value, str) or _REMOTE.match(value) or value.startswith(("service:", "target:")):
        return value
    return join(base, value)


def _watched(value: Any, base: str) -> Any:
    path = _path(value, base)
    return os.path.realpath(path) if isinstance(path, str) and os.path.isabs(base) and os.path.islink(path) else path


def _mount(value: Any, base: str) -> Any:
    if not isinstance(value, dict) or value.get("type") != "bind":
        return value
    if "source" not in value:
        raise ValueError('invalid mount config for type "bind": field Source must not be empty')
    return {**value, "source": _path(value["source"], base)}


def _volume(value: Any, base: str) -> Any:
    """A local volume that is in truth a bind mount."""
    options = value.get("driver_opts") if isinstance(value, dict) and value.get("driver") == "local" else None
    if not options or options.get("o") != "bind" or "device" not in options:
        return value
    return {**value, "driver_opts": {**options, "device": _path(options["device"], base)}}


_RULES: Rules[Callable[[Any, str], Any]] = Rules(
    {
        "services.*.build.context": _context,
        "services.*.build.additional_contexts.*": _context,
        "services.*.build.ssh.*": _path,
        "services.*.env_file.[].path": _path,
        "services.*.label_file.[]": _path,
        "services.*.extends.file": _path,
        "services.*.develop.watch.[].path": _watched,
        "services.*.volumes.[]": _mount,
        "configs.*.file": _path,
        "secrets.*.file": _path,
        "include.[].path": _path,
        "include.[].project_directory": _path,
        "include.[].env_file": _path,
        "volumes.*": _volume,
    }
)
