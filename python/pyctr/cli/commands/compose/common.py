"""What every compose command needs: the project with the services asked for, numbers, colours, a voice."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose.progress import ansi_mode
from pyctr.compose.apply.observe import observe
from pyctr.errors import InvalidArgument, NotFound, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container, Observed


def selected(
    context: ComposeContext, services: Sequence[str], *, dependencies: bool = True, present: bool = False
) -> Project:
    """The project with the services named (all without names) and what they depend on; `present` as in the context."""
    from pyctr.compose import select

    project = context.present() if present else context.project()
    return select(project, services, dependencies=dependencies) if services else project


def check_services(project: Project, services: Sequence[str]) -> None:
    """Raise NotFound for a name the file does not have."""
    for name in services:
        if name not in project.services and name not in project.disabled:
            raise NotFound(f"no such service: {name}")


def observed(context: ComposeContext, project: Project) -> Observed:
    """The project as it is now."""
    return observe(context.engine, project.name)


def chosen(
    context: ComposeContext, services: Sequence[str], *, one_off: bool = False
) -> tuple[Project, list[Container]]:
    """The project and its containers, of the services named or of all."""
    project = context.present()
    check_services(project, services)
    found = [
        item
        for item in observed(context, project).containers
        if (not services or item.service in services) and (one_off or not item.one_off)
    ]
    return project, found


def one_container(context: ComposeContext, service: str, values: dict[str, Any], *, running: bool = True) -> Container:
    """The container of a service that `--index` names, the first one without."""
    project = context.present()
    found = [item for item in observed(context, project).of_service(service) if item.is_active or not running]
    index = values.get("index")
    if index is not None and integer(index, "--index") > 0:
        found = [item for item in found if item.number == int(index)]
        if not found:
            raise NotFound(f'service "{service}" is not running container #{index}')
    if not found:
        raise StateError(f'service "{service}" is not running')
    return found[0]


def integer(text: str, flag: str) -> int:
    """A whole number, or pflag's refusal."""
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(
            f'invalid argument "{text}" for "{flag}" flag: strconv.ParseInt: parsing "{text}": invalid syntax'
        ) from None


def timeout_of(values: dict[str, Any]) -> float | None:
    """``--timeout``, in seconds."""
    return float(integer(values["timeout"], "-t, --timeout")) if "timeout" in values else None


def is_dry(context: ComposeContext, values: dict[str, Any]) -> bool:
    """``--dry-run``, before or after the command."""
    return bool(values.get("dry_run") or context.settings.get("dry_run"))


def warn(message: str) -> None:
    """A warning, on a line of its own."""
    sys.stderr.write(f"WARNING: {message}\n")
    sys.stderr.flush()


def use_colour(context: ComposeContext, values: dict[str, Any]) -> bool:
    """Whether names are coloured: on a terminal, unless told otherwise."""
    if values.get("no_color") or os.environ.get("NO_COLOR"):
        return False
    ansi = ansi_mode(context.settings)
    return ansi == "always" or (ansi == "auto" and sys.stdout.isatty())


def parallel(context: ComposeContext) -> int:
    """``--parallel``; 0 for the default, which -1 means too."""
    text = context.settings.get("parallel") or os.environ.get("COMPOSE_PARALLEL_LIMIT") or "-1"
    return max(0, integer(str(text), "--parallel"))
