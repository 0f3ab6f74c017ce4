"""The entry point: which command, its options, its exit code. Imports nothing that the command does not need."""

from __future__ import annotations

import os
import sys

from pyctr.cli.parse import HelpAsked, UsageError, parse
from pyctr.cli.table import ALIASES, GLOBAL, GROUPS, lookup
from pyctr.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine

USAGE_ERROR = 125
FAILURE = 1
INTERRUPTED = 130
#: Commands whose every engine error is 125, as Docker's.
_RUNS = frozenset(("run", "create"))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    debug = False
    try:
        settings, words = parse(GLOBAL, argv, stop_at_argument=True)
        debug = bool(settings.get("debug"))
        return run(settings, words)
    except HelpAsked:
        return show_help(())
    except UsageError as error:
        return complain(str(error), hint="See 'pyctr --help'.", code=USAGE_ERROR)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more is to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILURE
    except OSError as error:
        if debug:
            raise
        return complain(f"{error.filename or 'system call'}: {error.strerror}", code=FAILURE)


def run(settings: dict[str, Any], words: list[str]) -> int:
    """Dispatch to a command."""
    if settings.get("version"):
        from pyctr import __version__

        sys.stdout.write(f"pyctr version {__version__}\n")
        return 0
    for name in ("host", "context", "config"):
        if name in settings:
            return complain(f"--{name} is not supported: pyctr has no daemon to talk to", code=USAGE_ERROR)
    if not words or words[0] in ("help", "--help"):
        return show_help(tuple(words[1:]))
    found, rest = find_command(words)
    if found is None:
        if words[0] in GROUPS and (len(words) == 1 or words[1] in ("--help", "-h")):
            return show_help((words[0],))
        return complain(
            unknown_command(words), hint="See 'pyctr --help'.", code=USAGE_ERROR if len(words) > 1 else FAILURE
        )
    name = found
    module, fewest, most, stop, *_, options = lookup(ALIASES.get(name, name))
    try:
        values, arguments = parse(options, rest, stop_at_argument=stop)
        check_count(name, len(arguments), fewest, most)
    except HelpAsked:
        return show_help(tuple(name.split()))
    except UsageError as error:
        return complain(str(error), hint=f"See 'pyctr {name} --help'.", code=USAGE_ERROR)
    return execute(ALIASES.get(name, name), module, settings, values, arguments)


def execute(name: str, module: str, settings: dict[str, Any], values: dict[str, Any], arguments: list[str]) -> int:
    """Run one command on an engine; errors become one line and an exit code."""
    from pyctr.engine import Engine

    engine: Engine = Engine(settings.get("root"), settings.get("run_root"), config_file=settings.get("config_file"))
    function = getattr(__import__(f"pyctr.cli.commands.{module}", fromlist=("x",)), name.replace(" ", "_"))
    try:
        code: int = function(engine, values, arguments)
    except PyctrError as error:
        if settings.get("debug"):
            raise
        if name == "exec" and error.exit_code in (126, 127):
            code = error.exit_code
        else:
            code = error.exit_code if name in _RUNS else FAILURE
        return complain(str(error), hint=error.hint, code=code)
    return code


def find_command(words: list[str]) -> tuple[str | None, list[str]]:
    """The longest command that argv begins with, and the rest."""
    two = " ".join(words[:2])
    if two in ALIASES or (words[0] in GROUPS and lookup(two)):
        return two, words[2:]
    if lookup(words[0]):
        return words[0], words[1:]
    return None, words


def check_count(name: str, count: int, fewest: int, most: int | None) -> None:
    """Docker's words for too few or too many arguments."""
    plural = "s" if (fewest if count < fewest else most) != 1 else ""
    if most == 0 and count:
        raise UsageError(f'"pyctr {name}" accepts no arguments.')
    if fewest == most and count != fewest:
        raise UsageError(f'"pyctr {name}" requires exactly {fewest} argument{plural}.')
    if count < fewest:
        raise UsageError(f'"pyctr {name}" requires at least {fewest} argument{plural}.')
    if most is not None and count > most:
        raise UsageError(f'"pyctr {name}" requires at most {most} argument{plural}.')


def unknown_command(words: list[str]) -> str:
    """Docker's words, and the nearest command there is."""
    import difflib

    from pyctr.cli.table import COMMANDS

    text = " ".join(words[:2]) if words[0] in GROUPS else words[0]
    near = difflib.get_close_matches(text, [*COMMANDS, *ALIASES], n=1)
    message = f"'{text}' is not a pyctr command."
    return f"{message} Did you mean '{near[0]}'?" if near else message


def complain(message: str, *, hint: str | None = None, code: int) -> int:
    """One line on stderr, and what to do about it."""
    sys.stdout.flush()
    sys.stderr.write(f"pyctr: {message}\n" + (f"{hint}\n" if hint else ""))
    return code


def show_help(command: tuple[str, ...]) -> int:
    """Help is drawn by typer, from the same table."""
    from pyctr.cli.help import show

    return show(command)
