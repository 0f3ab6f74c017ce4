"""`ps`."""

from __future__ import annotations

import sys

from pyctr.cli.human import ago, columns, local_time, quoted, shorten, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
    template = options.get("format")
    if template and template != "table":
        from pyctr.cli.format import check_rows

        check_rows(template, _BLANK)
    found = engine.containers.list(
        all=options.get("all", False),
        limit=_limit(options),
        filters=_filters(options),
        size=options.get("size", False) or ".Size" in (template or ""),
    )
    whole = options.get("no_trunc", False)
    if options.get("quiet"):
        sys.stdout.write("".join(f"{item.id if whole else item.id[:_SHORT]}\n" for item in found))
        return 0
    if template is None or template == "table":
        fields = [*_DEFAULT, *(["Size"] if options.get("size") else [])]
        cells = [[_FIELDS[field](item, whole) for field in fields] for item in found]
        sys.stdout.write(columns([_HEADERS[field] for field in fields], cells))
        return 0
    rows = [row(item, whole=whole) for item in found]
    from pyctr.cli.format import print_rows

    for entry in rows:
        entry["RunningFor"] = entry.pop("CreatedAgo")
    print_rows(template, rows, _HEADERS)
    return 0


def _filters(options: dict[str, Any]) -> dict[str, list[str]]:
    if "filter" not in options:
        return {}
    from pyctr.cli.filters import parse_filters

    return parse_filters(options)


def _limit(options: dict[str, Any]) -> int | None:
    text = options.get("last")
    if text is not None:
        from pyctr.engine.options.units import parse_int

        last = parse_int(text, "-n, --last")
        if last >= 0:
            return last
    return 1 if options.get("latest") else None


def row(item: Summary, *, whole: bool) -> dict[str, Any]:
    """What a template may ask of a container."""
    return {name: show(item, whole) for name, show in _FIELDS.items()}


def _command(item: Summary, whole: bool) -> str:
    return quoted(item.command if whole else shorten(item.command, _COMMAND_WIDTH))


def _labels(item: Summary, _: bool) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((item.labels or {}).items()))


def _mounts(item: Summary, whole: bool) -> str:
    return ",".join(item.mounts if whole else [shorten(mount, 15) for mount in item.mounts])


def _ports(item: Summary, _: bool) -> str:
    if not item.ports:
        return ""
    from pyctr.engine.ports import display

    return display(item.ports)


def _size(item: Summary, _: bool) -> str:
    return f"{size(item.size[0])} (virtual {size(item.size[1])})" if item.size else "0B"


#: How each field is shown, whole or shortened.
_FIELDS: dict[str, Callable[[Summary, bool], str]] = {
    "ID": lambda item, whole: item.id if whole else item.id[:_SHORT],
    "Image": lambda item, _: item.image,
    "Command": _command,
    "CreatedAt": lambda item, _: local_time(item.created_s),
    "CreatedAgo": lambda item, _: ago(item.created_s),
    "Ports": _ports,
    "State": lambda item, _: item.state,
    "Status": lambda item, _: item.status,
    "Names": lambda item, _: ",".join(item.names),
    "Labels": _labels,
    "Mounts": _mounts,
    "Networks": lambda item, _: ",".join(item.networks),
    "LocalVolumes": lambda item, _: str(sum(1 for point in item.record["Mounts"] if point["Type"] == "volume")),
    "Size": _size,
}
#: A row with nothing in it.
_BLANK = dict.fromkeys((*(_FIELDS.keys() - {"CreatedAgo"}), "RunningFor"), "")
