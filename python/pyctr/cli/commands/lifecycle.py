"""Commands on containers that exist."""

from __future__ import annotations

import sys

from pyctr.errors import InvalidArgument, InvalidFlag, NotFound, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.engine import Engine

#: The flag of a grace, and the one it had before.
_TIMEOUTS = (("timeout", "-t, --timeout"), ("time", "--time"))


def _each(engine: Engine, references: list[str], act: Callable[[str], object], *, missing_is_fine: bool = False) -> int:
    """Do it to each and print its name; what fails is told and does not keep the rest from being done.

    With `missing_is_fine` one that is not there is told of, and no failure (`rm -f`).
    """
    from pyctr.cli.main import name_hint

    code = 0
    for reference in references:
        try:
            result = act(reference)
        except InvalidFlag:  # the next one would fail for it too
            raise
        except PyctrError as error:
            sys.stdout.flush()
            hint = error.hint or name_hint(engine, error)
            sys.stderr.write(f"pyctr: {error}\n" + (f"{hint}\n" if hint else ""))
            if not (missing_is_fine and isinstance(error, NotFound)):
                code = 1
        else:
            sys.stdout.write(f"{reference if result is None else result}\n")
    return code


def _seconds(options: dict[str, Any]) -> float | None:
    from pyctr.engine.options.units import parse_int

    given = [(text, flag) for name, flag in _TIMEOUTS if (text := options.get(name)) is not None]
    if len(given) > 1:
        raise InvalidArgument("conflicting options: cannot specify both --timeout and --time")
    return float(parse_int(*given[0])) if given else None


def start(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Start containers; with -a or -i one of them in the foreground."""
    for name in ("checkpoint", "checkpoint_dir"):
        if name in options:
            raise InvalidArgument(f"--{name.replace('_', '-')} is not supported")
    if not (options.get("attach") or options.get("interactive")):

        def start_one(reference: str) -> None:
            engine.containers.start(reference)

        return _each(engine, arguments, start_one)
    if len(arguments) > 1:
        raise InvalidArgument("you cannot start and attach multiple containers at once")
    from pyctr.engine.containers.session import Attach

    attach = Attach(stdin=0 if options.get("interactive") else None, detach_keys=options.get("detach_keys", ""))
    return engine.containers.start(arguments[0], attach) or 0


def attach(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Attach to a running container; its exit code."""
    from pyctr.cli.terminal import check_terminal
    from pyctr.engine.containers.session import Attach

    store = engine.containers.store
    tty = store.record(engine.containers.resolve(arguments[0]))["Config"]["Tty"]
    check_terminal(tty=tty, stdin=not options.get("no_stdin"))
    streams = Attach(
        stdin=None if options.get("no_stdin") else 0,
        detach_keys=options.get("detach_keys", ""),
        sig_proxy=options.get("sig_proxy", True),
    )
    return engine.containers.attach(arguments[0], streams) or 0


def rm(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Remove containers."""
    if options.get("link"):
        raise InvalidArgument("--link is not supported: there are no links to remove")

    force = options.get("force", False)

    def remove(reference: str) -> None:
        engine.containers.remove(reference, force=force, volumes=options.get("volumes", False))

    return _each(engine, arguments, remove, missing_is_fine=force)


def kill(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Send a signal to containers."""
    return _each(engine, arguments, lambda reference: engine.containers.kill(reference, options.get("signal", "KILL")))


def stop(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Stop containers."""
    timeout_s = _seconds(options)
    return _each(
        engine, arguments, lambda reference: engine.containers.stop(reference, timeout_s, options.get("signal"))
    )


def restart(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Stop containers and start them."""
    timeout_s = _seconds(options)
    return _each(
        engine, arguments, lambda reference: engine.containers.restart(reference, timeout_s, options.get("signal"))
    )


def wait(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Wait for containers; prints exit codes."""
    return _each(engine, arguments, engine.containers.wait)


def rename(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Rename a container."""
    engine.containers.rename(arguments[0], arguments[1])
    return 0


def container_prune(engine: Engine, options: dict[str, Any], _arguments: list[str]) -> int:
    """Remove stopped containers, after asking."""
    from pyctr.cli.ask import confirm
    from pyctr.cli.filters import parse_filters
    from pyctr.cli.human import size

    filters = parse_filters(options, "--filter")
    if not options.get("force") and not confirm("WARNING! This will remove all stopped containers."):
        return 0
    removed, reclaimed = engine.containers.prune(filters)
    if removed:
        sys.stdout.write("Deleted Containers:\n" + "".join(f"{name}\n" for name in removed) + "\n")
    sys.stdout.write(f"Total reclaimed space: {size(reclaimed)}\n")
    return 0


def pause(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Stop every process."""
    return _each(engine, arguments, engine.containers.pause)


def unpause(engine: Engine, _options: dict[str, Any], arguments: list[str]) -> int:
    """Let processes go on."""
    return _each(engine, arguments, engine.containers.unpause)


def update(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Change limits and restart policy."""
    if not options:
        sys.stderr.write("pyctr: you must provide one or more flags when using this command\n")
        return 1

    def update_one(reference: str) -> None:
        for warning in engine.containers.update(reference, options):
            sys.stderr.write(f"WARNING: {warning}\n")

    return _each(engine, arguments, update_one)
