"""What of a project is there already, as the planner sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: States in which a container has processes.
ACTIVE = frozenset(("running", "paused", "restarting"))


class Container(NamedTuple):
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


class Observed(NamedTuple):
    """A project's containers, networks (name → labels), volumes (name → labels) and images (name → id)."""

    containers: tuple[Container, ...] = ()
    networks: Mapping[str, Mapping[str, str]] = {}
    volumes: Mapping[str, Mapping[str, str]] = {}
    images: Mapping[str, str] = {}

    def of_service(self, name: str) -> list[Container]:
        """A service's containers but for those of `run`, by number."""
        found = [item for item in self.containers if item.service == name and not item.one_off]
        return sorted(found, key=lambda item: (item.number, item.name))


def names_of(entries: dict[str, Any] | None) -> dict[str, str]:
    """Key → name of the top-level networks or volumes."""
    return {key: entry["name"] for key, entry in (entries or {}).items()}
