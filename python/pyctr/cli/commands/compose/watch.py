"""`watch`: files changed on the host reach containers, or have them built anew."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.progress import make_report
from pyctr.compose.apply import watch as looking
from pyctr.compose.apply.converge import converge
from pyctr.compose.apply.hooks import run_hook
from pyctr.compose.apply.images import ImageChoices
from pyctr.compose.plan.up import Choices
from pyctr.compose.plan.watch import Work, plan_work, triggers
from pyctr.errors import InvalidArgument, PyctrError

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project


def watch(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Build and start, then watch."""
    project = common.selected(context, arguments)
    check(project)
    if common.is_dry(context, values):
        for trigger in triggers(project):
            sys.stderr.write(f" DRY-RUN MODE -  {trigger.service}  {trigger.action} {trigger.path}\n")
        return 0
    if not values.get("no_up"):
        with make_report(context.settings) as report:
            converge(
                context.engine,
                project,
                Choices(),
                report,
                warn=common.warn,
                image_choices=ImageChoices(build=True, quiet_build=bool(values.get("quiet"))),
            )
    return watch_project(context, project, values)


def check(project: Project) -> None:
    """Raise InvalidArgument where there is nothing to watch."""
    if not triggers(project):
        raise InvalidArgument(
            "none of the selected services is configured for watch, consider setting a 'develop' section"
        )


def watch_project(context: ComposeContext, project: Project, values: dict[str, Any]) -> int:
    """Look at the files until Ctrl-C."""
    check(project)
    found = triggers(project, ignore_files=ignore_files(project))
    for trigger in found:
        if not os.path.exists(trigger.path):
            common.warn(f"{trigger.service}: watched path {trigger.path} does not exist")
    before = looking.look(found)
    first = [trigger for trigger in found if trigger.initial_sync and trigger.action.startswith("sync")]
    say("Watch enabled")
    try:
        if first:
            perform(context, project, plan_work(first, looking.look(first)), values)
        while True:
            time.sleep(looking.INTERVAL_S)
            now = looking.look(found)
            changed = looking.difference(before, now)
            before = now
            if changed:
                perform(context, project, plan_work(found, changed), values)
    except KeyboardInterrupt:
        return 0


def say(message: str) -> None:
    """A line of docker compose's kind."""
    sys.stdout.write(f"        ⦿ {message}\n" if sys.stdout.isatty() else f"{message}\n")
    sys.stdout.flush()


def ignore_files(project: Project) -> dict[str, str]:
    """Build context → its .dockerignore."""
    found = {}
    for service in project.services.values():
        context = (service.get("build") or {}).get("context") or ""
        try:
            with open(f"{context}/.dockerignore", encoding="utf-8", errors="surrogateescape") as file:
                found[context] = file.read()
        except OSError:
            continue
    return found


def perform(context: ComposeContext, project: Project, works: list[Work], values: dict[str, Any]) -> None:
    """Do what changes ask for. A failure is told; watching goes on."""
    for work in works:
        try:
            if work.rebuild:
                rebuild(context, project, work.service, values)
            else:
                refresh(context, project, work)
        except PyctrError as error:
            common.warn(f"{work.service}: {error}")


def rebuild(context: ComposeContext, project: Project, service: str, values: dict[str, Any]) -> None:
    """A new image, and containers of it."""
    from pyctr.compose import select

    say(f"Rebuilding service(s) [{service!r}] after changes were detected...".replace("'", '"'))
    with make_report(context.settings) as report:
        converge(
            context.engine,
            select(project, [service]),
            Choices(targets=frozenset({service})),
            report,
            warn=common.warn,
            image_choices=ImageChoices(build=True, quiet_build=bool(values.get("quiet"))),
        )
    if values.get("prune", True):
        context.engine.images.prune()
    say(f"service(s) [{service!r}] successfully built".replace("'", '"'))


def refresh(context: ComposeContext, project: Project, work: Work) -> None:
    """Files into every container of the service, then what follows."""
    containers = [item for item in common.observed(context, project).of_service(work.service) if item.is_active]
    if work.files:
        say(f"Syncing service {work.service!r} after {len(work.files)} changes were detected".replace("'", '"'))
    for item in containers:
        if work.files:
            looking.put(context.engine, item.id, work.files)
        if work.restart:
            context.engine.containers.restart(item.id)
        for hook in work.hooks:
            run_hook(context.engine, item.id, hook)
    if work.restart:
        say(f"service(s) [{work.service!r}] restarted".replace("'", '"'))
