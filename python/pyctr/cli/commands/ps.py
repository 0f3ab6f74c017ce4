"""`ps`."""

from __future__ import annotations

import sys

from pyctr.cli.human import ago, columns, local_time, quoted, shorten, size
from pyctr.engine.ports import display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.engine.containers.listing import Summary

_SHORT = 12
_COMMAND_WIDTH = 20
_DEFAULT = ("ID", "Image", "Command", "CreatedAgo", "Status", "Ports", "Names")
_HEADERS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAgo": "CREATED", "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT", "Status": "STATUS", "State": "STATE", "Ports": "PORTS", "Names": "NAMES", "Size": "SIZE",
    "Labels": "LABELS", "Mounts": "MOUNTS", "Networks": "NETWORKS", "LocalVolumes": "LOCAL VOLUMES",
}  # fmt: skip


def ps(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """List containers."""
    from pyctr.cli.filters import parse_filters

    found = engine.containers.list(
        all=options.get("all", False),
        limit=_limit(options),
        filters=parse_filters(options),
        size=options.get("size", False),
    )
    whole = options.get("no_trunc", False)
    if options.get("quiet"):
        sys.stdout.write("".join(f"{item.id if whole else item.id[:_SHORT]}\n" for item in found))
        return 0
    rows = [row(item, whole=whole) for item in found]
    template = options.get("format")
    if template is None or template == "table":
        fields = [*_DEFAULT, *(["Size"] if options.get("size") else [])]
        cells = [[str(entry[field]) for field in fields] for entry in rows]
        sys.stdout.write(columns([_HEADERS[field] for field in fields], cells))
        return 0
    from pyctr.cli.format import print_rows

    for entry in rows:
        entry["RunningFor"] = entry.pop("CreatedAgo")
    print_rows(template, rows, _HEADERS)
    return 0


def _limit(options: dict[str, Any]) -> int | None:
    if options.get("latest"):
        return 1
    text = options.get("last")
    if text is None:
        return None
    from pyctr.engine.options.units import parse_int

    last = parse_int(text, "-n, --last")
    return last if last >= 0 else None


def row(item: Summary, *, whole: bool) -> dict[str, Any]:
    """What a template may ask of a container."""
    command = quoted(item.command if whole else shorten(item.command, _COMMAND_WIDTH))
    sizes = item.size
    return {
        "ID": item.id if whole else item.id[:_SHORT],
        "Image": item.image,
        "Command": command,
        "CreatedAt": local_time(item.created_s),
        "CreatedAgo": ago(item.created_s),
        "Ports": display(item.ports) if item.ports else "",
        "State": item.state,
        "Status": item.status,
        "Names": ",".join(item.names),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted((item.labels or {}).items())),
        "Mounts": ",".join(item.mounts if whole else [shorten(mount, 15) for mount in item.mounts]),
        "Networks": ",".join(item.networks),
        "LocalVolumes": str(sum(1 for point in item.record["Mounts"] if point["Type"] == "volume")),
        "Size": f"{size(sizes[0])} (virtual {size(sizes[1])})" if sizes else "0B",
    }
