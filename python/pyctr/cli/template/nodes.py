"""The tree of a template; each node can say itself again, as Go's error messages do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Node:
    """Where it stands: character position."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Text(Node):
    """Text outside of actions."""

    __slots__ = ("text",)

    def __init__(self, position: int, text: str) -> None:
        super().__init__(position)
        self.text = text


class Constant(Node):
    """A number, string, character, bool or nil; `source` as it was written."""

    __slots__ = ("source", "value")

    def __init__(self, position: int, source: str, value: Any) -> None:
        super().__init__(position)
        self.source = source
        self.value = value

    def __str__(self) -> str:
        return self.source


class Field(Node):
    """``.A.B``; no names: the dot itself."""

    __slots__ = ("names",)

    def __init__(self, position: int, names: list[str]) -> None:
        super().__init__(position)
        self.names = names

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names) or "."


class Variable(Node):
    """``$x.A.B``."""

    __slots__ = ("name", "names")

    def __init__(self, position: int, name: str, names: list[str]) -> None:
        super().__init__(position)
        self.name = name
        self.names = names

    def __str__(self) -> str:
        return ".".join([self.name, *self.names])


class Function(Node):
    """A function's name."""

    __slots__ = ("name",)

    def __init__(self, position: int, name: str) -> None:
        super().__init__(position)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Chain(Node):
    """Fields of something in parentheses."""

    __slots__ = ("names", "node")

    def __init__(self, position: int, node: Node, names: list[str]) -> None:
        super().__init__(position)
        self.node = node
        self.names = names

    def __str__(self) -> str:
        return f"{parenthesised(self.node)}" + "".join(f".{name}" for name in self.names)


class Command(Node):
    """Words: what is called or asked for, and its arguments."""

    __slots__ = ("words",)

    def __init__(self, position: int, words: list[Node]) -> None:
        super().__init__(position)
        self.words = words

    def __str__(self) -> str:
        return " ".join(parenthesised(word) for word in self.words)


class Pipeline(Node):
    """Commands, each given the value of the one before; and the variables set."""

    __slots__ = ("commands", "is_assignment", "names")

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.names: list[str] = []
        self.is_assignment = False
        self.commands: list[Command] = []

    def __str__(self) -> str:
        names = ", ".join(self.names) + (" = " if self.is_assignment else " := ") if self.names else ""
        return names + " | ".join(str(command) for command in self.commands)


class Action(Node):
    """An action that shows a value."""

    __slots__ = ("pipeline",)

    def __init__(self, position: int, pipeline: Pipeline) -> None:
        super().__init__(position)
        self.pipeline = pipeline


class Branch(Node):
    """if, range or with."""

    __slots__ = ("body", "kind", "otherwise", "pipeline")

    def __init__(self, position: int, kind: str, pipeline: Pipeline, body: list[Node], otherwise: list[Node]) -> None:
        super().__init__(position)
        self.kind = kind
        self.pipeline = pipeline
        self.body = body
        self.otherwise = otherwise


class Jump(Node):
    """break or continue."""

    __slots__ = ("kind",)

    def __init__(self, position: int, kind: str) -> None:
        super().__init__(position)
        self.kind = kind


class Call(Node):
    """Another template, with a value."""

    __slots__ = ("name", "pipeline", "source")

    def __init__(self, position: int, name: str, source: str, pipeline: Pipeline | None) -> None:
        super().__init__(position)
        self.name = name
        self.source = source
        self.pipeline = pipeline

    def __str__(self) -> str:
        return f"{{{{template {self.source}{f' {self.pipeline}' if self.pipeline else ''}}}}}"


def parenthesised(node: Node) -> str:
    """A node as an argument."""
    return f"({node})" if isinstance(node, Pipeline) else str(node)
