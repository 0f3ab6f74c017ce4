"""`search`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyctr.cli.filters import parse_filters
from pyctr.cli.human import columns, shorten
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_HEADERS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}
_DESCRIPTION_WIDTH = 45
_LIMIT_DEFAULT, _LIMIT_MAX = 25, 100


def search(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Search a registry for repositories."""
    from pyctr.engine.options.units import parse_int
    from pyctr.engine.search import search

    limit = parse_int(options.get("limit", "0"), "--limit") or _LIMIT_DEFAULT
    if not 0 < limit <= _LIMIT_MAX:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, {_LIMIT_MAX}]")
    found = search(engine, arguments[0], limit=limit, filters=parse_filters(options))
    whole = options.get("no_trunc", False)
    rows = [
        {
            "Name": item.name,
            "Description": item.description if whole else shorten(item.description, _DESCRIPTION_WIDTH),
            "StarCount": str(item.stars),
            "IsOfficial": "[OK]" if item.is_official else "",
        }
        for item in found
    ]
    template = options.get("format")
    if template is None or template == "table":
        sys.stdout.write(columns(list(_HEADERS.values()), [[row[field] for field in _HEADERS] for row in rows]))
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, rows, _HEADERS)
    return 0
