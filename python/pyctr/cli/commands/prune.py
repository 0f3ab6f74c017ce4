"""`system prune`."""

from __future__ import annotations

import sys

from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def system_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove what is not used, after asking."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import size

    every, volumes = options.get("all", False), options.get("volumes", False)
    filters = parse_filters(options, "--filter")
    if volumes and "until" in filters:
        raise PyctrError('The "until" filter is not supported with "--volumes"')
    if not options.get("force") and not confirm(warning(options)):
        return 0
    reclaimed = 0
    removed, freed = engine.containers.prune(filters)
    reclaimed += freed
    show("Containers", removed)
    show("Networks", engine.networks.prune(filters))
    if volumes:
        removed, freed = engine.volumes.prune(filters)
        reclaimed += freed
        show("Volumes", removed)
    removed, freed = engine.images.prune(all=every, filters=filters)
    reclaimed += freed
    show("Images", removed)
    reclaimed += prune_build_cache(engine, filters, every=every)
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed, digits=4)}\n")
    return 0


def warning(options: dict[str, Any]) -> str:
    """What is going to be removed, in Docker's words."""
    every = options.get("all", False)
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if options.get("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    lines += (
        ["all images without at least one container associated to them", "all build cache"]
        if every
        else ["all dangling images", "unused build cache"]
    )
    text = "WARNING! This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    filters = options.get("filter", [])
    if filters:
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {line}\n" for line in sorted(filters))
    return text


def show(kind: str, names: list[str]) -> None:
    """What of a kind was removed."""
    if names:
        sys.stdout.write(f"Deleted {kind}:\n" + "".join(f"{name}\n" for name in names) + "\n")


def prune_build_cache(engine: Engine, filters: dict[str, list[str]], *, every: bool) -> int:
    """Remove build cache; bytes. It has no labels, so a filter by label leaves all of it."""
    if "label" in filters:
        return 0
    from pyctr.engine.build.usage import prune_cache

    times = {name: values for name, values in filters.items() if name == "until"}
    removed, freed = prune_cache(engine, all=every, filters=times)
    show("build cache objects", removed)
    return freed
