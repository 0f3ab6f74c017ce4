"""A container of `run`: a service's, for one command, with a name and labels that tell it from the service's own."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from pyctr.compose.apply import files, wait
from pyctr.compose.apply.steps import own_labels
from pyctr.compose.plan import endpoints, labels, names, options, resources
from pyctr.compose.plan.graph import Plan
from pyctr.compose.plan.up import COMPLETED, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyctr.compose import Project
    from pyctr.compose.apply.execute import Report
    from pyctr.engine import Engine

_SLUG_BYTES = 6
_ADDED = ("cap_add", "cap_drop", "publish", "volume", "env")


def plan_options(
    project: Project, model: Mapping[str, Any], changes: Mapping[str, Any], *, slug: str, ports: bool, aliases: bool
) -> dict[str, Any]:
    """The service's options with the command line's over them."""
    given = options.container_options(project, model, 1)
    given["name"] = project.separator.join((project.name, model["name"], "run", slug))
    for key in ("restart", "restart_delay", "restart_window"):
        given.pop(key, None)
    if not ports:
        given.pop("publish", None)
    if not aliases:
        for key in ("network", "link"):
            given.pop(key, None)
        endpoints.plan(given, project, {**model, "ports": None}, one_off=True)
    for key, value in changes.items():
        if key == "label":
            continue
        given[key] = [*given.get(key, ()), *value] if key in _ADDED else value
    return given


def run(
    engine: Engine,
    project: Project,
    service: str,
    command: list[str] | None,
    changes: Mapping[str, Any],
    *,
    ports: bool,
    aliases: bool,
    warn: Callable[[str], None],
) -> int | str:
    """Make it and run it: the exit code, or the id with ``detach``. Networks and volumes it needs are made."""
    model = resources.described(project, service)
    slug = os.urandom(_SLUG_BYTES).hex()
    prepare(engine, project, service)
    image = names.image_name(project, model)
    given = plan_options(project, model, changes, slug=slug, ports=ports, aliases=aliases)
    found = files.materials(project, model)
    given.setdefault("mount", []).extend(files.mount(engine, project, found))
    own = own_labels(engine, project, model, 1, image=image, digest=files.digest(found))
    own |= {labels.ONEOFF: "True", labels.SLUG: slug}
    asked = dict(text.partition("=")[::2] for text in changes.get("label", ()))
    options.plan_labels(given, {**model, "labels": {**(model.get("labels") or {}), **asked}}, own)
    words = command if command is not None else list(model.get("command") or [])
    created = engine.containers.prepare_run(image, words, given)
    for warning in created.warnings:
        warn(warning)
    return engine.containers.run_created(created, given)


def prepare(engine: Engine, project: Project, service: str) -> None:
    """Networks and volumes of one service."""
    from pyctr.compose import select
    from pyctr.compose.apply.observe import observe
    from pyctr.compose.apply.steps import Steps

    alone = select(project, [service], dependencies=False)
    plan = Plan()
    observed = observe(engine, project.name)
    resources.plan_networks(plan, alone, observed)
    resources.plan_volumes(plan, alone, observed)
    steps = Steps(engine, project, stop=threading.Event(), warn=lambda _text: None)
    for operation in plan.operations:
        steps.perform(operation)


def wait_for_dependencies(engine: Engine, project: Project, service: str, report: Report) -> None:
    """Until every dependency is healthy, or done, as the service asks."""
    stop = threading.Event()
    for other, condition in names.dependencies(project.services[service]).items():
        kind = condition.get("condition")
        if kind not in (HEALTHY, COMPLETED) or other not in project.services:
            continue
        count = names.replicas(project.services[other])
        for number in range(1, count + 1):
            name = names.container_name(project, resources.described(project, other), number)
            report.event(f"Container {name}", "Waiting", state="working")
            word = wait.wait_for(engine, name, kind, stop)
            report.event(f"Container {name}", str(word), state="done")
