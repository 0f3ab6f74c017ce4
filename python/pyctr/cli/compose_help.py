"""`pyctr compose --help`, drawn by typer from the table of compose commands."""

from __future__ import annotations

from typing import Any, TextIO

import typer

from pyctr.cli.compose_table import COMPOSE_COMMANDS, COMPOSE_GLOBAL
from pyctr.cli.help import _function as function

_EXAMPLE = """Examples:

  pyctr compose up -d

  pyctr compose -f compose.yaml -f compose.prod.yaml config

  pyctr compose logs -f web"""


def show(words: list[str], out: TextIO) -> int:
    """Print the help of a command, or of all."""
    name = words[0] if words and words[0] in COMPOSE_COMMANDS else None
    app = typer.Typer(name="compose", add_completion=False, no_args_is_help=True, rich_markup_mode=None)
    text = "Run applications of several containers from compose files.\n\n" + _EXAMPLE
    app.callback(help=text)(function("callback", COMPOSE_GLOBAL, "", _nothing))
    for each, command in sorted(COMPOSE_COMMANDS.items()):
        app.command(each, help=f"{command[5]}.")(function(each, command[6], command[4], _nothing))
    out.flush()
    app([*([name] if name else []), "--help"], standalone_mode=False, prog_name="pyctr compose")
    return 0


def _nothing(**_: Any) -> None:
    """Help is all that is asked of the application."""
