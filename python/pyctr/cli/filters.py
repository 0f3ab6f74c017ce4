"""`--filter KEY=VALUE`."""

from __future__ import annotations

from pyctr.errors import InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_filters(options: dict[str, Any], flag: str = "-f, --filter") -> dict[str, list[str]]:
    """The filters given: key → values; `flag` is what a refusal calls the flag."""
    filters: dict[str, list[str]] = {}
    for text in options.get("filter", []):
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidFlag(text, flag, "bad format of filter (expected name=value)")
        filters.setdefault(key.strip().lower(), []).append(value.strip())
    return filters
