"""Go templates (text/template) as `--format` takes them; imported only where one is given.

`lexer` makes tokens of the text, `parser` a tree of them, `evaluate` text of the tree and a value. `functions` has Go's and
Docker's, `text` is Go's fmt, `values` what is known of Docker's types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.cli.template.evaluate import evaluate
from pyctr.cli.template.parser import Parser

if TYPE_CHECKING:
    from typing import Any


class Template:
    """A parsed template. Raises ParseError."""

    __slots__ = ("nodes", "source", "templates")

    def __init__(self, source: str) -> None:
        parser = Parser(source)
        self.source = source
        self.nodes = parser.parse()
        self.templates = parser.templates

    def render(self, value: Any, *, is_header: bool = False) -> str:
        """The text for a value, or for the headers of a table. Raises ExecutionError."""
        return evaluate(self.source, self.nodes, self.templates, value, is_header=is_header)
