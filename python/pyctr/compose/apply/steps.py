"""One operation of the plan done on the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose import config_hash
from pyctr.compose.apply import files, hooks, wait
from pyctr.compose.plan import endpoints, labels, names, options, resources
from pyctr.compose.plan.graph import Action, Operation
from pyctr.compose.plan.mounts import inherit_volumes
from pyctr.compose.plan.up import RUNNING
from pyctr.errors import Conflict, InvalidArgument, NotFound, PyctrError, StateError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from pyctr.compose import Project
    from pyctr.engine import Engine


class Steps:
    """The operations of one project; which container is whose is remembered between them."""

    def __init__(
        self,
        engine: Engine,
        project: Project,
        *,
        stop: threading.Event,
        warn: Callable[[str], None],
        timeout_s: float | None = None,
        wait_timeout_s: float | None = None,
        start: Callable[[str], object] | None = None,
    ) -> None:
        self.engine = engine
        #: Starts a container, given its id.
        self.begin = start or engine.containers.start
        self.project = project
        self.stop = stop
        self.warn = warn
        self.timeout_s = timeout_s
        self.deadline = None if wait_timeout_s is None else wait.Deadline(wait_timeout_s)
        #: (service, number) → id of the container that is, or is to be, that one.
        self.ids: dict[tuple[str, int], str] = {}
        #: (service, number) → (id of the container that was, its name).
        self.replaced: dict[tuple[str, int], tuple[str, str]] = {}
        self._actions: dict[Action, Callable[[Operation], str | None]] = {
            Action.CREATE_NETWORK: self.create_network,
            Action.CREATE_VOLUME: self.create_volume,
            Action.CREATE: self.create,
            Action.RECREATE: self.recreate,
            Action.START: self.start,
            Action.RESTART: self.restart,
            Action.WAIT: self.wait,
            Action.OBSERVE: self.observe,
            Action.PAUSE_BETWEEN: self.pause_between,
            Action.STOP: self.stop_container,
            Action.KILL: self.kill,
            Action.REMOVE: self.remove,
            Action.RELEASE: self.release,
            Action.REMOVE_NETWORK: self.remove_network,
            Action.REMOVE_VOLUME: self.remove_volume,
            Action.REMOVE_IMAGE: self.remove_image,
            Action.RUNNING: lambda _operation: None,
        }

    def perform(self, operation: Operation) -> str | None:
        """Do it; another word than the action's own to show, if any."""
        return self._actions[operation.action](operation)

    # -- networks, volumes, images -------------------------------------------------------------------------------

    def create_network(self, operation: Operation) -> None:
        """Make a network; one that somebody else made meanwhile will do."""
        name = operation.details["name"]
        try:
            self.engine.networks.create(name, operation.details["options"])
        except Conflict:
            if all(network["Name"] != name for network in self.engine.networks.list()):
                raise
        except PyctrError as error:
            raise StateError(f"failed to create network {name}: {error}", hint=error.hint) from error

    def remove_network(self, operation: Operation) -> str | None:
        """Remove a network; it stays, and is told of, while somebody else uses it."""
        try:
            self.engine.networks.remove(operation.details["name"])
        except NotFound:
            return None
        except StateError:
            return "Resource is still in use"
        return None

    def release(self, operation: Operation) -> None:
        """Give a virtual address back to a network that stays."""
        self.engine.networks.release(operation.details["network"], operation.details["key"])

    def create_volume(self, operation: Operation) -> None:
        """Make a volume."""
        details = operation.details
        self.engine.volumes.create(details["name"], details["driver"], details["options"], details["labels"])

    def remove_volume(self, operation: Operation) -> str | None:
        """Remove a volume; it stays, and is told of, while somebody else uses it."""
        try:
            self.engine.volumes.remove(operation.details["name"], force=True)
        except Conflict:
            return "Resource is still in use"
        return None

    def remove_image(self, operation: Operation) -> str | None:
        """Remove an image."""
        try:
            self.engine.images.remove(operation.details["name"])
        except NotFound:
            return "Warning: No resource found to remove"
        except (Conflict, StateError):
            return "Resource is still in use"
        return None

    # -- making containers ---------------------------------------------------------------------------------------

    def create(self, operation: Operation) -> None:
        """Make a container that is not there."""
        self.ids[operation.service, operation.number] = self.make(operation.service, operation.number)

    def make(
        self, service: str, number: int, *, name: str | None = None, replaces: str | None = None, renew: bool = False
    ) -> str:
        """Make a container of a service, in place of another perhaps; its id."""
        model = resources.described(self.project, service)
        image = names.image_name(self.project, model)
        given = options.container_options(self.project, model, number, self.virtual_addresses(model))
        found = files.materials(self.project, model)
        given.setdefault("mount", []).extend(files.mount(self.engine, self.project, found))
        own = own_labels(self.engine, self.project, model, number, image=image, digest=files.digest(found))
        if replaces is not None:
            own[labels.REPLACE] = f"{service}-{number}"
            if not renew:
                record = self.engine.containers.store.record(replaces)
                inherit_volumes(given, record["Mounts"], self.anonymous(record["Mounts"]))
        options.plan_labels(given, model, own)
        if name is not None:
            given["name"] = name
        created = self.engine.containers.create(image, list(model.get("command") or []), given)
        for warning in created.warnings:
            self.warn(warning)
        return created.id

    def virtual_addresses(self, model: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Network → driver options with the service's address there, which the network keeps for it from now on."""
        kept_under = endpoints.virtual_name(self.project, model)
        if not kept_under:
            return {}
        declared = self.project.model.get("networks") or {}
        found = {}
        for key in endpoints.service_networks(model):
            try:
                found[key] = self.engine.networks.reserve(declared[key]["name"], kept_under)
            except InvalidArgument as error:
                raise InvalidArgument(f"services.{model['name']}.deploy.endpoint_mode: {error}") from None
        return found

    def anonymous(self, points: list[dict[str, Any]]) -> set[str]:
        """Names of anonymous volumes among mounts."""
        from pyctr.engine.volumes.store import ANONYMOUS_LABEL

        found = set()
        for point in points:
            if point["Type"] == "volume":
                try:
                    volume = self.engine.volumes.inspect(point["Name"])
                except NotFound:
                    continue
                if ANONYMOUS_LABEL in (volume["Labels"] or {}):
                    found.add(point["Name"])
        return found

    def recreate(self, operation: Operation) -> None:
        """Make a container anew under a temporary name, take the old one away, take over its name.

        A rollout keeps the old one: stopped, as long as it may come back; running, until the new one has shown itself.
        """
        details = operation.details
        old, name, key = details["id"], details["name"], (operation.service, operation.number)
        temporary = f"{old[:12]}_{self.final_name(operation)}"
        new = self.make(operation.service, operation.number, name=temporary, replaces=old, renew=details["renew"])
        self.ids[key] = new
        self.replaced[key] = (old, name)
        if details.get("order") == "start-first":
            return
        self.take_away(operation.service, old)
        if details.get("keep"):
            self.engine.containers.rename(old, f"{old[:12]}_old_{self.final_name(operation)}")
        else:
            self.discard(old, renew=details["renew"])
        self.engine.containers.rename(new, self.final_name(operation))

    def final_name(self, operation: Operation) -> str:
        """What the container is to be called in the end."""
        return names.container_name(
            self.project, resources.described(self.project, operation.service), operation.number
        )

    def take_away(self, service: str, container_id: str) -> None:
        """Stop a container that is to be replaced; one that somebody removed by hand is gone already."""
        try:
            hooks.run_pre_stop(self.engine, self.project, service, container_id)
            self.engine.containers.stop(container_id, self.grace(service))
        except NotFound:
            return

    def discard(self, container_id: str, *, renew: bool = False) -> None:
        """Remove a container; anonymous volumes its successor has taken over are in use and stay."""
        try:
            self.engine.containers.remove(container_id, force=True, volumes=renew)
        except NotFound:
            return

    def finish(self, operation: Operation) -> None:
        """The end of start-first: the old container goes, the new one takes its name."""
        key = (operation.service, operation.number)
        old, _ = self.replaced[key]
        self.take_away(operation.service, old)
        config = names_of_rollout(self.project, operation.service)
        final = self.final_name(operation)
        if config["failure_action"] == "rollback":
            self.engine.containers.rename(old, f"{old[:12]}_old_{final}")
        else:
            self.discard(old)
        self.engine.containers.rename(self.ids[key], final)

    # -- running -------------------------------------------------------------------------------------------------

    def id_of(self, operation: Operation) -> str:
        """The container an operation is about."""
        found = operation.details.get("id") or self.ids.get((operation.service, operation.number))
        return found or self.engine.containers.resolve(operation.details["name"])

    def start(self, operation: Operation) -> None:
        """Start a container and run its post_start hooks."""
        container_id = self.id_of(operation)
        self.begin(container_id)
        hooks.run_post_start(self.engine, self.project, operation.service, container_id)

    def restart(self, operation: Operation) -> None:
        """Stop and start one container."""
        container_id = self.id_of(operation)
        hooks.run_pre_stop(self.engine, self.project, operation.service, container_id)
        self.engine.containers.stop(container_id, self.grace(operation.service, operation.details.get("timeout_s")))
        self.begin(container_id)
        hooks.run_post_start(self.engine, self.project, operation.service, container_id)

    def grace(self, service: str, asked: float | None = None) -> float | None:
        """How long a container has to stop: asked for, the file's own to the fraction, or the container's."""
        if asked is not None:
            return asked
        if self.timeout_s is not None:
            return self.timeout_s
        model = self.project.services.get(service) or {}
        from pyctr.compose.plan.rollout import seconds

        return seconds(model["stop_grace_period"]) if model.get("stop_grace_period") else None

    def wait(self, operation: Operation) -> str | None:
        """Wait for a container's condition."""
        details = operation.details
        deadline = self.deadline if details["condition"] == RUNNING else None
        return wait.wait_for(
            self.engine,
            details["name"],
            details["condition"],
            self.stop,
            deadline=deadline,
            container_id=self.id_of(operation),
        )

    def observe(self, operation: Operation) -> None:
        """Watch an updated container."""
        details = operation.details
        wait.watch(self.engine, self.id_of(operation), details["name"], details["monitor_s"], self.stop)

    def pause_between(self, operation: Operation) -> None:
        """The delay between two batches of an update."""
        if self.stop.wait(operation.details["seconds"]):
            raise StateError("canceled")

    def stop_container(self, operation: Operation) -> None:
        """Stop one container; one that is gone is stopped."""
        try:
            container_id = self.id_of(operation)
            hooks.run_pre_stop(self.engine, self.project, operation.service, container_id)
            self.engine.containers.stop(container_id, self.grace(operation.service, operation.details.get("timeout_s")))
        except NotFound:
            return

    def kill(self, operation: Operation) -> None:
        """Send a signal."""
        self.engine.containers.kill(self.id_of(operation), operation.details["signal"])

    def remove(self, operation: Operation) -> None:
        """Remove one container, or finish what a rollout put off."""
        details = operation.details
        if "replaced" in details:
            self.finish(operation)
            return
        if "settle" in details:
            for (service, _), (old, _) in self.replaced.items():
                if service == details["settle"]:
                    self.discard(old)
            return
        try:
            self.engine.containers.remove(details["id"], force=True, volumes=details.get("volumes", False))
        except NotFound:
            return


def names_of_rollout(project: Project, service: str) -> dict[str, Any]:
    """The update configuration of a service that is being updated."""
    from pyctr.compose.plan.rollout import settings

    found = settings(resources.described(project, service))
    if found is None:
        raise StateError(f"service {service} has no update_config")
    return found


def own_labels(
    engine: Engine, project: Project, model: Mapping[str, Any], number: int, *, image: str, digest: str
) -> dict[str, str]:
    """The labels docker compose puts on a container."""
    depends = ",".join(
        f"{name}:{condition.get('condition', 'service_started')}:{'true' if condition.get('restart') else 'false'}"
        for name, condition in names.dependencies(model).items()
    )
    own = {
        labels.PROJECT: project.name,
        labels.SERVICE: model["name"],
        labels.NUMBER: str(number),
        labels.ONEOFF: "False",
        labels.HASH: config_hash(project, model["name"]),
        labels.IMAGE: str(engine.image_store.resolve(image).id),
        labels.CONFIG_FILES: ",".join(str(path) for path in project.files),
        labels.WORKING_DIR: str(project.working_dir),
        labels.DEPENDS_ON: depends,
        labels.VERSION: labels.COMPOSE_VERSION,
    }
    return own | ({labels.FILES: digest} if digest else {})
