"""The entry point: which command, its options, its exit code. Imports nothing that the command does not need."""

from __future__ import annotations

import gc
import os
import sys
from errno import EACCES, EPERM

from pyctr.cli.parse import HelpAsked, UsageError, parse
from pyctr.cli.table import ALIASES, GLOBAL, GROUPS, lookup
from pyctr.errors import InvalidFlag, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from pyctr.engine import Engine

USAGE_ERROR = 125
FAILURE = 1
INTERRUPTED = 130
#: A command is over before it leaves as many objects as this behind; a collection would only look through what is in use.
_COLLECT_AFTER = 50_000
#: Commands whose every engine error is 125, as Docker's.
_RUNS = frozenset(("run", "create"))
#: Commands that an ordinary user needs no namespaces for.
_OUTSIDE = frozenset(("version", "completion", "login", "logout", "search", "system install"))
_LOW_PORTS = "ports below net.ipv4.ip_unprivileged_port_start are for root: publish another, or have root lower it"
_DAEMONS = ("host", "context", "config", "log-level", "tls", "tlscacert", "tlscert", "tlskey", "tlsverify")


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
        return complain_usage("", str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough; nothing more is to be flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILURE
    except OSError as error:
        if debug:
            raise
        message = f"{error.filename or 'system call'}: {error.strerror}"
        return complain(message, hint=root_hint(message), code=FAILURE)


def root_hint(message: str) -> str | None:
    """What a user who is not root is told where the kernel refused, here or in the monitor."""
    refused = message.endswith((os.strerror(EPERM), os.strerror(EACCES)))
    if refused and message.startswith("bind "):
        from pyctr._core import rootless_keeper

        return _LOW_PORTS if rootless_keeper() is not None else None
    return "pyctr needs root for this: try sudo" if refused and os.geteuid() else None


def command() -> NoReturn:
    """The command line as a process of its own, which ends here: what it made is not taken apart piece by piece first."""
    gc.set_threshold(_COLLECT_AFTER)
    code = main()
    threads = sys.modules.get("threading")
    if threads is None or threads.active_count() == 1:
        leave(code)
    sys.exit(code)  # threads that are still at work have Python's own way out


def leave(code: int) -> None:
    """End the process; what libraries registered for the end is done first. Returns where the output could not be written."""
    import atexit

    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return
    os._exit(code)


def run(settings: dict[str, Any], words: list[str]) -> int:
    """Dispatch to a command."""
    if settings.get("version"):
        from pyctr import __version__

        sys.stdout.write(f"pyctr version {__version__}\n")
        return 0
    for name in _DAEMONS:
        if name.replace("-", "_") in settings:
            return complain(f"--{name} is not supported: pyctr has no daemon to talk to", code=USAGE_ERROR)
    if not words or words[0] in ("help", "--help"):
        return show_help(tuple(words[1:]))
    if words[0] == "__complete":
        from pyctr.cli.complete import main as complete

        return complete(words[1:])
    found, rest = find_command(words)
    if found is None:
        from pyctr.cli.help import no_command

        return no_command(words)
    name = found
    module, fewest, most, stop, *_, options = lookup(ALIASES.get(name, name))
    try:
        values, arguments = parse(options, rest, stop_at_argument=stop)
        check_count(name, len(arguments), fewest, most)
    except HelpAsked:
        return show_help(tuple(name.split()))
    except UsageError as error:
        if name == "compose":  # docker compose's words and code
            return complain(str(error), hint="See 'pyctr compose --help'.", code=FAILURE)
        return complain_usage(name, str(error))
    try:
        return execute(ALIASES.get(name, name), module, settings, values, arguments)
    except InvalidFlag as error:
        return complain_usage(name, str(error))


def execute(name: str, module: str, settings: dict[str, Any], values: dict[str, Any], arguments: list[str]) -> int:
    """Run one command on an engine; errors become one line and an exit code."""
    try:
        engine = open_engine(name, settings)
    except PyctrError as error:
        if settings.get("debug"):
            raise
        return complain(str(error), hint=error.hint, code=USAGE_ERROR if name in _RUNS else FAILURE)
    function = getattr(__import__(f"pyctr.cli.commands.{module}", fromlist=("x",)), name.replace(" ", "_"))
    try:
        code: int = function(engine, values, arguments)
    except InvalidFlag:
        raise
    except PyctrError as error:
        if settings.get("debug"):
            raise
        if name == "exec" and error.exit_code in (126, 127):
            code = error.exit_code
        else:
            code = error.exit_code if name in _RUNS else FAILURE
        return complain(str(error), hint=error.hint or name_hint(engine, error) or root_hint(str(error)), code=code)
    return code


def open_engine(name: str, settings: dict[str, Any]) -> Engine:
    """The engine of these settings; an ordinary user's commands go to where that user is root first."""
    if os.geteuid():
        from pyctr.engine import rootless

        engine = rootless.open_engine(
            settings.get("root"), settings.get("run_root"), config_file=settings.get("config_file")
        )
        if name not in _OUTSIDE:
            rootless.enter(engine)
        return engine
    from pyctr.engine import Engine

    return Engine(settings.get("root"), settings.get("run_root"), config_file=settings.get("config_file"))


def find_command(words: list[str]) -> tuple[str | None, list[str]]:
    """The longest command that argv begins with, and the rest."""
    two = " ".join(words[:2])
    if two in ALIASES or (words[0] in GROUPS and lookup(two)):
        return own_name(two), words[2:]
    if lookup(words[0]):
        return words[0], words[1:]
    return None, words


def own_name(name: str) -> str:
    """What a command is called in its group, where it has several names there: `image rm` of `image remove`."""
    target = ALIASES.get(name)
    group = name.partition(" ")[0] + " "
    if target is None or target.startswith(group):
        return target or name
    return next(other for other in ALIASES if ALIASES[other] == target and other.startswith(group))


def check_count(name: str, count: int, fewest: int, most: int | None) -> None:
    """Docker's words for too few or too many arguments."""
    if count >= fewest and (most is None or count <= most):
        return
    if most == 0:
        raise UsageError(f"'pyctr {name}' accepts no arguments")
    if fewest == most:
        words = f"{fewest} argument"
    elif fewest and most is not None:
        words = f"at least {fewest} and at most {most} argument"
    else:
        words = f"at least {fewest} argument" if most is None else f"at most {most} argument"
    raise UsageError(f"'pyctr {name}' requires {words}{'' if (most or fewest) == 1 else 's'}")


def name_hint(engine: Engine, error: PyctrError) -> str | None:
    """Of a name that is not there, the nearest that is."""
    if not isinstance(error, NotFound):
        return None
    from pyctr.cli.help import hint_for

    return hint_for(engine.root, engine.run_root, str(error))


def complain(message: str, *, hint: str | None = None, code: int) -> int:
    """One line on stderr, and what to do about it."""
    sys.stdout.flush()
    sys.stderr.write(f"pyctr: {message}\n" + (f"{hint}\n" if hint else ""))
    return code


def complain_usage(name: str, message: str) -> int:
    """A command line that is wrong, in Docker's form."""
    from pyctr.cli.help import complain_usage

    return complain_usage(name, message)


def show_help(command: tuple[str, ...]) -> int:
    """Help is drawn from the same table."""
    from pyctr.cli.help import show

    return show(command)
