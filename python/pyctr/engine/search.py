"""`search`: repositories of a registry that match a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.engine.transfer import connect
from pyctr.errors import InvalidArgument
from pyctr.image.reference import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from pyctr.engine import Engine
    from pyctr.registry.search import Found

_FILTERS = frozenset(("is-official", "stars"))


def search(engine: Engine, term: str, *, limit: int = 25, filters: dict[str, list[str]] | None = None) -> list[Found]:
    """Repositories that match ``[HOST/]TERM``. Raises RegistryError, InvalidArgument."""
    from pyctr.registry.search import search

    filters = filters or {}
    unknown = filters.keys() - _FILTERS
    if unknown:
        raise InvalidArgument(f"invalid filter '{min(unknown)}'")
    stars = [_number(value) for value in filters.get("stars", [])]
    official = [_flag(value) for value in filters.get("is-official", [])]
    first, slash, rest = term.partition("/")
    has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry = connect(engine, first if has_host else DEFAULT_DOMAIN, pull=False)
    try:
        found = search(registry, rest if has_host else term, limit=limit)
    finally:
        registry.transport.close()
    return [
        item
        for item in found
        if all(item.stars >= least for least in stars) and all(item.is_official == wanted for wanted in official)
    ]


def _number(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise InvalidArgument(f"invalid filter 'stars={value}'")
    return int(value)


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise InvalidArgument(f"invalid filter 'is-official={value}'")
    return value.lower() in ("true", "1")
