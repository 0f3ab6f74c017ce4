"""`start`, `restart`, `kill`: operations on containers that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.compose.plan import names, resources
from pyctr.compose.plan.graph import Action, Operation, Plan, order_services
from pyctr.compose.plan.up import COMPLETED, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container, Observed


def plan_start(project: Project, observed: Observed) -> Plan:
    """Start what does not run, each service after what it depends on and under its conditions."""
    plan = Plan()
    starts: dict[str, tuple[str, ...]] = {}
    for name in order_services(resources.dependency_names(project)):
        stopped = [item for item in observed.of_service(name) if not item.is_active]
        needs = conditions(plan, project, observed, name, starts) if stopped else ()
        starts[name] = tuple(
            plan.add(
                Operation(
                    f"start:{item.id}",
                    Action.START,
                    f"Container {item.name}",
                    needs,
                    service=name,
                    number=item.number,
                    details={"id": item.id, "name": item.name},
                )
            )
            for item in stopped
        )
    return plan


def conditions(
    plan: Plan, project: Project, observed: Observed, name: str, starts: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """What must be so before a service starts; waits are added as they are needed."""
    found: list[str] = []
    for other, condition in names.dependencies(project.services[name]).items():
        kind = condition.get("condition", "service_started")
        if other not in project.services:
            continue
        if kind not in (HEALTHY, COMPLETED):
            found += starts.get(other, ())
            continue
        for item in observed.of_service(other):
            key = f"wait:{item.id}:{kind}"
            if key not in plan:
                plan.add(
                    Operation(
                        key,
                        Action.WAIT,
                        f"Container {item.name}",
                        starts.get(other, ()),
                        service=other,
                        number=item.number,
                        optional=not condition.get("required", True),
                        details={"id": item.id, "name": item.name, "condition": kind},
                    )
                )
            found.append(key)
    return tuple(found)


def plan_restart(
    project: Project, observed: Observed, services: Iterable[str], *, dependents: bool, timeout_s: float | None
) -> Plan:
    """Restart services in order; with `dependents` those too that ask for it by ``depends_on.restart``."""
    plan = Plan()
    chosen = set(services) or set(project.services)
    if dependents:
        for name, service in project.services.items():
            if any(other in chosen and how.get("restart") for other, how in names.dependencies(service).items()):
                chosen.add(name)
    keys: dict[str, tuple[str, ...]] = {}
    for name in order_services(resources.dependency_names(project)):
        if name not in chosen:
            continue
        needs = tuple(key for other in names.dependencies(project.services[name]) for key in keys.get(other, ()))
        keys[name] = tuple(
            plan.add(
                Operation(
                    f"restart:{item.id}",
                    Action.RESTART,
                    f"Container {item.name}",
                    needs,
                    service=name,
                    number=item.number,
                    details={"id": item.id, "timeout_s": timeout_s},
                )
            )
            for item in observed.of_service(name)
        )
    return plan


def plan_kill(containers: Iterable[Container], signal: str) -> Plan:
    """One signal for each."""
    plan = Plan()
    for item in containers:
        plan.add(
            Operation(
                f"kill:{item.id}",
                Action.KILL,
                f"Container {item.name}",
                service=item.service,
                number=item.number,
                details={"id": item.id, "signal": signal},
            )
        )
    return plan
