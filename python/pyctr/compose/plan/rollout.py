"""`deploy.update_config`: a service made anew a few containers at a time, old ones stopped first or new ones started first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan.graph import Action, Operation, Plan
from pyctr.engine.options.units import parse_duration
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECOND_NS = 1_000_000_000
ORDERS = ("stop-first", "start-first")
ACTIONS = ("pause", "continue", "rollback")


def settings(service: Mapping[str, Any], key: str = "update_config") -> dict[str, Any] | None:
    """An update or rollback configuration with its defaults; None where the service has none."""
    deploy = service.get("deploy") or {}
    given = deploy.get(key)
    if given is None:
        return None
    config = {
        "parallelism": int(given.get("parallelism", 1)),
        "delay_s": seconds(given.get("delay")),
        "failure_action": given.get("failure_action") or "pause",
        "monitor_s": seconds(given.get("monitor")),
        "max_failure_ratio": float(given.get("max_failure_ratio") or 0),
        "order": given.get("order") or "stop-first",
    }
    for name, known in (("order", ORDERS), ("failure_action", ACTIONS if key == "update_config" else ACTIONS[:2])):
        if config[name] not in known:
            raise InvalidArgument(
                f"services.{service['name']}.deploy.{key}.{name}: {config[name]} is not one of {', '.join(known)}"
            )
    if key == "update_config":
        config["rollback"] = settings(service, "rollback_config") or {
            "parallelism": 1, "delay_s": 0.0, "failure_action": "pause", "monitor_s": 0.0, "max_failure_ratio": 0.0,
            "order": "stop-first",
        }  # fmt: skip
    return config


def seconds(text: str | None) -> float:
    """A duration of the model."""
    return parse_duration(text) / _SECOND_NS if text else 0.0


def batches(count: int, parallelism: int) -> list[range]:
    """How many at a time; 0 means all at once."""
    size = parallelism or count
    return [range(start, min(start + size, count)) for start in range(0, count, size)] if count else []


def mark(steps: list[Operation], config: dict[str, Any], creates: list[str], plan: Plan) -> None:
    """Add the recreations of one service; they keep what they replace as long as it may come back."""
    for step in steps:
        details = {
            **step.details,
            "rollout": step.service,
            "order": config["order"],
            "keep": config["failure_action"] == "rollback",
        }
        creates.append(plan.add(step._replace(details=details)))


def chain(plan: Plan, service: str, model: Mapping[str, Any]) -> None:
    """Put the steps of one service's update in a row: batch after batch, each watched before the next begins."""
    config = plan.rollouts[service]
    positions = [
        index
        for index, step in enumerate(plan.operations)
        if step.action is Action.RECREATE and step.details.get("rollout") == service
    ]
    starts = {
        step.number: index for index, step in enumerate(plan.operations) if step.key.startswith(f"start:{service}:")
    }
    previous: tuple[str, ...] = ()
    config["total"] = len(positions)
    watched_by_health = bool((model.get("healthcheck") or {}).get("test"))
    for batch in batches(len(positions), config["parallelism"]):
        if previous and config["delay_s"]:
            pause = Operation(
                f"delay:{service}:{batch.start}",
                Action.PAUSE_BETWEEN,
                f"Service {service}",
                after=previous,
                service=service,
                details={"seconds": config["delay_s"], "rollout": service, "silent": True},
            )
            previous = (plan.add(pause),)
        ends = []
        for index in batch:
            step = plan.operations[positions[index]]
            start = plan.operations[starts[step.number]]
            # A container waits for its dependencies before its predecessor is taken away.
            conditions = tuple(need for need in start.needs if need != step.key)
            plan.operations[positions[index]] = step._replace(needs=(*step.needs, *conditions), after=previous)
            details = {**start.details, "rollout": service}
            plan.operations[starts[step.number]] = start._replace(details=details)
            ends.append(start.key)
            if config["monitor_s"] or watched_by_health:
                watch = Operation(
                    f"observe:{service}:{step.number}",
                    Action.OBSERVE,
                    step.subject,
                    (start.key,),
                    service=service,
                    number=step.number,
                    details={"name": step.details["name"], "monitor_s": config["monitor_s"], "rollout": service},
                )
                ends.append(plan.add(watch))
            if config["order"] == "start-first":
                finish = Operation(
                    f"finish:{service}:{step.number}",
                    Action.REMOVE,
                    step.subject,
                    (ends[-1],),
                    service=service,
                    number=step.number,
                    details={"replaced": step.number, "rollout": service, "silent": True},
                )
                ends.append(plan.add(finish))
        previous = tuple(ends)
    if config["failure_action"] == "rollback":
        plan.add(
            Operation(
                f"settle:{service}",
                Action.REMOVE,
                f"Service {service}",
                after=previous,
                service=service,
                details={"settle": service, "silent": True},
            )
        )
