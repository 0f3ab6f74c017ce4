"""`start`, `stop`, `restart`, `kill`, `rm`, `pause`, `unpause`, `wait`: what is done to containers that are there."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.cli.commands.compose.progress import make_report
from pyctr.compose.apply.converge import run
from pyctr.compose.apply.lock import project_lock
from pyctr.compose.plan import lifecycle as planning
from pyctr.compose.plan import names
from pyctr.compose.plan.down import plan_stop
from pyctr.compose.plan.graph import Plan
from pyctr.compose.plan.up import remove
from pyctr.errors import NotFound, PyctrError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container, Observed


def perform(
    context: ComposeContext, values: dict[str, Any], project: Project, make: Callable[[Observed], Plan]
) -> Plan:
    """Plan on what is there, while nobody else changes it; do it, or show it."""
    dry = common.is_dry(context, values)
    engine = context.engine
    with (
        make_report(context.settings, dry_run=dry) as report,
        project_lock(engine, project.name, lambda: common.warn("another command is changing this project")),
    ):
        plan = make(common.observed(context, project))
        for warning in plan.warnings:
            common.warn(warning)
        if dry:
            report.out.write(plan.render(prefix=report.prefix))
        else:
            run(engine, project, plan, report, warn=common.warn, parallel=common.parallel(context))
    return plan


def of_services(project: Project, observed: Observed, services: list[str]) -> list[Container]:
    """The project's own containers, of some services or of all."""
    known = {*project.services, *project.disabled}
    return [
        item
        for item in observed.containers
        if not item.one_off and item.service in known and (not services or item.service in services)
    ]


def stop(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Stop services, dependents first."""
    project = context.present()
    common.check_services(project, arguments)

    def make(observed: Observed) -> Plan:
        chosen = of_services(project, observed, arguments)
        return plan_stop(project, observed, chosen, timeout_s=common.timeout_of(values))[0]

    perform(context, values, project, make)
    return 0


def start(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Start services, with what they depend on first."""
    project = common.selected(context, arguments, present=True)

    def make(observed: Observed) -> Plan:
        for name, service in project.services.items():
            if not observed.of_service(name) and names.replicas(service):
                raise StateError(f'service "{name}" has no container to start')
        return planning.plan_start(project, observed)

    perform(context, values, project, make)
    return 0


def restart(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Restart containers, and those that depend on them with ``restart: true``."""
    project = context.present()
    common.check_services(project, arguments)

    def make(observed: Observed) -> Plan:
        return planning.plan_restart(
            project, observed, arguments, dependents=not values.get("no_deps"), timeout_s=common.timeout_of(values)
        )

    perform(context, values, project, make)
    return 0


def kill(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Send a signal to containers that run, those of `run` included."""
    from pyctr.engine.signals import parse_signal

    project = context.present()
    common.check_services(project, arguments)
    signal = values.get("signal", "SIGKILL")
    parse_signal(signal)

    def make(observed: Observed) -> Plan:
        known = {*project.services, *project.disabled}
        chosen = [
            item
            for item in observed.containers
            if item.is_active
            and (item.service in known or values.get("remove_orphans"))
            and (not arguments or item.service in arguments)
        ]
        if not chosen:
            sys.stderr.write("no container to kill\n")
        return planning.plan_kill(chosen, signal)

    perform(context, values, project, make)
    return 0


def rm(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Remove containers that do not run, after asking."""
    from pyctr.cli.ask import confirm

    project = context.present()
    common.check_services(project, arguments)
    if values.get("stop"):
        stop(context, {key: value for key, value in values.items() if key == "dry_run"}, arguments)
    stopped = [
        item
        for item in common.observed(context, project).containers
        if not item.is_active and item.service in {*project.services, *project.disabled}
        and (not arguments or item.service in arguments)
    ]  # fmt: skip
    if not stopped:
        sys.stderr.write("No stopped containers\n")
        return 0
    question = f"Going to remove {', '.join(item.name for item in stopped)}"
    if values.get("force"):
        sys.stdout.write(f"{question}\n")
        sys.stdout.flush()
    elif not confirm(question):
        return 0

    def make(observed: Observed) -> Plan:
        plan = Plan()
        ids = {item.id for item in stopped}
        for item in observed.containers:
            if item.id in ids:
                plan.add(remove(item, (), volumes=bool(values.get("volumes"))))
        return plan

    perform(context, values, project, make)
    return 0


def pause(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Stop every process."""
    return _freeze(context, values, arguments, word="Paused")


def unpause(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Let processes go on."""
    return _freeze(context, values, arguments, word="Unpaused")


def _freeze(context: ComposeContext, values: dict[str, Any], arguments: list[str], *, word: str) -> int:
    _, found = common.chosen(context, arguments)
    state = "running" if word == "Paused" else "paused"
    engine = context.engine
    dry = common.is_dry(context, values)
    with make_report(context.settings, dry_run=dry) as report:
        for item in found:
            if item.state == state:
                if not dry:
                    (engine.containers.pause if word == "Paused" else engine.containers.unpause)(item.id)
                report.event(f"Container {item.name}", word, state="done")
    return 0


def wait(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Wait for containers; the first exit code that is not 0. ``--down-project``: until the first ends, then down."""
    project, found = common.chosen(context, arguments)
    running = [item for item in found if item.is_active]
    if not running:
        raise NotFound(f'no containers for project "{project.name}"')
    codes: list[int] = []
    ended = threading.Event()

    def wait_one(item: Container) -> None:
        try:
            code = context.engine.containers.wait(item.id)
        except PyctrError:  # removed meanwhile
            code = 0
        codes.append(code)
        sys.stdout.write(f'container "{item.id}" exited with status code {code}\n')
        sys.stdout.flush()
        ended.set()

    threads = [threading.Thread(target=wait_one, args=(item,), daemon=True) for item in running]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not (values.get("down_project") and ended.is_set()):
        threads[0].join(0.1) if threads[0].is_alive() else ended.wait(0.1)
        threads = [thread for thread in threads if thread.is_alive()] or threads[:1]
    if values.get("down_project"):
        from pyctr.cli.commands.compose.down import take_down

        take_down(context, project, {}, [])
        return codes[0] if codes else 0
    return next((code for code in codes if code), 0)
