"""`system boot` and `system install`."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.errors import PyctrError


def system_boot(engine: Engine, _options: dict[str, Any], _arguments: list[str]) -> int:
    """Start what should run; prints names in the order of their start."""
    from pyctr.engine.containers.boot import boot_containers

    failed = []

    def report(name: str, error: PyctrError) -> None:
        failed.append(name)
        sys.stderr.write(f"pyctr: start {name}: {error}\n")

    for container_id in boot_containers(engine, report):
        sys.stdout.write(engine.containers.store.record(container_id)["Name"].removeprefix("/") + "\n")
    return 1 if failed else 0


def system_install(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Write the systemd unit, or take it away; prints its path."""
    from pyctr.engine.service import install_unit, remove_unit

    directory = options.get("directory")
    if directory is not None:
        directory = os.path.abspath(directory)
    path = remove_unit(directory) if options.get("remove") else install_unit(engine, directory)
    sys.stdout.write(path + "\n")
    return 0
