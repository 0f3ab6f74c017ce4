"""`pyctr compose --help`, drawn from the table of compose commands."""

from __future__ import annotations

from pyctr.cli.compose_table import COMPOSE_COMMANDS, COMPOSE_GLOBAL
from pyctr.cli.help import columns, render_compose, render_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_EXAMPLES = (
    "pyctr compose up -d",
    "pyctr compose -f compose.yaml -f compose.prod.yaml config",
    "pyctr compose logs -f web",
)


def show(words: list[str], out: TextIO) -> int:
    """Print the help of a command, or of all."""
    name = words[0] if words and words[0] in COMPOSE_COMMANDS else None
    if name is not None:
        out.write(render_compose(name, COMPOSE_COMMANDS[name], []))
        return 0
    rows = sorted((each, command[5]) for each, command in COMPOSE_COMMANDS.items())
    examples = "\n".join(f"  {line}" for line in _EXAMPLES)
    out.write(
        "Usage:  pyctr compose [OPTIONS] COMMAND\n\nRun applications of several containers from compose files\n\n"
        f"Examples:\n{examples}\n\nOptions:\n{render_options(COMPOSE_GLOBAL)}\n\nCommands:\n{columns(rows)}\n\n"
        "Run 'pyctr compose COMMAND --help' for more information on a command.\n"
    )
    return 0
