"""`pyctr compose` in the table of commands; its own commands are in `compose_table`."""

from __future__ import annotations

from pyctr.cli.compose_table import COMPOSE_GLOBAL

COMMANDS = {
    "compose": (
        "compose", 0, None, True, "COMMAND [ARG...]", "Run applications of several containers from compose files",
        COMPOSE_GLOBAL,
    ),
}  # fmt: skip
