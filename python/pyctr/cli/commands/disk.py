"""`system df`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pyctr.cli.human import ago, columns, shorten, size

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_HEADERS = {
    "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
}  # fmt: skip
_SHORT = 12
_COMMAND_WIDTH = 20
_RUNNING = frozenset(("running", "paused", "restarting"))
#: Digits of sizes, as Docker has them here.
_DIGITS = 4


def system_df(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show what takes how much of the disk."""
    from pyctr.engine.disk_usage import disk_usage

    usage = disk_usage(engine)
    template = options.get("format")
    plain = template is None or template == "table"
    if options.get("verbose"):
        if plain:
            sys.stdout.write(_verbose(usage))
        else:
            from pyctr.cli.format import compile_template

            value = {name: usage[name] for name in ("Images", "Containers", "Volumes", "BuildCache")}
            sys.stdout.write(compile_template("{{json .}}" if template == "json" else str(template))(value) + "\n")
        return 0
    rows = summary(usage)
    if plain:
        sys.stdout.write(columns(list(_HEADERS.values()), [[row[field] for field in _HEADERS] for row in rows]))
        return 0
    from pyctr.cli.format import print_rows

    print_rows(str(template), list(rows), _HEADERS)
    return 0


def summary(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a kind of thing (docker/cli formatter/disk_usage.go)."""
    images, containers, volumes, cache = (usage[name] for name in ("Images", "Containers", "Volumes", "BuildCache"))
    used = sum(image["Size"] - image["SharedSize"] for image in images if image["Containers"])
    idle = sum(item["SizeRw"] for item in containers if item["State"] not in _RUNNING)
    unused = sum(item["UsageData"]["Size"] for item in volumes if not item["UsageData"]["RefCount"])
    kept = [item for item in cache if not item.get("Shared")]
    return [
        _row("Images", images, sum(1 for item in images if item["Containers"]), usage["LayersSize"],
             usage["LayersSize"] - used),
        _row("Containers", containers, sum(1 for item in containers if item["State"] in _RUNNING),
             sum(item["SizeRw"] for item in containers), idle),
        _row("Local Volumes", volumes, sum(1 for item in volumes if item["UsageData"]["RefCount"]),
             sum(item["UsageData"]["Size"] for item in volumes), unused),
        _row("Build Cache", cache, sum(1 for item in cache if item.get("InUse")), sum(item["Size"] for item in kept),
             sum(item["Size"] for item in kept if not item.get("InUse"))),
    ]  # fmt: skip


def _row(kind: str, items: list[Any], active: int, total: int, reclaimable: int) -> dict[str, Any]:
    share = f" ({reclaimable * 100 // total}%)" if total > 0 else ""
    return {
        "Type": kind,
        "TotalCount": str(len(items)),
        "Active": str(active),
        "Size": size(total, _DIGITS),
        "Reclaimable": size(reclaimable, _DIGITS) + (share if kind != "Build Cache" else ""),
    }


def _verbose(usage: dict[str, Any]) -> str:
    images = [
        [*_name(tag), item["Id"][7 : 7 + _SHORT], ago(item["Created"]) if item["Created"] > 0 else "N/A",
         size(item["Size"]), size(item["SharedSize"], _DIGITS), size(item["Size"] - item["SharedSize"], _DIGITS),
         str(item["Containers"])]
        for item in usage["Images"]
        for tag in item["RepoTags"] or ["<none>:<none>"]
    ]  # fmt: skip
    containers = [
        [item["Id"][:_SHORT], item["Image"], f'"{shorten(item["Command"], _COMMAND_WIDTH)}"',
         str(sum(1 for point in item["Mounts"] if point["Type"] == "volume")), size(item["SizeRw"]), ago(item["Created"]),
         item["Status"], ",".join(name.removeprefix("/") for name in item["Names"])]
        for item in usage["Containers"]
    ]  # fmt: skip
    volumes = [
        [item["Name"], str(item["UsageData"]["RefCount"]), size(item["UsageData"]["Size"], _DIGITS)]
        for item in usage["Volumes"]
    ]
    parts = (
        ("Images space usage:", "REPOSITORY TAG IMAGE_ID CREATED SIZE SHARED_SIZE UNIQUE_SIZE CONTAINERS", images),
        ("Containers space usage:", "CONTAINER_ID IMAGE COMMAND LOCAL_VOLUMES SIZE CREATED STATUS NAMES", containers),
        ("Local Volumes space usage:", "VOLUME_NAME LINKS SIZE", volumes),
        (_cache_title(usage["BuildCache"]), "CACHE_ID CACHE_TYPE SIZE CREATED LAST_USED USAGE SHARED",
         [_cache_row(item) for item in usage["BuildCache"]]),
    )  # fmt: skip
    return "\n".join(
        f"{title}\n\n" + columns([word.replace("_", " ") for word in header.split()], rows)
        for title, header, rows in parts
    )


def _cache_title(cache: list[dict[str, Any]]) -> str:
    return f"Build cache usage: {size(sum(item['Size'] for item in cache if not item.get('Shared')), _DIGITS)}"


def _cache_row(item: dict[str, Any]) -> list[str]:
    from pyctr.engine import times

    created, used = (
        ago(times.parse_time(item[key]) // 1_000_000_000) if item.get(key) else ""
        for key in ("CreatedAt", "LastUsedAt")
    )
    return [
        item["ID"][:_SHORT], item["Type"], size(item["Size"]), created, used, str(item.get("UsageCount", 0)),
        str(bool(item.get("Shared"))).lower(),
    ]  # fmt: skip


def _name(tag: str) -> tuple[str, str]:
    repository, _, rest = tag.rpartition(":")
    return repository, rest
