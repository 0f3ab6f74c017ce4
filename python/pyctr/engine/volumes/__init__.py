"""Volumes: the use cases behind `volume create`, `ls`, `inspect`, `rm`, `prune`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

    #: Inside the class `list` is the method.
    Names = list[str]
    Found = list[dict[str, Any]]


class Volumes:
    """The volumes of an engine, all of the local driver."""

    __slots__ = ("engine", "store")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = engine.containers.store

    def create(
        self,
        name: str = "",
        driver: str = "local",
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> str:
        """Make a volume, a nameless one with a random name; its name. One that is there stays as it is.

        `options` are the local driver's ``type``, ``o``, ``device``. Raises InvalidArgument.
        """
        from pyctr.engine.volumes.manage import create

        return create(self.store, name, driver, options or {}, labels or {})

    def list(self, filters: dict[str, Names] | None = None) -> Found:
        """What `inspect` shows of each, by name. `filters`: dangling, driver, label, name."""
        from pyctr.engine.volumes.manage import list_volumes

        return list_volumes(self.store, filters or {})

    def inspect(self, name: str) -> dict[str, Any]:
        """What ``docker volume inspect`` shows. Raises NotFound."""
        from pyctr.engine.volumes.manage import describe

        return describe(self.store, name)

    def remove(self, name: str, force: bool = False) -> None:
        """Remove a volume; raises Conflict naming who uses it, and NotFound unless `force`."""
        from pyctr.engine.volumes.manage import remove

        remove(self.store, name, force=force)

    def prune(self, filters: dict[str, Names] | None = None, all: bool = False) -> tuple[Names, int]:
        """Remove those no container uses, anonymous ones or `all`; names and bytes. `filters`: label, label!, all."""
        from pyctr.engine.volumes.manage import prune

        return prune(self.store, filters or {}, every=all)
