"""`exec`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def exec(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Run a command in a running container; its exit code."""
    if options.get("tty") and options.get("interactive") and not options.get("detach") and not sys.stdin.isatty():
        sys.stderr.write("pyctr: the input device is not a TTY\n")
        return 1
    result = engine.containers.exec(arguments[0], arguments[1:], options)
    return result if isinstance(result, int) else 0
