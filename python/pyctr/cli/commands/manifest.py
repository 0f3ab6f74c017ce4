"""`manifest inspect`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def manifest_inspect(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Show a manifest or index as its registry has it."""
    from pyctr.engine.search import inspect_manifest

    name = arguments[-1]
    if len(arguments) == 2:  # of a list, one entry, by tag or digest
        from pyctr.image.reference import parse_reference

        name = str(parse_reference(arguments[1]))
    value = inspect_manifest(
        engine, name, insecure=options.get("insecure", False), verbose=options.get("verbose", False)
    )
    sys.stdout.write(json.dumps(value, indent="\t", ensure_ascii=False) + "\n")
    return 0
