"""A terminal asked for has to be there: input that is none would never end."""

from __future__ import annotations

import sys

from pyctr.errors import PyctrError


def check_terminal(*, tty: object, stdin: object) -> None:
    """Refuse to lend an input that is no terminal to a command that has one, in Docker's words."""
    if tty and stdin and not sys.stdin.isatty():
        error = PyctrError("the input device is not a TTY")
        error.exit_code = 1
        raise error
