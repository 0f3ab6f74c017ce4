"""Projects and what there is of them, made by hand for the planner."""

from __future__ import annotations

from typing import Any

from pyctr.compose import Project, config_hash
from pyctr.compose.plan.observed import Container, Observed
from pyctr.compose.plan.up import Choices, plan_up


def project(services: dict[str, dict[str, Any]], **top: Any) -> Project:
    """A project `demo`; services without an image run busybox, networks and volumes get their full names."""
    model: dict[str, Any] = {"name": "demo", "services": {}}
    for name, service in services.items():
        model["services"][name] = {"image": "busybox", "networks": {"default": None}, **service}
    model["networks"] = {"default": {"name": "demo_default", "ipam": {}}, **top.pop("networks", {})}
    model |= top
    return Project("demo", "/work", ("/work/compose.yaml",), {}, (), model, {})


def container(found: Project, service: str, number: int = 1, **fields: Any) -> Container:
    """A running container as the file wants it, but for `fields`."""
    values: dict[str, Any] = {
        "id": f"{service}{number}" + "0" * 60,
        "name": f"demo-{service}-{number}",
        "service": service,
        "number": number,
        "state": "running",
        "config_hash": config_hash(found, service),
        "image_id": "sha256:1",
        "networks": ("demo_default",),
    }
    return Container(**values | fields)


def observed(*containers: Container, **fields: Any) -> Observed:
    """What there is, the default network included when any container is."""
    from pyctr.compose.plan import labels
    from pyctr.compose.plan.hashes import entry_hash

    own = {
        labels.PROJECT: "demo",
        labels.NETWORK: "default",
        labels.HASH: entry_hash({"name": "demo_default", "ipam": {}}),
    }
    networks = {"demo_default": own} if containers else {}
    return Observed(**{"containers": containers, "networks": networks, "images": {"busybox": "sha256:1"}} | fields)


def lines(found: Project, there: Observed, **choices: Any) -> list[str]:
    """`up --dry-run`, without the blanks."""
    return [line.strip() for line in plan_up(found, there, Choices(**choices)).render().splitlines()]
