"""A failed update taken back: each old container, kept until now, takes its place again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pyctr.compose.plan.rollout import batches
from pyctr.errors import NotFound, PyctrError

if TYPE_CHECKING:
    from pyctr.compose.apply.execute import Report
    from pyctr.compose.apply.steps import Steps


def roll_back(steps: Steps, service: str, config: dict[str, Any], report: Report) -> None:
    """Put a service's replaced containers back, batch by batch, by `rollback_config`. Raises the last failure."""
    replaced = sorted(
        (number, old, name) for (owner, number), (old, name) in steps.replaced.items() if owner == service
    )
    failure: PyctrError | None = None
    for batch in batches(len(replaced), config["parallelism"]):
        if batch.start and config["delay_s"]:
            time.sleep(config["delay_s"])
        for index in batch:
            number, old, name = replaced[index]
            subject = f"Container {name}"
            report.event(subject, "Rolling back", state="working")
            try:
                put_back(steps, service, number, old, name, start_first=config["order"] == "start-first")
            except PyctrError as error:
                report.event(subject, "Error", state="error")
                failure = error
                if config["failure_action"] != "continue":
                    raise
            else:
                report.event(subject, "Rolled back", state="done")
    if failure is not None:
        raise failure


def put_back(steps: Steps, service: str, number: int, old: str, name: str, *, start_first: bool) -> None:
    """One container: what replaced it goes, it gets its name and runs."""
    containers = steps.engine.containers
    new = steps.ids.get((service, number), "")
    if start_first:
        containers.start(old)
    try:
        steps.take_away(service, new)
        steps.discard(new)
    except NotFound:  # it was never made
        pass
    if containers.inspect(old)["Name"] != f"/{name}":
        containers.rename(old, name)
    containers.start(old)
