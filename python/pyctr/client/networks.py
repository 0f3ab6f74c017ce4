"""`engine.networks`."""

from __future__ import annotations

from pyctr.client.options import filters, pairs
from pyctr.client.resource import Resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyctr.client import Engine
    from pyctr.client.container import Container
    from pyctr.client.types import Filters


class Network(Resource):
    """A network. `attrs` is what ``docker network inspect`` shows, as of the last `reload`."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name."""
        return str(self.attrs["Name"])

    @property
    def containers(self) -> list[Container]:
        """The containers that run on it, as of the last `reload`."""
        return [self._engine.containers.get(found) for found in self.attrs.get("Containers") or ()]

    def reload(self) -> None:
        """Look again. Raises NotFound."""
        self.attrs = self._engine.low.networks.inspect(self.id)

    def connect(
        self,
        container: str | Container,
        *,
        aliases: Sequence[str] | None = None,
        ipv4_address: str | None = None,
        ipv6_address: str | None = None,
        gw_priority: int | None = None,
    ) -> None:
        """Connect a container, running or not."""
        options: dict[str, Any] = {"alias": list(aliases)} if aliases else {}
        given = (("ip", ipv4_address), ("ip6", ipv6_address), ("gw_priority", gw_priority))
        options |= {key: str(value) for key, value in given if value is not None}
        self._engine.low.networks.connect(self.id, _id_of(container), options)

    def disconnect(self, container: str | Container, *, force: bool = False) -> None:
        """Take a container, running or not, off it."""
        self._engine.low.networks.disconnect(self.id, _id_of(container), force=force)

    def remove(self) -> None:
        """Remove it. Raises StateError naming who uses it."""
        self._engine.low.networks.remove(self.id)


class Networks:
    """The networks of an engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        options: Mapping[str, str] | None = None,
        ipam: Mapping[str, Any] | None = None,
        internal: bool = False,
        labels: Mapping[str, str] | None = None,
        enable_ipv6: bool = False,
        attachable: bool = False,
    ) -> Network:
        """Make a network; `ipam` in the API's form: ``{"Config": [{"Subnet": …, "Gateway": …, "IPRange": …}]}``."""
        from pyctr.engine.network_api import ipam_options

        given: dict[str, Any] = {
            "driver": driver,
            "internal": internal,
            "attachable": attachable,
            "opt": pairs(options or {}),
            "label": pairs(labels or {}),
            **({"ipv6": True} if enable_ipv6 else {}),
            **ipam_options(ipam or {}),
        }
        return self.get(self._engine.low.networks.create(name, given))

    def get(self, network_id: str) -> Network:
        """A network by name or id. Raises NotFound."""
        return Network(self._engine, self._engine.low.networks.inspect(network_id))

    def list(
        self,
        names: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        *,
        filters: Filters | None = None,
    ) -> builtins.list[Network]:
        """Those here, by name; `filters` are those of ``docker network ls``."""
        wanted = _filters(filters)
        wanted |= {key: [str(value) for value in values] for key, values in (("name", names), ("id", ids)) if values}
        return [self.get(attrs["Id"]) for attrs in self._engine.low.networks.list(wanted)]

    def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """Remove user-defined ones that no container asks for."""
        return {"NetworksDeleted": self._engine.low.networks.prune(_filters(filters))}


def _id_of(container: str | Container) -> str:
    return container if isinstance(container, str) else container.id


_filters = filters
