"""What can go wrong with a template, in the words of Go's text/template."""

from __future__ import annotations

from pyctr.errors import InvalidArgument


class ParseError(InvalidArgument):
    """A template that is not one."""

    #: Docker's exit code for it.
    exit_code = 64

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"template: :{line}: {reason}")


class ExecutionError(InvalidArgument):
    """A template that does not fit the value."""

    exit_code = 1

    def __init__(self, line: int, column: int, node: str, reason: str) -> None:
        super().__init__(f'template: :{line}:{column}: executing "" at <{node}>: {reason}')
