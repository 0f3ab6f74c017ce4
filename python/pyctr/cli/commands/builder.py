"""`builder prune`, `builder du`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_WARNING = "WARNING! This will remove all {}build cache."
_ID_WIDTH = 48
_SPACES = ("--reserved-space", "--keep-storage", "--max-used-space", "--min-free-space")


def builder_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove build cache."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import size
    from pyctr.engine.build.usage import Keep, prune_cache
    from pyctr.engine.options.units import parse_size_flag

    every = options.get("all", False)
    filters = parse_filters(options)
    sizes = [parse_size_flag(options.get(flag[2:].replace("-", "_"), "0"), flag) for flag in _SPACES]
    keep = Keep(reserved=sizes[0] or sizes[1], max_used=sizes[2], min_free=sizes[3])
    if not options.get("force") and not confirm(_WARNING.format("" if every else "dangling ")):
        return 0
    removed, freed = prune_cache(engine, all=every, filters=filters, keep=keep)
    if removed:
        sys.stdout.write("Deleted build cache objects:\n" + "".join(name + "\n" for name in removed) + "\n")
    sys.stdout.write(f"Total reclaimed space: {size(freed, digits=4)}\n")
    return 0


def builder_du(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Show what the build cache holds."""
    from pyctr._core import json_dumps
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import ago, columns, size
    from pyctr.engine.build.usage import entries, filtered

    found = filtered(entries(engine), parse_filters(options))
    if options.get("format") == "json":
        sys.stdout.write("".join(json_dumps(entry.to_api()).decode() + "\n" for entry in found))
        return 0
    if options.get("verbose"):
        for entry in found:
            fields = {
                "ID": entry.id, "Created at": entry.to_api()["CreatedAt"], "Mutable": str(bool(entry.path)).lower(),
                "Reclaimable": str(not entry.in_use).lower(), "Shared": str(entry.shared).lower(),
                "Size": size(entry.size, digits=4), "Description": entry.description, "Usage count": str(entry.uses),
                "Last used": ago(int(entry.used_s)), "Type": entry.kind,
            }  # fmt: skip
            sys.stdout.write("".join(f"{name + ':':<16}{value}\n" for name, value in fields.items()) + "\n")
    else:
        rows = [
            [
                entry.id[:_ID_WIDTH] + ("*" if entry.path else ""),
                str(not entry.in_use).lower(),
                size(entry.size, digits=4) + ("*" if entry.shared else ""),
                ago(int(entry.used_s)),
            ]
            for entry in found
        ]
        sys.stdout.write(columns(["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"], rows))
    reclaimable = sum(entry.size for entry in found if not entry.in_use and not entry.shared)
    sys.stdout.write(f"Reclaimable:\t{size(reclaimable, digits=4)}\n")
    sys.stdout.write(f"Total:\t\t{size(sum(entry.size for entry in found), digits=4)}\n")
    return 0
