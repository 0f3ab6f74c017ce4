"""`exec` and `attach`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext


def wants_terminal(values: dict[str, Any]) -> bool:
    """A terminal where there is one on both sides, unless ``-T``."""
    if values.get("no_tty") or values.get("no_TTY") or values.get("tty") is False:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def exec(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Run a command in a service's container; its exit code."""
    service, *command = arguments
    item = common.one_container(context, service, values)
    options: dict[str, Any] = {
        "interactive": bool(values.get("interactive", True)) and not values.get("detach"),
        "tty": wants_terminal(values) and not values.get("detach"),
    }
    for key in ("detach", "env", "privileged", "user", "workdir"):
        if values.get(key):
            options[key] = values[key]
    if common.is_dry(context, values):
        sys.stderr.write(f" DRY-RUN MODE -  Container {item.name}  Executing {' '.join(command)}\n")
        return 0
    result = context.engine.containers.exec(item.id, command, options)
    return result if isinstance(result, int) else 0


def attach(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Attach to a service's container; its exit code."""
    from pyctr.engine.containers.session import Attach

    item = common.one_container(context, arguments[0], values)
    streams = Attach(
        stdin=None if values.get("no_stdin") else 0,
        detach_keys=values.get("detach_keys", ""),
        sig_proxy=values.get("sig_proxy", True),
    )
    return context.engine.containers.attach(item.id, streams) or 0
