"""`manifest create`, `annotate`, `push`, `rm`, `inspect`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pyctr.engine import manifests
from pyctr.errors import PyctrError

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def manifest_create(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a list of images at a registry."""
    name, *images = arguments
    target = manifests.create(
        engine, name, images, amend=options.get("amend", False), insecure=options.get("insecure", False)
    )
    sys.stdout.write(f"Created manifest list {target}\n")
    return 0


def manifest_annotate(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Say what an image of a list is for."""
    given = {name: options[name] for name in ("os", "arch", "variant", "os_version") if name in options}
    features = [word for text in options.get("os_features", []) for word in text.split(",") if word]
    manifests.annotate(engine, *arguments, **given, os_features=features)
    return 0


def manifest_push(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Push a list."""

    def report(status: str, id: str = "", current: int = 0, total: int = 0) -> None:
        del id, current, total
        sys.stdout.write(f"{status}\n")

    digest = manifests.push(
        engine,
        arguments[0],
        purge=options.get("purge", False),
        insecure=options.get("insecure", False),
        report=report,
    )
    sys.stdout.write(f"{digest}\n")
    return 0


def manifest_rm(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Remove lists; one that is not there keeps no other."""
    failed = False
    for name in arguments:
        try:
            manifests.remove(engine, name)
        except PyctrError as error:
            sys.stderr.write(f"pyctr: {error}\n")
            failed = True
    return int(failed)


def manifest_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show a list, an entry of one, or a manifest as its registry has it."""
    from pyctr.image.manifest_lists import render_list

    value = manifests.inspect(
        engine,
        arguments[-1],
        member_of=arguments[0] if len(arguments) == 2 else "",
        insecure=options.get("insecure", False),
        verbose=options.get("verbose", False),
    )
    if isinstance(value, dict) and "manifests" in value:
        text = render_list(value)
    else:
        text = json.dumps(value, indent="\t", ensure_ascii=False)
    sys.stdout.write(text + "\n")
    return 0
