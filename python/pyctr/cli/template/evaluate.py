"""A tree and a value to text (Go's text/template/exec.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.cli.template.errors import ExecutionError
from pyctr.cli.template.functions import FUNCTIONS, OF_VALUES, CallError, truth
from pyctr.cli.template.nodes import (
    Action,
    Branch,
    Call,
    Chain,
    Command,
    Constant,
    Field,
    Function,
    Jump,
    Node,
    Pipeline,
    Text,
    Variable,
)  # fmt: skip
from pyctr.cli.template.text import show
from pyctr.cli.template.values import Missing, Nil, field

if TYPE_CHECKING:
    from typing import Any

_DEPTH_MAX = 1000
_NOTHING = object()


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Evaluation:
    """One run of a template."""

    def __init__(self, source: str, templates: dict[str, list[Node]], value: Any, *, is_header: bool) -> None:
        self.source = source
        self.is_header = is_header
        self.templates = templates
        self.out: list[str] = []
        self.variables: list[tuple[str, Any]] = [("$", value)]
        self.depth = 0

    def fail(self, node: Node, reason: str) -> ExecutionError:
        """An error at a node: line, and column in bytes."""
        before = self.source[: node.position]
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2].encode())
        return ExecutionError(line, column, str(node), reason)

    def run(self, nodes: list[Node], dot: Any) -> None:
        """Write what nodes say."""
        for node in nodes:
            if isinstance(node, Text):
                self.out.append(node.text)
            elif isinstance(node, Action):
                value = self.pipeline(node.pipeline, dot)
                if not node.pipeline.names:
                    self.out.append(show(value))
            elif isinstance(node, Branch):
                self.branch(node, dot)
            elif isinstance(node, Jump):
                raise _Break if node.kind == "break" else _Continue
            elif isinstance(node, Call):
                self.call_template(node, dot)

    def branch(self, node: Branch, dot: Any) -> None:
        """if, with, range."""
        mark = len(self.variables)
        try:
            if node.kind == "range":
                self.loop(node, dot)
                return
            value = self.pipeline(node.pipeline, dot)
            if truth(value):
                self.run(node.body, value if node.kind == "with" else dot)
            else:
                self.run(node.otherwise, dot)
        finally:
            del self.variables[mark:]

    def loop(self, node: Branch, dot: Any) -> None:
        """range: over lists, maps sorted by key, and numbers."""
        value = self.pipeline(node.pipeline, dot, declare=False)
        pairs = self._pairs(node, value)
        if not pairs:
            self.run(node.otherwise, dot)
            return
        names = node.pipeline.names
        for key, item in pairs:
            mark = len(self.variables)
            if names:
                given = [item] if len(names) == 1 else [key, item]
                for name, what in zip(names, given, strict=False):
                    if node.pipeline.is_assignment:
                        self.assign(name, what)
                    else:
                        self.variables.append((name, what))
            try:
                self.run(node.body, item)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self.variables[mark:]

    def _pairs(self, node: Branch, value: Any) -> list[tuple[Any, Any]]:
        if isinstance(value, dict):
            return sorted(value.items())
        if isinstance(value, list):
            return list(enumerate(value))
        if isinstance(value, int) and not isinstance(value, bool):
            return [(number, number) for number in range(value)]
        if value is None or isinstance(value, Nil):
            return []
        raise self.fail(node.pipeline.commands[0], f"range can't iterate over {show(value)}")

    def call_template(self, node: Call, dot: Any) -> None:
        """Another template, which sees nothing of this one but its value."""
        if node.name not in self.templates:
            raise self.fail(node, f'template "{node.name}" not defined')
        if self.depth == _DEPTH_MAX:
            raise self.fail(node, f"exceeded maximum template depth ({_DEPTH_MAX})")
        value = self.pipeline(node.pipeline, dot) if node.pipeline is not None else None
        variables, self.variables = self.variables, [("$", value)]
        self.depth += 1
        try:
            self.run(self.templates[node.name], value)
        finally:
            self.depth -= 1
            self.variables = variables

    def assign(self, name: str, value: Any) -> None:
        """Give the innermost variable of a name another value."""
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                self.variables[index] = (name, value)
                return

    def pipeline(self, pipeline: Pipeline, dot: Any, *, declare: bool = True) -> Any:
        """The value of a pipeline; sets its variables."""
        value: Any = _NOTHING
        for command in pipeline.commands:
            value = self.command(command, dot, value)
        if declare:
            for name in pipeline.names:
                if pipeline.is_assignment:
                    self.assign(name, value)
                else:
                    self.variables.append((name, value))
        return value

    def command(self, command: Command, dot: Any, piped: Any) -> Any:
        """The value of a command; `piped` is its last argument."""
        first = command.words[0]
        if isinstance(first, Function):
            return self.call(command, first, dot, piped)
        has_arguments = len(command.words) > 1 or piped is not _NOTHING
        if isinstance(first, (Field, Variable, Chain)) and getattr(first, "names", None):
            return self.operand(first, dot, arguments=self._arguments(command, dot, piped) if has_arguments else None)
        if isinstance(first, Constant) and first.value is None:
            raise self.fail(first, "nil is not a command")
        if has_arguments:
            raise self.fail(first, f"can't give argument to non-function {_shown(first)}")
        return self.operand(first, dot)

    def _arguments(self, command: Command, dot: Any, piped: Any) -> list[Any]:
        values = [self.operand(word, dot) for word in command.words[1:]]
        return values if piped is _NOTHING else [*values, piped]

    def call(self, command: Command, function: Function, dot: Any, piped: Any) -> Any:
        """A function's value."""
        name = function.name
        known = FUNCTIONS[name]
        words = command.words[1:]
        count = len(words) + (piped is not _NOTHING)
        reason = known.count_error(name, count)
        if reason is not None:
            raise self.fail(function, reason)
        if name in ("and", "or"):
            return self._until(name == "or", words, dot, piped)
        values = [self.operand(word, dot) for word in words]
        nodes: list[Node] = list(words)
        if piped is not _NOTHING:
            values.append(piped)
            nodes.append(command)
        for index, value in enumerate(values):
            wanted = "string" if index in known.strings else "int" if name in ("pad", "truncate") else None
            is_right = (
                isinstance(value, str) if wanted == "string" else isinstance(value, int) and not isinstance(value, bool)
            )
            if wanted is not None and not is_right:
                raise self.fail(nodes[index], self._wrong_type(nodes[index], wanted, value))
        if self.is_header and name in OF_VALUES:
            return values[0]
        try:
            return known.call(*values)
        except CallError as error:
            raise self.fail(command, f"error calling {name}: {error}") from None

    @staticmethod
    def _wrong_type(node: Node, wanted: str, value: Any) -> str:
        if isinstance(node, Constant):
            return f"expected {'integer' if wanted == 'int' else wanted}; found {node}"
        if value is None:
            return f"invalid value; expected {wanted}"
        from pyctr.cli.template.values import type_name

        return f"wrong type for value; expected {wanted}; got {type_name(value)}"

    def _until(self, stop: bool, words: list[Node], dot: Any, piped: Any) -> Any:
        value: Any = None
        for word in words:
            value = self.operand(word, dot)
            if truth(value) == stop:
                return value
        return value if piped is _NOTHING else piped

    def operand(self, node: Node, dot: Any, *, arguments: list[Any] | None = None) -> Any:
        """The value of a word."""
        if isinstance(node, Constant):
            return node.value
        if isinstance(node, Pipeline):
            return self.pipeline(node, dot)
        if isinstance(node, Function):
            return self.call(Command(node.position, [node]), node, dot, _NOTHING)
        if isinstance(node, Field):
            return self.fields(node, dot, node.names, "", arguments)
        if isinstance(node, Variable):
            value = next(what for name, what in reversed(self.variables) if name == node.name)
            return self.fields(node, value, node.names, "", arguments)
        if isinstance(node, Chain):
            return self.fields(node, self.operand(node.node, dot), node.names, "", arguments)
        raise self.fail(node, "can't evaluate command")

    def fields(self, node: Node, value: Any, names: list[str], parent: str, arguments: list[Any] | None) -> Any:
        """Fields of fields; only the last may be given arguments, and only where it is a method."""
        for index, name in enumerate(names):
            method = getattr(value, "template_method", None)
            if method is not None and (found := method(name)) is not None:
                given = arguments if index == len(names) - 1 else None
                return found(*(given or []))
            try:
                value = field(value, name, parent)
            except Missing as error:
                raise self.fail(node, str(error)) from None
            parent = name
        if arguments:
            raise self.fail(
                node,
                f"{names[-1]} is not a method but has arguments" if names else "can't give argument to non-function .",
            )
        return value


def _shown(node: Node) -> str:
    return str(node) if not isinstance(node, Pipeline) else f"({node})"


def evaluate(source: str, nodes: list[Node], templates: dict[str, list[Node]], value: Any, *, is_header: bool) -> str:
    """The text of a template for a value, or for the headers of a table. Raises ExecutionError."""
    evaluation = Evaluation(source, templates, value, is_header=is_header)
    evaluation.run(nodes, value)
    return "".join(evaluation.out)
