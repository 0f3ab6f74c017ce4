"""`stats`, `cp`, `commit`, `export`: pyctr's own commands, a service standing for its container."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext

_OWN = ("index", "dry_run", "all")


def stats(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Show what the project's containers use."""
    from pyctr.cli.commands import stats as engine_stats

    _, found = common.chosen(context, arguments)
    ids = [item.id for item in found if item.is_active or values.get("all")]
    if not ids:
        from pyctr.cli.human import columns

        sys.stdout.write(columns([engine_stats._HEADERS[field] for field in engine_stats._DEFAULT], []))
        return 0
    return engine_stats.stats(context.engine, own(values), ids)


def own(values: dict[str, Any]) -> dict[str, Any]:
    """The options that are the engine's command's too."""
    return {key: value for key, value in values.items() if key not in _OWN}


def cp(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Copy between a service's container and the host; to a service of several, into each unless ``--index`` says one."""
    from pyctr.cli.commands.cp import cp as engine_cp
    from pyctr.cli.commands.cp import split

    source, target = (split(argument)[0] for argument in arguments)
    if source and target:
        raise InvalidArgument("copying between services is not supported")
    if not source and not target:
        raise InvalidArgument("unknown copy direction")
    project = context.present()
    service = source or target
    common.check_services(project, [service])
    found = [
        item
        for item in common.observed(context, project).containers
        if item.service == service and (values.get("all") or not item.one_off)
    ]
    index = common.integer(values["index"], "--index") if values.get("index") else 0
    if index:
        found = [item for item in found if item.number == index]
        if not found:
            raise NotFound(f'service "{service}" is not running container #{index}')
    if not found:
        raise NotFound(f'no container found for service "{service}"')
    for item in found[:1] if source else found:
        words = [
            argument.replace(f"{service}:", f"{item.id}:", 1) if split(argument)[0] else argument
            for argument in arguments
        ]
        shown = words[0].replace(item.id, item.name), words[1].replace(item.id, item.name)
        to_stdout = arguments[1] == "-"
        if common.is_dry(context, values):
            sys.stderr.write(f" DRY-RUN MODE -  {item.name} copy {shown[0]} to {shown[1]} Copied\n")
            continue
        if not to_stdout:
            sys.stderr.write(f" {item.name} copy {shown[0]} to {shown[1]} Copying\n")
        code = engine_cp(context.engine, {**own(values), "quiet": True}, words)
        if code:
            return code
        if not to_stdout:
            sys.stderr.write(f" {item.name} copy {shown[0]} to {shown[1]} Copied\n")
    return 0


def commit(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Make an image of a service's container."""
    from pyctr.cli.commands.images_io import commit as engine_commit

    item = common.one_container(context, arguments[0], values, running=False)
    if common.is_dry(context, values):
        sys.stderr.write(f" DRY-RUN MODE -  {item.name}  Committed\n")
        return 0
    sys.stderr.write(f" {item.name} Commit {item.name} Committing\n")
    code = engine_commit(context.engine, own(values), [item.id, *arguments[1:]])
    sys.stderr.write(f" {item.name} Commit {item.name} Committed\n")
    return code


def export(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Write a service's container's file system as a tar."""
    from pyctr.cli.commands.images_io import export as engine_export

    item = common.one_container(context, arguments[0], values, running=False)
    if common.is_dry(context, values):
        sys.stderr.write(f" DRY-RUN MODE -  {item.name}  Exported\n")
        return 0
    sys.stderr.write(f" {item.name} export {item.name} to {values.get('output', '-')} Exporting\n")
    code = engine_export(context.engine, own(values), [item.id])
    sys.stderr.write(f" {item.name} export {item.name} to {values.get('output', '-')} Exported\n")
    return code
