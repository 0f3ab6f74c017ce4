"""What every container, image, volume and network of the Python API has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.client import Engine


class Resource:
    """Something of an engine that has an id. `attrs` is what ``docker inspect`` shows, as of the last `reload`.

    Two of one kind with the same id are equal.
    """

    __slots__ = ("_engine", "attrs")

    def __init__(self, engine: Engine, attrs: dict[str, Any]) -> None:
        self._engine = engine
        self.attrs = attrs

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return str(self.attrs["Id"])

    @property
    def short_id(self) -> str:
        """The first 12 of them."""
        return self.id[:12]
