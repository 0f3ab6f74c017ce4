"""`system boot` and `system install`."""

from __future__ import annotations

import os
import sys

from pyctr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine
    from pyctr.errors import PyctrError


def system_boot(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Start what should run; prints names in the order of their start."""
    from pyctr.engine.containers.boot import PATIENCE_S, boot_containers

    text = options.get("wait_timeout", f"{PATIENCE_S:g}")
    if not (text.isascii() and text.isdigit()):
        raise InvalidArgument(f'invalid argument "{text}" for "--wait-timeout" flag: not a number of seconds')
    failed = []

    def report(name: str, error: PyctrError) -> None:
        failed.append(name)
        sys.stderr.write(f"pyctr: start {name}: {error}\n")

    def tell(words: str) -> None:
        sys.stderr.write(f"pyctr: {words}\n")
        sys.stderr.flush()

    for container_id in boot_containers(engine, report, patience_s=float(text), tell=tell):
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
