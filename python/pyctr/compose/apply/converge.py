"""`up` and `create` as one use case: images, plan, doing it, and taking an update back that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.compose.apply import files, images, rollback
from pyctr.compose.apply.execute import Executor, Outcome
from pyctr.compose.apply.lock import project_lock
from pyctr.compose.apply.observe import observe_project
from pyctr.compose.apply.steps import Steps
from pyctr.compose.plan import resources
from pyctr.compose.plan.clash import check_ports
from pyctr.compose.plan.up import Choices, plan_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.compose import Project
    from pyctr.compose.apply.execute import Report
    from pyctr.compose.plan.graph import Operation, Plan
    from pyctr.engine import Engine


def plan_project(engine: Engine, project: Project, choices: Choices) -> Plan:
    """What `up` would do now."""
    digests = {
        name: files.digest(files.materials(project, resources.described(project, name))) for name in project.services
    }
    return plan_up(project, observe_project(engine, project), choices._replace(files=digests))


def converge(
    engine: Engine, project: Project, choices: Choices, report: Report, *, warn: Callable[[str], None],
    image_choices: images.ImageChoices | None = None, parallel: int = 0, wait_timeout_s: float | None = None,
    start: Callable[[str], object] | None = None,
) -> None:  # fmt: skip
    """Make a project what its file says. Raises the first error; what was done by then stays.

    `start` starts a container in the engine's place.
    """
    check_ports(project, choices.scale)

    def waiting() -> None:
        warn(f"another command is changing project {project.name}: waiting for it to end")

    with project_lock(engine, project.name, waiting):
        images.ensure_images(engine, project, report, image_choices or images.ImageChoices(), parallel=parallel)
        plan = plan_project(engine, project, choices)
        for warning in plan.warnings:
            warn(warning)
        run(
            engine,
            project,
            plan,
            report,
            warn=warn,
            parallel=parallel,
            wait_timeout_s=wait_timeout_s,
            timeout_s=choices.timeout_s,
            start=start,
        )
        files.sweep(engine, project.name)


def run(
    engine: Engine, project: Project, plan: Plan, report: Report, *, warn: Callable[[str], None], parallel: int = 0,
    wait_timeout_s: float | None = None, timeout_s: float | None = None, patient: bool = True,
    start: Callable[[str], object] | None = None,
) -> Outcome:  # fmt: skip
    """Do what a plan says; a rollout that fails is ended as its failure_action says.

    `patient`: after Ctrl-C what was begun is waited for.
    """
    failures: dict[str, int] = {}
    rolled_back: list[str] = []

    def tolerate(operation: Operation, error: BaseException) -> bool:
        service = str(operation.details.get("rollout") or "")
        config = plan.rollouts.get(service)
        if config is None:
            return False
        failures[service] = failures.get(service, 0) + 1
        if failures[service] / config["total"] <= config["max_failure_ratio"] or config["failure_action"] == "continue":
            warn(f"update of service {service}: {error}")
            return True
        if config["failure_action"] == "rollback":
            rolled_back.append(service)
        return False

    def perform(operation: Operation) -> str | None:
        return steps.perform(operation)

    executor = Executor(perform, report, parallel=parallel, tolerate=tolerate, patient=patient)
    steps = Steps(
        engine, project, stop=executor.stop, warn=warn, timeout_s=timeout_s, wait_timeout_s=wait_timeout_s, start=start
    )
    try:
        return executor.run(plan)
    except BaseException:
        for service in dict.fromkeys(rolled_back):
            warn(f"update of service {service} failed: rolling back")
            rollback.roll_back(steps, service, plan.rollouts[service]["rollback"], report)
        raise
