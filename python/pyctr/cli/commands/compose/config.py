"""`compose config`: what the files mean."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project

#: Docker's order: the first of these that is given decides what is printed.
_LISTS = ("services", "volumes", "networks")


def config(context: ComposeContext, values: dict[str, Any], services: list[str]) -> int:
    """Print the model, or names out of it."""
    from pyctr.compose import Options, select

    form = values.get("format", "")
    if form not in ("", "yaml", "json"):
        raise InvalidArgument(f'unsupported format "{form}"')
    options = Options(
        interpolate=not values.get("no_interpolate"),
        normalise=not values.get("no_normalize"),
        resolve_paths=not values.get("no_path_resolution"),
        consistency=not values.get("no_consistency"),
        # docker compose hashes here what the files say; `up` hashes what it knows of the env files too.
        resolve_environment=not values.get("no_env_resolution") and "hash" not in values,
    )
    if values.get("variables"):
        return _variables(context, form)
    profiles = ["*"] if values.get("profiles") else None
    project = select(context.load(profiles=profiles, options=options), services)
    if values.get("resolve_image_digests") or values.get("lock_image_digests"):
        from pyctr.cli.commands.compose.pin import pinned

        project = pinned(context.engine, project, only_images=bool(values.get("lock_image_digests")))
    text = _text(project, values, form or "yaml")
    if values.get("output"):
        with open(values["output"], "w", encoding="utf-8") as file:
            file.write(text)
    elif not values.get("quiet"):
        sys.stdout.write(text)
    return 0


convert = config


def _text(project: Project, values: dict[str, Any], form: str) -> str:
    """What the options ask to print."""
    for kind in _LISTS:
        if values.get(kind):
            return _lines(sorted(project.model.get(kind) or ()))
    if values.get("models"):
        models = (project.model.get("models") or {}).values()
        return _lines(sorted(each["model"] for each in models if each.get("model")))
    if "hash" in values:
        return _hashes(project, values["hash"])
    if values.get("profiles"):
        everything = {**project.services, **project.disabled}
        return _lines(sorted({name for each in everything.values() for name in each.get("profiles") or ()}))
    if values.get("images"):
        return _lines(sorted(image(project, name) for name in project.services))
    if values.get("environment"):
        return _lines(f"{name}={value}" for name, value in sorted(project.environment.items()))
    return render(project, form, interpolated=not values.get("no_interpolate"))


def _lines(words: Any) -> str:
    return "".join(f"{word}\n" for word in words)


def image(project: Project, service: str) -> str:
    """The image a service runs: its own, or the one that is built for it."""
    return str(project.services[service].get("image") or project.separator.join((project.name, service)))


def render(project: Project, form: str, *, interpolated: bool = True) -> str:
    """The model; dollar signs are doubled so that the output can be read again."""
    from pyctr.compose.render import to_json, to_yaml

    text = to_json(project.model) if form == "json" else to_yaml(project.model)
    return text.replace("$", "$$") if interpolated else text


def _hashes(project: Project, asked: str) -> str:
    from pyctr.compose import config_hash

    names: Sequence[str] = sorted(project.services) if asked == "*" else sorted(asked.split(","))
    for name in names:
        if name not in project.services:
            raise NotFound(f"no such service: {name}")
    return _lines(f"{name} {config_hash(project, name)}" for name in names)


def _variables(context: ComposeContext, form: str) -> int:
    """A table of the files' variables."""
    from pyctr.compose.variables import file_variables

    found = file_variables(context.settings.get("file"), context.settings.get("project_directory"), os.environ)
    if form == "json":
        fields = ("Name", "DefaultValue", "Required", "PresenceValue")
        sys.stdout.write(
            json.dumps({each[0]: dict(zip(fields, each, strict=True)) for each in found}, separators=(",", ":"))
        )
        return 0
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [(name, "true" if required else "false", default, present) for name, default, required, present in found]
    widths = [max(20, max(len(row[column]) for row in rows) + 3) for column in range(4)]
    for row in rows:
        line = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line}\n")
    return 0
