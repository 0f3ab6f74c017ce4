"""What the parts of the export share: a service being taken apart, names, and the list of losses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError

if TYPE_CHECKING:
    from pyctr.compose.load import Project

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
MANAGER = "pyctr"


@dataclass(slots=True)
class Losses:
    """The keys that no manifest carries, in the order they were met."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: str, reason: str = "") -> None:
        """Note a key, once, and why it has no place."""
        line = f"{path}: {reason}" if reason else path
        if line not in self.lines:
            self.lines.append(line)


@dataclass(slots=True)
class Parts:
    """One service being exported: its name, what is left of its keys, and where losses go."""

    project: Project
    service: str
    left: dict[str, Any]
    losses: Losses

    @property
    def name(self) -> str:
        """The service's name as Kubernetes allows it."""
        return dns_name(self.service)

    def take(self, key: str, default: Any = None) -> Any:
        """A key's value; it counts as carried."""
        value = self.left.pop(key, default)
        return default if value is None else value

    def lose(self, key: str, reason: str = "") -> None:
        """Note that something of this service is not carried."""
        self.losses.add(f"services.{self.service}.{key}", reason)


def dns_name(name: str) -> str:
    """A name in lower case letters, digits and hyphens, of 63 characters at most. Raises ComposeError."""
    text = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:63].rstrip("-")
    if not _LABEL.fullmatch(text):
        raise ComposeError(f'"{name}" cannot be made a name Kubernetes allows')
    return text


def labels(project: str, service: str | None = None) -> dict[str, str]:
    """The labels every object of a project has; a service's select its pods."""
    found = {"app.kubernetes.io/managed-by": MANAGER, "app.kubernetes.io/part-of": dns_name(project)}
    return {"app.kubernetes.io/name": dns_name(service), **found} if service else found


def manifest(kind: str, version: str, name: str, owner: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """An object with its metadata first."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": owner}, **body}


def literal(text: str) -> str:
    """A text in which Kubernetes expands nothing: it takes ``$(NAME)`` for a variable."""
    return text.replace("$(", "$$(")


def clean(value: dict[str, Any]) -> dict[str, Any]:
    """Without the keys that have no value."""
    return {key: each for key, each in value.items() if each not in (None, {}, [])}
