"""`run` and `create`."""

from __future__ import annotations

import sys

from pyctr.cli.terminal import check_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine import Engine


def run(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a container and run it; its exit code."""
    if not options.get("detach"):
        streams = options.get("attach")
        given = options.get("interactive") if streams is None else "stdin" in map(str.lower, streams)
        check_terminal(tty=options.get("tty"), stdin=given)
    _show_pull(engine, options)
    created = engine.containers.prepare_run(arguments[0], arguments[1:], options)
    _warn(created.warnings)
    result = engine.containers.run_created(created, options)
    if isinstance(result, str):
        sys.stdout.write(result + "\n")
        return 0
    return result


def create(engine: Engine, options: dict[str, Any], arguments: list[str]) -> int:
    """Make a container; prints its id."""
    from pyctr.engine.options import parse_request
    from pyctr.errors import PyctrError

    _show_pull(engine, options)
    parse_request(
        arguments[0], arguments[1:], options
    )  # what Docker's client refuses is 125, what its daemon refuses 1
    try:
        created = engine.containers.create(arguments[0], arguments[1:], options)
    except PyctrError as error:
        error.exit_code = 1
        raise
    _warn(created.warnings)
    sys.stdout.write(created.id + "\n")
    return 0


def _show_pull(engine: Engine, options: dict[str, Any]) -> None:
    """A missing image is pulled where stdout stays the container's: on stderr."""

    def report(image: str) -> Any:
        from pyctr.cli.progress import make_report

        if image:
            sys.stderr.write(f"Unable to find image '{image}' locally\n")
        return make_report(options, sys.stderr)

    engine.pull_report = report
    engine.settles_afterwards = True


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        sys.stderr.write(f"WARNING: {warning}\n")
