"""`cp`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def cp(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Copy between a container and the host."""
    from pyctr.cli.human import size
    from pyctr.engine.containers import copy

    (source, source_path), (target, target_path) = (split(argument) for argument in arguments)
    if source and target:
        raise InvalidArgument("copying between containers is not supported")
    if not source and not target:
        raise InvalidArgument("must specify at least one container source")
    follow, archive = options.get("follow_link", False), options.get("archive", False)
    if target_path == "-":
        if os.isatty(1):
            raise InvalidArgument("cowardly refusing to copy to a terminal. Use a directory or redirect")
        sys.stdout.flush()
        copy.get_archive(engine, source, source_path, 1, follow=follow)
        return 0
    if source_path == "-" and target:
        copy.put_archive(engine, target, target_path, 0, archive=True)
        return 0
    if source:
        copied = copy.copy_from(engine, source, source_path, target_path, follow=follow, archive=archive)
    else:
        copied = copy.copy_to(engine, target, source_path, target_path, follow=follow, archive=archive)
    if not options.get("quiet") and sys.stdout.isatty():
        sys.stderr.write(f"Successfully copied {size(copied)} to {arguments[1]}\n")
    return 0


def split(argument: str) -> tuple[str, str]:
    """``CONTAINER:PATH``, or an empty name and a path of the host; one that begins with ``.`` or ``/`` is the host's."""
    if argument[:1] in (".", "/"):
        return "", argument
    name, colon, path = argument.partition(":")
    return (name, path) if colon else ("", argument)
