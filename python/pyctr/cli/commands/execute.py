"""`exec`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def exec(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Run a command in a running container; its exit code."""
    if options.get("tty") and not options.get("detach"):
        from pyctr.cli.terminal import check_terminal

        check_terminal(tty=True, stdin=options.get("interactive"))
    result = engine.containers.exec(arguments[0], arguments[1:], options)
    return result if isinstance(result, int) else 0
