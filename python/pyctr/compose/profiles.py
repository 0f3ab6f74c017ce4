"""Which services are enabled, and a part of a project."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from pyctr.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyctr.compose.load import Project

_RESOURCES = ("networks", "volumes", "secrets", "configs", "models")


def from_environment(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The profiles of COMPOSE_PROFILES; where it says nothing, the one with the empty name, as compose-go splits it."""
    return tuple(word.strip() for word in environment.get("COMPOSE_PROFILES", "").split(","))


def enabled(service: Mapping[str, Any], active: Sequence[str]) -> bool:
    """Whether a service runs with these profiles."""
    own = service.get("profiles")
    return not own or "*" in active or any(name in active for name in own)


def split(model: dict[str, Any], active: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model with its enabled services, and the services that are not."""
    services = model["services"]
    on = {name: each for name, each in services.items() if enabled(each, active)}
    off = {name: each for name, each in services.items() if name not in on}
    return {**model, "services": type(services)(on)}, off


def used_resources(model: dict[str, Any]) -> dict[str, Any]:
    """The model without the resources that no service of it uses."""
    used: dict[str, set[str]] = {kind: set() for kind in _RESOURCES}
    for service in model["services"].values():
        used["networks"] |= set(service.get("networks") or ())
        used["models"] |= set(service.get("models") or ())
        mounts = service.get("volumes") or ()
        used["volumes"] |= {
            mount["source"] for mount in mounts if mount.get("type") == "volume" and mount.get("source")
        }
        used["secrets"] |= {each["source"] for each in service.get("secrets") or ()}
        used["secrets"] |= {each["source"] for each in (service.get("build") or {}).get("secrets") or ()}
        used["configs"] |= {each["source"] for each in service.get("configs") or ()}
    result = dict(model)
    for kind in _RESOURCES:
        if kind in model:
            kept = type(model[kind])({name: each for name, each in model[kind].items() if name in used[kind]})
            result[kind] = kept
            if not kept:
                del result[kind]
    return result


def select(project: Project, names: Sequence[str], *, dependencies: bool = True) -> Project:
    """The project with the services named, and what they depend on. Raises NotFound."""
    if not names:
        return project
    everything = {**project.services, **project.disabled}
    active = list(project.profiles)
    for name in names:
        if name not in everything:
            raise NotFound(f"no such service: {name}")
        if name not in project.services:
            active += project.disabled[name].get("profiles") or ()
    if len(active) > len(project.profiles) and project.again is not None:
        project = project.again(active[len(project.profiles) :])._replace(separator=project.separator)
        everything = {**project.services, **project.disabled}
    now = {name for name, each in everything.items() if enabled(each, active)}
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if dependencies:
            for other, how in (everything[name].get("depends_on") or {}).items():
                if other in now:
                    todo.append(other)
                elif how.get("required", True):
                    raise NotFound(f"no such service: {other}")
    services = type(project.services)({name: _alone(everything[name], wanted) for name in sorted(wanted)})
    model = used_resources({**project.model, "services": services})
    off = {name: each for name, each in everything.items() if name not in wanted}
    return project._replace(model=model, disabled=off, profiles=tuple(active))


def _alone(service: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """A service without dependencies on what is not selected."""
    service = copy.deepcopy(service)
    needs = {name: each for name, each in (service.get("depends_on") or {}).items() if name in wanted}
    if needs:
        service["depends_on"] = type(service["depends_on"])(needs)
    else:
        service.pop("depends_on", None)
    return service
