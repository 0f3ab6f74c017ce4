"""A project without its files: what the labels of its containers, networks and volumes say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.load import Project
from pyctr.compose.plan import labels

if TYPE_CHECKING:
    from pyctr.engine import Engine


def recall(engine: Engine, name: str) -> Project:
    """The project of this name as far as commands that make nothing need it; empty where there is nothing of it."""
    services: dict[str, Any] = {}
    directory, files = "", ""
    for summary in engine.containers.list(all=True, filters={"label": [f"{labels.PROJECT}={name}"]}):
        found = summary.labels
        directory, files = found.get(labels.WORKING_DIR, directory), found.get(labels.CONFIG_FILES, files)
        if found.get(labels.SERVICE) and found.get(labels.ONEOFF) != "True":
            needs = dependencies(found.get(labels.DEPENDS_ON, ""))
            services[found[labels.SERVICE]] = {"image": summary.image, **({"depends_on": needs} if needs else {})}
    model = {
        "name": name,
        "services": dict(sorted(services.items())),
        "networks": own(engine.networks.list(), name, labels.NETWORK),
        "volumes": own(engine.volumes.list(), name, labels.VOLUME),
    }
    return Project(name, directory, tuple(filter(None, files.split(","))), {}, (), model, {})


def dependencies(label: str) -> dict[str, dict[str, Any]]:
    """``db:service_healthy:true`` → `depends_on` in its long form."""
    found = {}
    for part in filter(None, label.split(",")):
        service, condition, restart = (*part.split(":"), "", "")[:3]
        found[service] = {
            "condition": condition or "service_started",
            "restart": restart == "true",
            "required": True,
        }
    return found


def own(there: list[dict[str, Any]], project: str, label: str) -> dict[str, dict[str, str]]:
    """Key → entry of the networks or volumes that are the project's."""
    return {
        found["Labels"][label]: {"name": found["Name"]}
        for found in there
        if (found["Labels"] or {}).get(labels.PROJECT) == project and label in found["Labels"]
    }
