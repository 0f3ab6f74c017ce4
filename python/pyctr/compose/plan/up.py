"""`up`, `create`, `scale`: from what is there to what the file says, as operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyctr.compose import config_hash
from pyctr.compose.plan import endpoints, names, resources, rollout
from pyctr.compose.plan.graph import Action, Operation, Plan, order_services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Container, Observed

    Service = Mapping[str, Any]

DIVERGED, FORCE, NEVER = "diverged", "force", "never"
HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"
#: What ``--wait`` waits for.
RUNNING = "running_or_healthy"


class Choices(NamedTuple):
    """What the command line says of how to get there."""

    #: Services asked for by name; the others of the project are there for their sake.
    targets: frozenset[str] = frozenset()
    recreate: str = DIVERGED
    recreate_dependencies: str = DIVERGED
    scale: Mapping[str, int] = {}
    start: bool = True
    wait: bool = False
    remove_orphans: bool = False
    renew_anonymous_volumes: bool = False
    timeout_s: float | None = None
    every_resource: bool = False
    #: Service → digest of its secrets and configs as they are now.
    files: Mapping[str, str] = {}


def plan_up(project: Project, observed: Observed, choices: Choices) -> Plan:
    """The whole way; raises InvalidArgument, NotFound for what cannot be."""
    return _Planner(project, observed, choices).plan()


class _Planner:
    def __init__(self, project: Project, observed: Observed, choices: Choices) -> None:
        self.project = project
        self.observed = observed
        self.choices = choices
        self.result = Plan()
        self.diverged_networks: set[str] = set()
        self.creates: dict[str, list[str]] = {}
        self.starts: dict[str, list[str]] = {}
        self.numbers: dict[str, list[tuple[int, str]]] = {}
        self.remade: set[str] = set()
        #: Containers stopped because what they depend on is made anew: container id → key of the stop.
        self.stopped: dict[str, str] = {}

    def plan(self) -> Plan:
        """Networks, volumes, orphans, then each service after those it depends on."""
        choices, plan = self.choices, self.result
        self._plan_orphans()
        self.diverged_networks = resources.plan_networks(
            plan, self.project, self.observed, every=choices.every_resource
        )
        resources.plan_volumes(plan, self.project, self.observed, every=choices.every_resource)
        order = order_services(resources.dependency_names(self.project))
        for name in order:
            self._plan_containers(name)
        if choices.start:
            for name in order:
                self._plan_starts(name)
        if choices.wait:
            self._plan_wait(order)
        return plan

    # -- containers ----------------------------------------------------------------------------------------------

    def _plan_orphans(self) -> None:
        known = {*self.project.services, *self.project.disabled}
        orphans = [item for item in self.observed.containers if item.service not in known or item.one_off]
        if not orphans:
            return
        if not self.choices.remove_orphans:
            listed = " ".join(item.name for item in orphans)
            self.result.warnings.append(
                f"Found orphan containers ([{listed}]) for this project. If you removed or renamed this service in "
                "your compose file, you can run this command with the --remove-orphans flag to clean it up."
            )
            return
        for item in orphans:
            self._remove(item)

    def _remove(self, item: Container) -> None:
        needs: tuple[str, ...] = ()
        if item.is_active:
            stop = resources.stop(item, key=f"stop:{item.id}", timeout_s=self.choices.timeout_s)
            needs = (self.result.add(stop),)
        self.result.add(remove(item, needs))

    def _plan_containers(self, name: str) -> None:
        service = resources.described(self.project, name)
        wanted = self.choices.scale.get(name, names.replicas(service))
        check_scale(service, wanted)
        check_members(service, wanted)
        self.result.warnings += not_honoured(service, wanted)
        existing = self._settled(name, service)
        for item in existing[wanted:]:
            self._remove(item)
        kept = existing[:wanted]
        needs = self._creation_needs(name, service)
        self.creates[name], self.numbers[name] = [], []
        changed = [item for item in kept if self._must_recreate(name, service, item)]
        if changed:
            self.remade.add(name)
            self._stop_dependents(name)
        config = rollout.settings(service) if changed and self.choices.start else None
        for item in kept:
            self.numbers[name].append((item.number, item.name))
            if item in changed:
                if config is None:
                    self.creates[name].append(self.result.add(self._recreate(name, item, needs)))
            elif item.is_active and item.id not in self.stopped:
                self.result.add(Operation(f"running:{item.id}", Action.RUNNING, f"Container {item.name}", service=name))
        if config is not None:
            steps = [self._recreate(name, item, needs) for item in changed]
            self.result.rollouts[name] = config
            rollout.mark(steps, config, self.creates[name], self.result)
        self._create_missing(name, service, kept, wanted, needs)

    def _settled(self, name: str, service: Service) -> list[Container]:
        """A service's containers, one a number: of two that a killed command left, the one with its name."""
        kept: dict[int, Container] = {}
        for item in self.observed.of_service(name):
            other = kept.get(item.number)
            if other is None:
                kept[item.number] = item
                continue
            keeps = other.name == names.container_name(self.project, service, item.number)
            kept[item.number] = other if keeps else item
            self._remove(item if keeps else other)
        return list(kept.values())

    def _create_missing(
        self, name: str, service: Service, kept: list[Container], wanted: int, needs: tuple[str, ...]
    ) -> None:
        taken = max((item.number for item in kept), default=0)
        for number in range(taken + 1, taken + 1 + wanted - len(kept)):
            container = names.container_name(self.project, service, number)
            self.numbers[name].append((number, container))
            operation = Operation(
                f"create:{name}:{number}",
                Action.CREATE,
                f"Container {container}",
                needs,
                service=name,
                number=number,
                details={"name": container},
            )
            self.creates[name].append(self.result.add(operation))

    def _creation_needs(self, name: str, service: Service) -> tuple[str, ...]:
        keys = self.result.keys()
        found = [f"network:{key}" for key in endpoints.service_networks(service)]
        found += [f"volume:{entry.get('source')}" for entry in service.get("volumes") or ()]
        found = [key for key in dict.fromkeys(found) if key in keys]
        for other in resources.dependency_names(self.project)[name]:
            found += self.creates.get(other, [])
        return tuple(found)

    def _must_recreate(self, name: str, service: Service, item: Container) -> bool:
        final = names.container_name(self.project, service, item.number)
        if item.name.endswith(f"_{final}"):
            return True  # a command was killed before the container got its name
        policy = self.choices.recreate if self._is_target(name) else self.choices.recreate_dependencies
        if policy != DIVERGED:
            return policy == FORCE
        if item.config_hash != config_hash(self.project, name) or item.files != self.choices.files.get(name, ""):
            return True
        image = self.observed.images.get(names.image_name(self.project, service))
        if image is not None and item.image_id != image:
            return True
        if self.diverged_networks & endpoints.service_networks(service).keys():
            return True
        return bool(self.remade & names.shared(service))

    def _is_target(self, name: str) -> bool:
        return not self.choices.targets or name in self.choices.targets

    def _recreate(self, name: str, item: Container, needs: tuple[str, ...]) -> Operation:
        details = {
            "id": item.id,
            "name": item.name,
            "renew": self.choices.renew_anonymous_volumes,
            "timeout_s": self.choices.timeout_s,
        }
        stops = tuple(self.stopped.values())
        subject = f"Container {item.name}"
        return Operation(
            f"create:{name}:{item.number}",
            Action.RECREATE,
            subject,
            (*needs, *stops),
            service=name,
            number=item.number,
            details=details,
        )

    def _stop_dependents(self, name: str) -> None:
        """``depends_on.restart``: who depends on a service that is made anew is stopped before and started after."""
        for other, service in self.project.services.items():
            condition = names.dependencies(service).get(name)
            if condition is None or not condition.get("restart"):
                continue
            for item in self.observed.of_service(other):
                if item.is_active and item.id not in self.stopped:
                    stop = resources.stop(item, key=f"stop:{item.id}", timeout_s=self.choices.timeout_s)
                    self.stopped[item.id] = self.result.add(stop)

    # -- starting ------------------------------------------------------------------------------------------------

    def _plan_starts(self, name: str) -> None:
        service = resources.described(self.project, name)
        running = {item.number for item in self.observed.of_service(name) if item.is_active}
        stopped = {item.number for item in self.observed.of_service(name) if item.id in self.stopped}
        self.starts[name] = []
        made = set(self.creates[name])
        conditions: tuple[str, ...] | None = None
        for number, container in self.numbers[name]:
            create = f"create:{name}:{number}"
            if create not in made and number in running - stopped:
                continue
            conditions = self._conditions(name) if conditions is None else conditions
            own = (create,) if create in made else tuple(self.stopped.values()) if number in stopped else ()
            operation = Operation(
                f"start:{name}:{number}",
                Action.START,
                f"Container {container}",
                (*own, *conditions),
                service=name,
                number=number,
                details={"name": container},
            )
            self.starts[name].append(self.result.add(operation))
        if name in self.result.rollouts:
            rollout.chain(self.result, name, service)

    def _conditions(self, name: str) -> tuple[str, ...]:
        """Keys of what must be so before a service starts."""
        found: list[str] = []
        for other, condition in names.dependencies(self.project.services[name]).items():
            if other not in self.project.services:
                continue
            kind = condition.get("condition", "service_started")
            required = condition.get("required", True)
            if kind in (HEALTHY, COMPLETED):
                found += [
                    self._wait(other, number, container, kind, required=required)
                    for number, container in self.numbers[other]
                ]
            elif required:
                found += self.starts.get(other, [])
        return tuple(found)

    def _wait(self, name: str, number: int, container: str, kind: str, *, required: bool) -> str:
        key = f"wait:{name}:{number}:{kind}{'' if required else ':optional'}"
        if key not in self.result:
            started = tuple(key for key in self.starts.get(name, []) if key == f"start:{name}:{number}")
            details = {"name": container, "condition": kind, "done": "Exited" if kind == COMPLETED else "Healthy"}
            self.result.add(
                Operation(
                    key,
                    Action.WAIT,
                    f"Container {container}",
                    started,
                    service=name,
                    number=number,
                    details=details,
                    optional=not required,
                )
            )
        return key

    def _plan_wait(self, order: list[str]) -> None:
        """``--wait``: everything runs, or is healthy, or has done what others waited for."""
        completed = {
            other
            for service in self.project.services.values()
            for other, condition in names.dependencies(service).items()
            if condition.get("condition") == COMPLETED
        }
        for name in order:
            for number, container in self.numbers[name]:
                if name in completed:
                    self._wait(name, number, container, COMPLETED, required=True)
                else:
                    self._wait(name, number, container, RUNNING, required=True)


def check_scale(service: Service, wanted: int) -> None:
    """A name of its own can be one container's only."""
    from pyctr.errors import InvalidArgument

    if wanted < 0:
        raise InvalidArgument(f"invalid scale of service {service['name']}: {wanted}")
    if wanted > 1 and service.get("container_name"):
        raise InvalidArgument(
            f'WARNING: The "{service["name"]}" service is using the custom container name '
            f'"{service["container_name"]}". Docker requires each container to have a unique name. '
            "Remove the custom name to scale the service"
        )


def check_members(service: Service, wanted: int) -> None:
    """A virtual address leads to so many containers at most; raises InvalidArgument."""
    from pyctr.engine.networks import MEMBERS_MAX
    from pyctr.errors import InvalidArgument

    if (service.get("deploy") or {}).get("endpoint_mode") == "vip" and wanted > MEMBERS_MAX:
        raise InvalidArgument(
            f"services.{service['name']}.deploy.endpoint_mode: a virtual address is shared by {MEMBERS_MAX} containers at "
            f"most, not {wanted}: use dnsrr"
        )


def not_honoured(service: Service, wanted: int) -> list[str]:
    """Warnings: what `deploy` says of a swarm, and one machine cannot do."""
    deploy = service.get("deploy") or {}
    where = f"services.{service['name']}.deploy"
    found = [
        f"{where}.placement.{key}: there is one machine, every container runs on it"
        for key in ("constraints", "preferences")
        if (deploy.get("placement") or {}).get(key)
    ]
    most = int((deploy.get("placement") or {}).get("max_replicas_per_node") or 0)
    if 0 < most < wanted:
        found.append(f"{where}.placement.max_replicas_per_node: {wanted} containers run on the one machine")
    if deploy.get("endpoint_mode") == "vip" and service.get("network_mode"):
        found.append(f"{where}.endpoint_mode: with a network_mode the service has no address of its own")
    return found


def remove(item: Container, needs: tuple[str, ...], *, volumes: bool = False, key: str = "") -> Operation:
    """Remove one container."""
    return Operation(
        key or f"remove:{item.id}",
        Action.REMOVE,
        f"Container {item.name}",
        needs,
        service=item.service,
        number=item.number,
        details={"id": item.id, "volumes": volumes},
    )


def with_needs(operation: Operation, *needs: str, after: tuple[str, ...] = ()) -> Operation:
    """The operation with further conditions."""
    return operation._replace(needs=(*operation.needs, *needs), after=(*operation.after, *after))
