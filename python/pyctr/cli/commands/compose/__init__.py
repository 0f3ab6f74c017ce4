"""`pyctr compose`: a module a family of commands; they render what pyctr.compose does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyctr.engine import Engine


def compose(engine: Engine, settings: dict[str, Any], words: list[str]) -> int:
    """Find the command among the words, and run it with the project's options."""
    from pyctr.cli.commands.compose.common import parallel
    from pyctr.cli.commands.compose.context import ComposeContext
    from pyctr.cli.compose_table import COMPOSE_COMMANDS
    from pyctr.cli.main import INTERRUPTED, check_count, complain
    from pyctr.cli.parse import HelpAsked, UsageError, parse
    from pyctr.cli.signals import interrupted_by_signals
    from pyctr.errors import InvalidFlag, PyctrError

    if settings.get("version"):
        words = ["version", *words]
    if not words or words[0] in ("help", "--help", "-h"):
        return _help(words[1:])
    name = words[0]
    if name not in COMPOSE_COMMANDS:
        import difflib

        near = difflib.get_close_matches(name, COMPOSE_COMMANDS, n=1)
        meant = f". Did you mean '{near[0]}'?" if near else ""
        return complain(f'unknown pyctr command: "compose {name}"{meant}', hint="See 'pyctr compose --help'.", code=1)
    module, fewest, most, stop, *_, options = COMPOSE_COMMANDS[name]
    try:
        values, arguments = parse(options, words[1:], stop_at_argument=stop)
        check_count(f"compose {name}", len(arguments), fewest, most)
    except HelpAsked:
        return _help([name])
    except UsageError as error:
        return complain(str(error), hint=f"See 'pyctr compose {name} --help'.", code=1)
    function = getattr(__import__(f"pyctr.cli.commands.compose.{module}", fromlist=("x",)), name.replace("-", "_"))
    with interrupted_by_signals(), ComposeContext(engine, settings) as context:
        try:
            if settings.get("parallel"):
                parallel(context)  # whether or not the command does anything side by side
            code: int = function(context, values, arguments)
        except InvalidFlag as error:  # of a value in the file, or of a flag: the usage of `compose` would not help
            return complain(str(error), code=1)
        except PyctrError as error:
            if error.exit_code != INTERRUPTED:
                raise
            return complain(str(error), code=INTERRUPTED)
    return code


def _help(words: list[str]) -> int:
    """Help of a compose command, or the list of them."""
    from pyctr.cli.compose_help import show

    return show(words, sys.stdout)
