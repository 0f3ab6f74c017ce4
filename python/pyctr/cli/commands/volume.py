"""`volume create`, `ls`, `inspect`, `rm`, `prune`."""

from __future__ import annotations

import sys

from pyctr.errors import InvalidArgument, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_HEADERS = {
    "Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
    "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP", "Status": "STATUS",
}  # fmt: skip
_PRUNE_WARNING = "WARNING! This will remove {} volumes not used by at least one container."


def volume_create(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a volume; prints its name."""
    name = engine.volumes.create(
        arguments[0] if arguments else "",
        options.get("driver", "local"),
        pairs(options.get("opt", ())),
        pairs(options.get("label", ())),
    )
    sys.stdout.write(name + "\n")
    return 0


def pairs(texts: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` each."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def volume_ls(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """List volumes."""
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import columns

    found = engine.volumes.list(parse_filters(options))
    if options.get("quiet"):
        sys.stdout.write("".join(f"{volume['Name']}\n" for volume in found))
        return 0
    template = options.get("format")
    if template in (None, "table"):
        cells = [[volume["Driver"], volume["Name"]] for volume in found]
        sys.stdout.write(columns(["DRIVER", "VOLUME NAME"], cells))
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, [row(volume) for volume in found], _HEADERS)
    return 0


def row(volume: dict[str, Any]) -> dict[str, Any]:
    """What a template may ask of a volume; what needs a cluster is N/A, as in Docker."""
    return {
        "Availability": "N/A",
        "Driver": volume["Driver"],
        "Group": "N/A",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted((volume["Labels"] or {}).items())),
        "Links": "N/A",
        "Mountpoint": volume["Mountpoint"],
        "Name": volume["Name"],
        "Scope": volume["Scope"],
        "Size": "N/A",
        "Status": "N/A",
    }


def volume_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show everything about volumes; one that is not there is told after those that are."""
    from pyctr._core import json_dumps

    found, errors = [], []
    for name in arguments:
        try:
            found.append(engine.volumes.inspect(name))
        except PyctrError as error:
            errors.append(str(error))
    template = options.get("format")
    if template and template != "json":
        from pyctr.cli.format import compile_template

        render = compile_template(template)
        sys.stdout.write("".join(render(volume) + "\n" for volume in found))
    else:
        sys.stdout.write(json_dumps(found, indent=None if template else 4).decode() + "\n")
    sys.stdout.flush()
    for message in errors:
        sys.stderr.write(f"pyctr: {message}\n")
    return 1 if errors else 0


def volume_rm(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Remove volumes."""
    code = 0
    for name in arguments:
        try:
            engine.volumes.remove(name, force=options.get("force", False))
        except PyctrError as error:
            sys.stdout.flush()
            sys.stderr.write(f"pyctr: {error}\n")
            code = 1
        else:
            sys.stdout.write(name + "\n")
    return code


def volume_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove unused volumes."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import size

    every = options.get("all", False)
    filters = parse_filters(options, "--filter")
    if every and "all" in filters:
        raise InvalidArgument('conflicting options: cannot specify both --all and --filter "all=1"')
    if not options.get("force") and not confirm(_PRUNE_WARNING.format("all local" if every else "anonymous local")):
        return 0
    removed, reclaimed = engine.volumes.prune(filters, all=every)
    if removed:
        sys.stdout.write("Deleted Volumes:\n" + "".join(name + "\n" for name in removed) + "\n")
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed)}\n")
    return 0
