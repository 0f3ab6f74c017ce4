"""`inspect`, and its narrower forms."""

from __future__ import annotations

import sys

from pyctr._core import json_dumps
from pyctr.errors import InvalidArgument, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine


def inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show everything about containers and images."""
    kind = options.get("type", "")
    finders: dict[str, Callable[[str], dict[str, Any]]] = {
        "container": lambda name: _container(engine, name, options),
        "image": engine.images.inspect,
        "network": engine.networks.inspect,
        "volume": engine.volumes.inspect,
    }
    if options.get("size"):
        finders |= {name: _without_size(name, find) for name, find in finders.items() if name != "container"}
    if kind and kind not in finders:
        known = ", ".join(f'"{name}"' for name in finders)
        raise InvalidArgument(f'unknown type: "{kind}": must be one of {known}')
    words = "" if kind == "volume" else f"No such {kind or 'object'}"
    wanted = [finders[kind]] if kind else list(finders.values())
    return _show(engine, wanted, options, arguments, missing=words)


def container_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show everything about containers."""
    return _show(
        engine, [lambda name: _container(engine, name, options)], options, arguments, missing="No such container"
    )


def image_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show everything about images."""
    platform = options.get("platform")
    find = [lambda name: engine.images.inspect(name, platform=platform)]
    return _show(engine, find, options, arguments, missing="No such image")


def _without_size(kind: str, find: Callable[[str], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    def found(name: str) -> dict[str, Any]:
        value = find(name)
        sys.stderr.write(f"WARNING: --size ignored for {kind}\n")
        return value

    return found


def _container(engine: Engine, name: str, options: dict[str, Any]) -> dict[str, Any]:
    value = engine.containers.inspect(name)
    if options.get("size"):
        found = engine.containers.list(all=True, size=True, filters={"id": [value["Id"]]})
        if found and found[0].size:
            value["SizeRw"], value["SizeRootFs"] = found[0].size
    return value


def _show(
    engine: Engine,
    finders: list[Callable[[str], dict[str, Any]]],
    options: dict[str, Any],
    names: list[str],
    *,
    missing: str,
) -> int:
    template = options.get("format")
    render = None
    if template is not None and template != "json":
        from pyctr.cli.format import compile_template

        try:
            render = compile_template(template)
        except InvalidArgument as error:
            sys.stderr.write(f"pyctr: {error}\n")
            return error.exit_code  # Docker's 64, before anything is looked for
    values, errors = [], []
    for name in names:
        try:
            values.append(_find(finders, name, missing))
        except PyctrError as error:
            errors.append(str(error))
    if render is None:
        text = json_dumps(values, indent=4 if template is None else None).decode()
        sys.stdout.write(text + "\n")
    else:
        sys.stdout.write("".join(render(value) + "\n" for value in values))
    sys.stdout.flush()
    if errors:
        from pyctr.cli.help import hint_for
    for message in errors:
        hint = hint_for(engine.root, engine.run_root, message)
        sys.stderr.write(f"pyctr: {message}\n" + (f"{hint}\n" if hint else ""))
    return 1 if errors else 0


def _find(finders: list[Callable[[str], dict[str, Any]]], name: str, missing: str) -> dict[str, Any]:
    for find in finders:
        try:
            return find(name)
        except (NotFound, InvalidArgument):
            continue
    if missing == "No such image" and "@" not in name and ":" not in name.rpartition("/")[2]:
        name += ":latest"  # Docker says what it looked for
    raise NotFound(f"{missing}: {name}" if missing else f"get {name}: no such volume")
