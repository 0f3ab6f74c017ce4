"""`exec`."""

from __future__ import annotations

from pyctr.cli.terminal import check_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def exec(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Run a command in a running container; its exit code."""
    if not options.get("detach"):
        check_terminal(tty=options.get("tty"), stdin=options.get("interactive"))
    result = engine.containers.exec(arguments[0], arguments[1:], options)
    return result if isinstance(result, int) else 0
