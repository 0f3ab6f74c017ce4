"""Commands on images."""

from __future__ import annotations

import os
import sys

from pyctr.cli.human import ago, columns, local_time, size
from pyctr.errors import InvalidArgument, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

_SHORT = 12
_HEADERS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "Containers": "CONTAINERS", "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
}  # fmt: skip
_HISTORY = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE", "Comment": "COMMENT",
}  # fmt: skip


def _ago(created: str) -> str:
    from pyctr.engine import times

    # An image without a date of its own, or one made reproducible, is as old as time.
    seconds = times.parse_time(created) // 1_000_000_000 if created else 0
    return ago(seconds) if seconds > 0 else "N/A"


def images(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """List images."""
    from pyctr.cli.filters import parse_filters

    if options.get("tree"):
        raise InvalidArgument("--tree is not supported: an image here is for one platform")
    found = engine.images.list(reference=arguments[0] if arguments else None, filters=parse_filters(options))
    whole = options.get("no_trunc", False)
    if options.get("quiet"):
        ids = [item.id if whole else item.id[7 : 7 + _SHORT] for item in found]  # a row a name, as Docker does
        sys.stdout.write("".join(f"{id}\n" for id in ids))
        return 0
    template = options.get("format")
    shows_digest = options.get("digests") or "Digest" in (template or "")
    rows = [
        {
            "Repository": item.repository,
            "Tag": item.tag,
            "Digest": item.digest if shows_digest else "<none>",
            "ID": item.id if whole else item.id[7 : 7 + _SHORT],
            "CreatedSince": ago(item.created_s) if item.created_s > 0 else "N/A",
            "CreatedAt": local_time(item.created_s),
            "Size": size(item.size),
            "VirtualSize": size(item.size, 4),
            "Containers": "N/A",
            "SharedSize": "N/A",
            "UniqueSize": "N/A",
        }
        for item in found
    ]
    if template is None or template == "table":
        fields = ["Repository", "Tag", *(["Digest"] if options.get("digests") else []), "ID", "CreatedSince", "Size"]
        cells = [[entry[field] for field in fields] for entry in rows]
        sys.stdout.write(columns([_HEADERS[field] for field in fields], cells))
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, rows, _HEADERS)
    return 0


def rmi(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Remove images; what fails does not keep the rest from being removed."""
    code = 0
    for reference in arguments:
        try:
            lines = engine.images.remove(
                reference, force=options.get("force", False), platforms=options.get("platform")
            )
        except PyctrError as error:
            sys.stdout.flush()
            sys.stderr.write(f"pyctr: {error}\n")
            if not (isinstance(error, NotFound) and options.get("force")):
                code = 1
        else:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
    return code


def open_input(path: str) -> int:
    """A file to be read; raises PyctrError for what is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PyctrError(f"open {path}: {str(error.strerror).lower()}") from None
    if os.path.isdir(fd):
        os.close(fd)
        raise PyctrError(f"read {path}: is a directory")
    return fd


def load(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Load images from a file or standard input."""
    path = options.get("input")
    if path is None and os.isatty(0):
        raise InvalidArgument("requested load from stdin, but stdin is empty")
    source = 0 if path is None else open_input(path)
    from pyctr.image.settle import settle_afterwards

    engine.settles_afterwards = True
    try:
        lines = engine.images.load(source, platform=options.get("platform"))
    finally:
        if path is not None:
            os.close(source)
    # Docker's --quiet leaves out progress, of which there is none; the names are what one loads for.
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    settle_afterwards(engine.image_store)
    return 0


def tag(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Give an image a further name."""
    from pyctr.image.reference import parse_reference

    try:
        parse_reference(arguments[1])
    except InvalidArgument as error:
        raise InvalidArgument(
            f'Error parsing reference: "{arguments[1]}" is not a valid repository/tag: {error}'
        ) from None
    engine.images.tag(arguments[0], arguments[1])
    return 0


def history(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show how an image was made."""
    whole, human = options.get("no_trunc", False), options.get("human", True)
    rows = []
    for step in engine.images.history(arguments[0], platform=options.get("platform")):
        text = step["created_by"].replace("\t", " ")
        rows.append(
            {
                "ID": step["id"] if whole or step["id"] == "<missing>" else step["id"][7 : 7 + _SHORT],
                "CreatedSince": _ago(step["created"]) if human else step["created"],
                "CreatedAt": step["created"],
                "CreatedBy": text if whole or len(text) <= 45 else text[:44] + "…",
                "Size": size(step["size"]) if human else str(step["size"]),
                "Comment": step["comment"],
            }
        )
    if options.get("quiet"):
        sys.stdout.write("".join(f"{row['ID']}\n" for row in rows))
        return 0
    template = options.get("format")
    if template is None or template == "table":
        fields = ["ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment"]
        sys.stdout.write(
            columns([_HISTORY[field] for field in fields], [[row[field] for field in fields] for row in rows])
        )
        return 0
    from pyctr.cli.format import print_rows

    print_rows(template, rows, _HISTORY)
    return 0


def image_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove nameless images, after asking."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters

    everything = options.get("all", False)
    filters = parse_filters(options, "--filter")
    what = "images without at least one container associated to them" if everything else "dangling images"
    if not options.get("force") and not confirm(f"WARNING! This will remove all {what}."):
        return 0
    lines, reclaimed = engine.images.prune(all=everything, filters=filters)
    if lines:
        sys.stdout.write("Deleted Images:\n" + "".join(f"{line}\n" for line in lines) + "\n")
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed)}\n")
    return 0


def image_bootstrap(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a base image from the distribution's packages."""
    include = [package for text in options.get("include", []) for package in text.split(",") if package]
    name = engine.images.bootstrap(arguments[0], include=include, name=options.get("name"))
    sys.stdout.write(f"Made image: {name}\n")
    return 0
