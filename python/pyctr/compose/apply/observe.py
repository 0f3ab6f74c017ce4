"""What of a project is there: containers, networks and volumes by their labels, images by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.compose.plan import labels, names
from pyctr.compose.plan.observed import Container, Observed
from pyctr.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyctr.compose import Project
    from pyctr.engine import Engine
    from pyctr.engine.containers.listing import Summary


def observe(engine: Engine, project_name: str, images: Iterable[str] = ()) -> Observed:
    """A project as it is now; `images` are names whose ids are wanted."""
    found = engine.containers.list(all=True, filters={"label": [f"{labels.PROJECT}={project_name}"]})
    ids = {}
    for image in images:
        try:
            ids[image] = str(engine.image_store.resolve(image).id)
        except NotFound:
            continue
    return Observed(
        containers=tuple(sorted(map(container_of, found), key=lambda item: (item.service, item.number, item.name))),
        networks={network["Name"]: network["Labels"] or {} for network in engine.networks.list()},
        volumes={volume["Name"]: volume["Labels"] or {} for volume in engine.volumes.list()},
        images=ids,
    )


def container_of(summary: Summary) -> Container:
    """A container as the planner sees it."""
    found = summary.labels
    number = found.get(labels.NUMBER, "")
    return Container(
        id=summary.id,
        name=summary.names[0],
        service=found.get(labels.SERVICE, ""),
        number=int(number) if number.isascii() and number.isdigit() else 0,
        state=summary.state,
        config_hash=found.get(labels.HASH, ""),
        image_id=summary.image_id,
        files=found.get(labels.FILES, ""),
        one_off=found.get(labels.ONEOFF) == "True",
        health=summary.health,
        exit_code=summary.exit_code,
        networks=tuple(summary.networks),
        depends_on=found.get(labels.DEPENDS_ON, ""),
        slug=found.get(labels.SLUG, ""),
    )


def observe_project(engine: Engine, project: Project) -> Observed:
    """A project as it is now, with its services' images."""
    images = {names.image_name(project, {**service, "name": name}) for name, service in project.services.items()}
    return observe(engine, project.name, sorted(images))
