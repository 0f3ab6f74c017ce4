"""docker compose's hash of a service: what decides whether its containers are made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr._core import sha256
from pyctr.compose.render import compact_json, service_json

if TYPE_CHECKING:
    from pyctr.compose.load import Project


def config_hash(project: Project, name: str) -> str:
    """sha256 of the service's JSON without what does not concern a container."""
    everything = {**project.services, **project.disabled}
    service = {
        key: value
        for key, value in everything[name].items()
        if key not in ("build", "pull_policy", "scale", "depends_on", "profiles")
    }
    if "deploy" in service:
        service["deploy"] = {key: value for key, value in service["deploy"].items() if key != "replicas"}
    return sha256(compact_json(service_json(service)).encode())
