"""Networks and volumes of a project: which are made, made anew, or must be there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.plan import endpoints, labels, names
from pyctr.compose.plan.graph import Action, Operation, Plan
from pyctr.compose.plan.hashes import entry_hash
from pyctr.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyctr.compose import Project
    from pyctr.compose.plan.observed import Observed

    Entry = Mapping[str, Any]

_PREDEFINED = frozenset(("bridge", "host", "none"))


def used_networks(project: Project) -> dict[str, Entry]:
    """Top-level networks that a service is on."""
    declared = project.model.get("networks") or {}
    used = {key for service in project.services.values() for key in endpoints.service_networks(service)}
    return {key: entry for key, entry in declared.items() if key in used}


def used_volumes(project: Project) -> dict[str, Entry]:
    """Top-level volumes that a service mounts."""
    declared = project.model.get("volumes") or {}
    used = {
        entry.get("source")
        for service in project.services.values()
        for entry in service.get("volumes") or ()
        if entry["type"] == "volume"
    }
    return {key: entry for key, entry in declared.items() if key in used}


def plan_networks(plan: Plan, project: Project, observed: Observed, *, every: bool = False) -> set[str]:
    """Operations that make networks; the keys of those that are not what the file says and are made anew."""
    diverged = set()
    wanted = (project.model.get("networks") or {}) if every else used_networks(project)
    for key, entry in wanted.items():
        name = entry["name"]
        found = observed.networks.get(name)
        if entry.get("external"):
            if found is None and name not in _PREDEFINED:
                raise NotFound(f"network {name} declared as external, but could not be found")
            continue
        if found is not None and name not in _PREDEFINED:
            if found.get(labels.NETWORK) != key:
                raise InvalidArgument(
                    f"network {name} was found but has incorrect label {labels.NETWORK} set to "
                    f'"{found.get(labels.NETWORK, "")}" (expected: "{key}")'
                )
            if found.get(labels.HASH) in (None, entry_hash(entry)):
                continue
            diverged.add(key)
            plan_network_again(plan, project, observed, key, entry)
            continue
        if name not in _PREDEFINED:
            plan.add(create_network(project, key, entry))
    return diverged


def plan_network_again(plan: Plan, project: Project, observed: Observed, key: str, entry: Entry) -> None:
    """Stop whoever is on a network, remove it, make it as the file says now."""
    on_it = [item for item in observed.containers if entry["name"] in item.networks and item.is_active]
    stops = tuple(plan.add(stop(item, key=f"stop-for-network:{item.id}")) for item in on_it)
    gone = plan.add(
        Operation(
            f"remove-network:{key}",
            Action.REMOVE_NETWORK,
            f"Network {entry['name']}",
            stops,
            details={"name": entry["name"]},
        )
    )
    plan.add(create_network(project, key, entry, needs=(gone,)))


def create_network(project: Project, key: str, entry: Entry, needs: Iterable[str] = ()) -> Operation:
    """Make one network."""
    return Operation(
        f"network:{key}",
        Action.CREATE_NETWORK,
        f"Network {entry['name']}",
        tuple(needs),
        details={"name": entry["name"], "options": network_options(project, key, entry)},
    )


def network_options(project: Project, key: str, entry: Entry) -> dict[str, Any]:
    """A top-level network as options of `network create`."""
    own = {
        labels.PROJECT: project.name,
        labels.NETWORK: key,
        labels.HASH: entry_hash(entry),
        labels.VERSION: labels.COMPOSE_VERSION,
    }
    options: dict[str, Any] = {"label": [f"{k}={v}" for k, v in {**(entry.get("labels") or {}), **own}.items()]}
    if entry.get("driver"):
        options["driver"] = entry["driver"]
    if entry.get("driver_opts"):
        options["opt"] = [f"{name}={value}" for name, value in entry["driver_opts"].items()]
    for field, option in (("internal", "internal"), ("attachable", "attachable"), ("enable_ipv6", "ipv6")):
        if entry.get(field):
            options[option] = True
    if entry.get("enable_ipv4") is not None:
        options["ipv4"] = bool(entry["enable_ipv4"])
    ipam = entry.get("ipam") or {}
    if ipam.get("driver"):
        options["ipam_driver"] = ipam["driver"]
    for config in ipam.get("config") or ():
        for field, option in (("subnet", "subnet"), ("gateway", "gateway"), ("ip_range", "ip_range")):
            if config.get(field):
                options.setdefault(option, []).append(config[field])
        addresses = [f"{name}={address}" for name, address in (config.get("aux_addresses") or {}).items()]
        if addresses:
            options.setdefault("aux_address", []).extend(addresses)
    if ipam.get("options"):
        options["ipam_opt"] = [f"{name}={value}" for name, value in ipam["options"].items()]
    return options


def plan_volumes(plan: Plan, project: Project, observed: Observed, *, every: bool = False) -> None:
    """Operations that make volumes; one that is there stays, whatever the file says: it holds data."""
    wanted = (project.model.get("volumes") or {}) if every else used_volumes(project)
    for key, entry in wanted.items():
        name = entry["name"]
        found = observed.volumes.get(name)
        if entry.get("external"):
            if found is None:
                raise NotFound(f'external volume "{name}" not found')
            continue
        own = {
            labels.PROJECT: project.name,
            labels.VOLUME: key,
            labels.HASH: entry_hash(entry),
            labels.VERSION: labels.COMPOSE_VERSION,
        }
        if found is None:
            details = {
                "name": name,
                "driver": entry.get("driver") or "local",
                "options": dict(entry.get("driver_opts") or {}),
                "labels": {**(entry.get("labels") or {}), **own},
            }
            plan.add(Operation(f"volume:{key}", Action.CREATE_VOLUME, f"Volume {name}", details=details))
        elif found.get(labels.PROJECT) != project.name:
            words = (
                "was not created by Docker Compose"
                if not found.get(labels.PROJECT)
                else (f'was created for project "{found[labels.PROJECT]}" (expected "{project.name}")')
            )
            plan.warnings.append(
                f'volume "{name}" already exists but {words}. Use `external: true` to use an existing volume'
            )
        elif found.get(labels.HASH) not in (None, own[labels.HASH]):
            plan.warnings.append(
                f'volume "{name}" exists but its configuration in the file has changed; it keeps its data and its '
                "options until it is removed (down -v)"
            )


def stop(container: Any, *, key: str, needs: Iterable[str] = (), timeout_s: float | None = None) -> Operation:
    """Stop one container."""
    return Operation(
        key,
        Action.STOP,
        f"Container {container.name}",
        tuple(needs),
        service=container.service,
        number=container.number,
        details={"id": container.id, "timeout_s": timeout_s},
    )


def described(project: Project, name: str) -> dict[str, Any]:
    """A service of the model with its name in it."""
    return {**project.services[name], "name": name}


def dependency_names(project: Project) -> dict[str, list[str]]:
    """Service → the services of the project it depends on, said or implied."""
    return {
        name: [other for other in names.dependencies(service) if other in project.services]
        for name, service in project.services.items()
    }
