"""Ports of a project that two containers would both publish: refused before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.compose.plan import names
from pyctr.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyctr.compose import Project

_EVERY_V4 = "0.0.0.0"  # noqa: S104 (a name, not bound)
_EVERY_V6 = "::"


def check_ports(project: Project, scale: Mapping[str, int]) -> None:
    """Raise Conflict for a port that two services, or two containers of one, publish at one address."""
    taken: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name in sorted(project.services):
        service = project.services[name]
        count = scale.get(name, names.replicas(service))
        if not count or service.get("network_mode") not in (None, "", "bridge"):
            continue  # without a network of its own a container publishes nothing
        for address, published, protocol in published_ports(service.get("ports") or ()):
            shown = f"{f'[{address}]' if ':' in address else address or _EVERY_V4}:{published}/{protocol}"
            if count > 1:
                raise Conflict(f'service "{name}": {count} containers cannot all publish port {shown}')
            others = taken.setdefault((published, protocol), [])
            for other, its_address in others:
                if other != name and overlap(address, its_address):
                    raise Conflict(f'services "{other}" and "{name}" both publish port {shown}')
            others.append((name, address))


def published_ports(ports: object) -> Iterator[tuple[str, str, str]]:
    """Address, port, protocol of those that are fixed; of a range every container takes one that is free."""
    for port in ports if isinstance(ports, (list, tuple)) else ():
        published = str(port.get("published") or "")
        if published and "-" not in published and published != "0":
            yield port.get("host_ip") or "", published, port.get("protocol") or "tcp"


def overlap(one: str, other: str) -> bool:
    """Whether there is a packet for both addresses; an empty one is every address."""
    if not one or not other or one == other:
        return True
    every = _EVERY_V6 if ":" in one else _EVERY_V4
    return (":" in one) == (":" in other) and every in (one, other)
