"""`--filter KEY=VALUE`."""

from __future__ import annotations

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_filters(options: dict[str, Any]) -> dict[str, list[str]]:
    """The filters given: key → values."""
    filters: dict[str, list[str]] = {}
    for text in options.get("filter", []):
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidArgument(
                f'invalid argument "{text}" for "-f, --filter" flag: bad format of filter (expected name=value)'
            )
        filters.setdefault(key.strip().lower(), []).append(value.strip())
    return filters
