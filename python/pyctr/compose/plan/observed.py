"""What of a project is there already, as the planner sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: States in which a container has processes.
ACTIVE = frozenset(("running", "paused", "restarting"))


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the project."""

    id: str
    name: str
    service: str
    number: int
    state: str
    config_hash: str
    image_id: str
    files: str = ""
    one_off: bool = False
    health: str = "none"
    exit_code: int = 0
    networks: tuple[str, ...] = ()
    depends_on: str = ""
    slug: str = ""

    @property
    def is_active(self) -> bool:
        """Whether it has processes."""
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True)
class Observed:
    """A project's containers, networks (name → labels), volumes (name → labels) and images (name → id)."""

    containers: tuple[Container, ...] = ()
    networks: dict[str, dict[str, str]] = field(default_factory=dict)
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def of_service(self, name: str) -> list[Container]:
        """A service's containers but for those of `run`, by number."""
        found = [item for item in self.containers if item.service == name and not item.one_off]
        return sorted(found, key=lambda item: (item.number, item.name))


def names_of(entries: dict[str, Any] | None) -> dict[str, str]:
    """Key → name of the top-level networks or volumes."""
    return {key: entry["name"] for key, entry in (entries or {}).items()}
