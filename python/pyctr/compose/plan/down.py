"""`down`, `stop`, `rm`, `restart`, `start`: what happens to containers that are there, dependents before dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import endpoints, labels, names, resources
from pyctr.compose.plan.graph import Action, Operation, Plan, order_services
from pyctr.compose.plan.up import remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container, Observed


def dependencies_of(project: Project | None, observed: Observed) -> dict[str, list[str]]:
    """Service → what it depends on: by the file, else by the labels its containers carry."""
    found: dict[str, list[str]] = {}
    for item in observed.containers:
        found.setdefault(item.service, []).extend(part.partition(":")[0] for part in item.depends_on.split(",") if part)
    if project is not None:
        for name, service in {**project.services, **project.disabled}.items():
            found[name] = list(names.dependencies(service))
    return {name: [other for other in others if other in found] for name, others in found.items()}


def plan_stop(
    project: Project | None, observed: Observed, containers: Sequence[Container], *, timeout_s: float | None = None,
    grace: dict[str, float] | None = None,
) -> tuple[Plan, dict[str, tuple[str, ...]]]:  # fmt: skip
    """Stop containers, a service after all that depend on it; also service → keys of its stops."""
    plan = Plan()
    stops: dict[str, tuple[str, ...]] = {}
    dependencies = dependencies_of(project, observed)
    for name in reversed(order_services(dependencies)):
        dependents = [other for other, needs in dependencies.items() if name in needs]
        after = tuple(key for other in dependents for key in stops.get(other, ()))
        wait_s = timeout_s if timeout_s is not None else (grace or {}).get(name)
        own = [item for item in containers if item.service == name]
        keys = []
        for item in own:
            operation = resources.stop(item, key=f"stop:{item.id}", timeout_s=wait_s)
            keys.append(plan.add(_after(operation, after)))
        stops[name] = tuple(keys) or after
    return plan, stops


def _after(operation: Operation, keys: tuple[str, ...]) -> Operation:
    return operation._replace(after=(*operation.after, *keys))


def plan_down(
    project: Project, observed: Observed, *, services: Iterable[str] = (), remove_orphans: bool = False,
    volumes: bool = False, images: str = "", timeout_s: float | None = None, grace: dict[str, float] | None = None,
) -> Plan:  # fmt: skip
    """Stop and remove containers, then networks, on request volumes and images."""
    wanted = set(services)
    known = {*project.services, *project.disabled}
    own = [item for item in observed.containers if item.service in known and not item.one_off]
    orphans = [item for item in observed.containers if item not in own]
    chosen = [item for item in own if not wanted or item.service in wanted]
    if remove_orphans and not wanted:
        chosen += orphans
    plan, _ = plan_stop(project, observed, chosen, timeout_s=timeout_s, grace=grace)
    if orphans and not remove_orphans and not wanted:
        listed = " ".join(item.name for item in orphans)
        plan.warnings.append(
            f"Found orphan containers ([{listed}]) for this project. If you removed or renamed this service in your "
            "compose file, you can run this command with the --remove-orphans flag to clean it up."
        )
    gone = tuple(
        plan.add(remove(item, (f"stop:{item.id}",), volumes=volumes, key=f"remove:{item.id}")) for item in chosen
    )
    if not wanted:
        _plan_networks(plan, project, observed, gone)
        _plan_release(plan, project, observed, gone)
    if volumes and not wanted:
        _plan_volumes(plan, project, observed, gone)
    if images:
        _plan_images(plan, project, gone, images, wanted)
    return plan


def _plan_networks(plan: Plan, project: Project, observed: Observed, gone: tuple[str, ...]) -> None:
    """A network goes after its containers: one that could not be removed can be started again."""
    declared = resources_of(project.model.get("networks"))
    for name, found in observed.networks.items():
        if found.get(labels.PROJECT) == project.name and (name in declared or found.get(labels.NETWORK)):
            plan.add(
                Operation(
                    f"remove-network:{name}",
                    Action.REMOVE_NETWORK,
                    f"Network {name}",
                    after=gone,
                    details={"name": name},
                )
            )


def _plan_volumes(plan: Plan, project: Project, observed: Observed, gone: tuple[str, ...]) -> None:
    declared = resources_of(project.model.get("volumes"))
    for name, found in observed.volumes.items():
        if name in declared and found.get(labels.PROJECT) == project.name:
            plan.add(
                Operation(
                    f"remove-volume:{name}", Action.REMOVE_VOLUME, f"Volume {name}", after=gone, details={"name": name}
                )
            )


def _plan_release(plan: Plan, project: Project, observed: Observed, gone: tuple[str, ...]) -> None:
    """Virtual addresses that networks of others keep for the project's services."""
    declared = project.model.get("networks") or {}
    for name, service in project.services.items():
        kept_under = endpoints.virtual_name(project, {**service, "name": name})
        for key in endpoints.service_networks(service) if kept_under else ():
            network = declared[key]
            if network.get("external") and network["name"] in observed.networks:
                plan.add(
                    Operation(
                        f"release:{key}:{name}",
                        Action.RELEASE,
                        f"Virtual address {kept_under}",
                        after=gone,
                        details={"network": network["name"], "key": kept_under},
                    )
                )


def resources_of(entries: dict[str, Any] | None) -> set[str]:
    """Names of the networks or volumes that are the project's own."""
    return {entry["name"] for entry in (entries or {}).values() if not entry.get("external")}


def _plan_images(plan: Plan, project: Project, gone: tuple[str, ...], which: str, wanted: set[str]) -> None:
    """``--rmi``: `all`, or with `local` only those without a name of their own."""
    found: dict[str, None] = {}
    for name, service in project.services.items():
        if wanted and name not in wanted:
            continue
        if which == "all" or not service.get("image"):
            found[names.image_name(project, {**service, "name": name})] = None
    for image in found:
        plan.add(
            Operation(
                f"remove-image:{image}", Action.REMOVE_IMAGE, f"Image {image}", after=gone, details={"name": image}
            )
        )
