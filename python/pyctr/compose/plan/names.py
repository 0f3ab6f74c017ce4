"""What a project's containers and images are called, and how many of a service there are to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyctr.compose import Project

    Service = Mapping[str, Any]


def container_name(project: Project, service: Service, number: int) -> str:
    """`container_name`, else ``project-service-1``."""
    return service.get("container_name") or project.separator.join((project.name, service["name"], str(number)))


def image_name(project: Project, service: Service) -> str:
    """The image a service runs: its own, or what its build is tagged with."""
    image = service.get("image") or ""
    if not image and not service.get("build"):
        raise InvalidArgument(f'service "{service["name"]}" has neither an image nor a build context specified')
    return image or project.separator.join((project.name, service["name"]))


def replicas(service: Service) -> int:
    """`scale`, `deploy.replicas`, or one; one machine is one node of a global service."""
    deploy = service.get("deploy") or {}
    if service.get("scale") is not None:
        return int(service["scale"])
    if deploy.get("replicas") is not None and deploy.get("mode", "replicated") == "replicated":
        return int(deploy["replicas"])
    return 1


def service_reference(value: Any) -> str | None:
    """The service that ``service:NAME`` of `network_mode`, `ipc` or `pid` names."""
    kind, colon, name = str(value or "").partition(":")
    return name if kind == "service" and colon else None


def resolve_mode(project: Project, value: Any) -> str:
    """A namespace mode as the engine takes it: ``service:db`` is the container of its first replica."""
    name = service_reference(value)
    return str(value or "") if name is None else f"container:{first_container(project, name)}"


def first_container(project: Project, name: str) -> str:
    """The name of a service's first container."""
    service = project.services.get(name)
    if service is None:
        raise InvalidArgument(f'service "{name}" is not part of the project: it was not selected or its profile is off')
    return container_name(project, {**service, "name": name}, 1)


def dependencies(service: Service) -> dict[str, dict[str, Any]]:
    """`depends_on` in its long form, and what a service needs without saying so: links, volumes, namespaces."""
    found: dict[str, dict[str, Any]] = {
        name: dict(condition) for name, condition in (service.get("depends_on") or {}).items()
    }
    implied = [link.partition(":")[0] for link in service.get("links") or ()]
    implied += [
        text.partition(":")[0] for text in service.get("volumes_from") or () if not text.startswith("container:")
    ]
    implied += [
        name
        for key in ("network_mode", "ipc", "pid", "uts")
        if (name := service_reference(service.get(key))) is not None
    ]
    for name in implied:
        found.setdefault(name, {"condition": "service_started", "required": True})
    return found


def shared(service: Service) -> set[str]:
    """Services whose very container a service refers to: when that is made anew, so is this."""
    found = {text.partition(":")[0] for text in service.get("volumes_from") or () if not text.startswith("container:")}
    for key in ("network_mode", "ipc", "pid"):
        name = service_reference(service.get(key))
        if name is not None:
            found.add(name)
    return found
