"""`run`: one more container of a service, for one command."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.execute import wants_terminal
from pyctr.cli.commands.compose.progress import make_report
from pyctr.cli.commands.compose.up import image_choices
from pyctr.compose.apply import images, oneoff
from pyctr.compose.apply.converge import converge
from pyctr.compose.apply.lock import project_lock
from pyctr.compose.plan.up import Choices
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project

#: Options of the command line that replace what the service says.
_REPLACED = ("name", "user", "workdir")
#: Those that come on top of it.
_ADDED = ("cap_add", "cap_drop", "publish", "volume")


def run(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Start what the service depends on, then its one-off container; the command's exit code."""
    service, *command = arguments
    if values.get("publish") and values.get("service_ports"):
        raise InvalidArgument("--service-ports and --publish are incompatible")
    project = common.selected(context, [service])
    if common.is_dry(context, values):
        name = project.separator.join((project.name, service, "run"))
        sys.stderr.write(f" DRY-RUN MODE -  Container {name}  Creating\n")
        return 0
    quiet = bool(values.get("quiet"))
    with make_report(context.settings, quiet=quiet) as report:
        if not values.get("no_deps"):
            start_dependencies(context, project, service, values, report)
        choices = image_choices(values)
        alone = common.selected(context, [service], dependencies=False)
        with project_lock(
            context.engine, project.name, lambda: common.warn("another command is changing this project")
        ):
            images.ensure_images(context.engine, alone, report, choices)
    detached = bool(values.get("detach"))
    options = changes(values, tty=wants_terminal(values) and not detached, detached=detached)
    result = oneoff.run(
        context.engine,
        project,
        service,
        command or None,
        options,
        ports=bool(values.get("service_ports")),
        aliases=bool(values.get("use_aliases")),
        warn=common.warn,
    )
    if detached:
        sys.stdout.write(f"{result}\n")
        return 0
    return int(result)


def start_dependencies(
    context: ComposeContext, project: Project, service: str, values: dict[str, Any], report: Any
) -> None:
    """Everything the service depends on runs, and meets its conditions."""
    needed = sorted(set(project.services) - {service})
    if not needed:
        return
    choices = Choices(remove_orphans=bool(values.get("remove_orphans")))
    converge(
        context.engine,
        common.selected(context, needed),
        choices,
        report,
        warn=common.warn,
        image_choices=image_choices(
            {key: values[key] for key in ("pull", "quiet_build", "quiet_pull") if key in values}
        ),
    )
    oneoff.wait_for_dependencies(context.engine, project, service, report)


def changes(values: dict[str, Any], *, tty: bool, detached: bool) -> dict[str, Any]:
    """The command line as options that replace or add to the service's."""
    found: dict[str, Any] = {key: values[key] for key in _REPLACED if key in values}
    found |= {key: values[key] for key in _ADDED if key in values}
    found["tty"] = tty
    found["interactive"] = bool(values.get("interactive", True)) and not detached
    found["detach"] = detached
    found["rm"] = bool(values.get("rm"))
    if "entrypoint" in values:
        found["entrypoint"] = shlex.split(values["entrypoint"]) or ""
    variables: list[str] = []
    if values.get("env_from_file"):
        from pyctr.engine.options.environment import read_file

        for path in values["env_from_file"]:
            variables += read_file(path, "env file", inherit=True)
    for text in values.get("env", ()):
        if "=" in text:
            variables.append(text)
        elif text in os.environ:
            variables.append(f"{text}={os.environ[text]}")
    if variables:
        found["env"] = variables
    if values.get("label"):
        found["label"] = values["label"]
    return found
