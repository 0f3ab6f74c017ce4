"""`engine.volumes`."""

from __future__ import annotations

from pyctr.client.options import filters
from pyctr.client.resource import Resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    import builtins
    from collections.abc import Mapping
    from typing import Any

    from pyctr.client import Engine
    from pyctr.client.types import Filters


class Volume(Resource):
    """A volume. `attrs` is what ``docker volume inspect`` shows."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name, which is its id too."""
        return str(self.attrs["Name"])

    id = name

    @property
    def path(self) -> str:
        """The directory of the host that it is."""
        return str(self.attrs["Mountpoint"])

    def reload(self) -> None:
        """Look again. Raises NotFound."""
        self.attrs = self._engine.low.volumes.inspect(self.name)

    def remove(self, *, force: bool = False) -> None:
        """Remove it. Raises Conflict naming the containers that use it."""
        self._engine.low.volumes.remove(self.name, force=force)


class Volumes:
    """The volumes of an engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        name: str | None = None,
        *,
        driver: str = "local",
        driver_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, without a name a random one. One that is there stays as it is."""
        made = self._engine.low.volumes.create(name or "", driver, dict(driver_opts or {}), dict(labels or {}))
        return self.get(made)

    def get(self, volume_id: str) -> Volume:
        """A volume by name. Raises NotFound."""
        return Volume(self._engine, self._engine.low.volumes.inspect(volume_id))

    def list(self, *, filters: Filters | None = None) -> builtins.list[Volume]:
        """Those here, by name; `filters`: dangling, driver, label, name."""
        return [Volume(self._engine, attrs) for attrs in self._engine.low.volumes.list(_filters(filters))]

    def prune(self, filters: Filters | None = None) -> dict[str, Any]:
        """Remove anonymous ones that no container uses (with ``{"all": True}`` named ones too)."""
        removed, reclaimed = self._engine.low.volumes.prune(_filters(filters))
        return {"VolumesDeleted": removed, "SpaceReclaimed": reclaimed}


_filters = filters
