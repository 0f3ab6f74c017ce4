"""Go templates (text/template) as `--format` takes them: fields, pipelines, if, range, with, and Docker's functions."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from pyctr._core import json_dumps
from pyctr.cli.human import columns
from pyctr.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

_ACTION = re.compile(r"\{\{(-\s)?(/\*.*?\*/|.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<field>\.[\w.]*)"""
    r"""|(?P<variable>\$\w*(?:\.\w+)*)|(?P<word>\w+)|(?P<symbol>:=|[()|,=]))"""
)


def malformed(reason: str) -> InvalidArgument:
    """Docker's words for a template that cannot be parsed."""
    return InvalidArgument(f"template parsing error: {reason}")


class Scope:
    """What names mean where a template is: the dot, the root, variables."""

    __slots__ = ("dot", "variables")

    def __init__(self, dot: Any, variables: dict[str, Any]) -> None:
        self.dot = dot
        self.variables = variables


def compile_template(text: str) -> Callable[[Any], str]:
    """A function from a value to text. Raises InvalidArgument if the template is malformed."""
    nodes, rest = _parse_nodes(_split(text), 0, ())
    assert rest == -1  # noqa: S101 - the whole text was parsed

    def render(value: Any) -> str:
        return _render(nodes, Scope(value, {"$": value}))

    return render


def print_rows(template: str, rows: list[dict[str, Any]], headers: dict[str, str]) -> None:
    """Rows as Docker prints them: ``json`` a line each, ``table …`` with a header, else the template a line each."""
    if template == "json":
        sys.stdout.write("".join(json_dumps(row, sort_keys=True).decode() + "\n" for row in rows))
        return
    is_table = template.startswith("table ")
    body = template.removeprefix("table ").replace("\\t", "\t").replace("\\n", "\n")
    render = compile_template(body)
    lines = [render(row) for row in rows]
    if not is_table:
        sys.stdout.write("".join(line + "\n" for line in lines))
        return
    cells = [line.split("\t") for line in lines]
    sys.stdout.write(columns(render(headers).split("\t"), cells))


def _split(text: str) -> list[tuple[str, str]]:
    """Alternating pieces: ("text", …) and ("action", …), trim markers applied."""
    pieces: list[tuple[str, str]] = []
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        before = text[position : match.start()]
        before = before.lstrip() if trim else before
        pieces.append(("text", before.rstrip() if match[1] else before))
        if not match[2].startswith("/*"):
            pieces.append(("action", match[2].strip()))
        position, trim = match.end(), bool(match[3])
    rest = text[position:]
    if "{{" in rest:
        raise malformed("unclosed action")
    pieces.append(("text", rest.lstrip() if trim else rest))
    return pieces


def _parse_nodes(pieces: list[tuple[str, str]], index: int, until: tuple[str, ...]) -> tuple[list[Any], int]:
    nodes: list[Any] = []
    while index < len(pieces):
        kind, text = pieces[index]
        word = text.split(None, 1)[0] if kind == "action" and text else ""
        if kind == "text":
            nodes.append(("text", text))
        elif word in ("end", "else"):
            if word not in until:
                raise malformed(f"unexpected {{{{{word}}}}}")
            return nodes, index
        elif word in ("if", "range", "with"):
            node, index = _parse_block(pieces, index, word, text[len(word) :])
            nodes.append(node)
        elif not text:
            raise malformed("missing value for command")
        else:
            nodes.append(("pipe", _parse_pipe(text)))
        index += 1
    if until:
        raise malformed("unexpected EOF")
    return nodes, -1


def _parse_block(pieces: list[tuple[str, str]], index: int, word: str, condition: str) -> tuple[Any, int]:
    pipe = _parse_pipe(condition)
    body, index = _parse_nodes(pieces, index + 1, ("end", "else"))
    otherwise: list[Any] = []
    tail = pieces[index][1].split(None, 1)
    if tail[0] == "else":
        if len(tail) > 1:
            inner, _, rest = tail[1].partition(" ")
            if inner not in ("if", "with"):
                raise malformed(f"unexpected <{tail[1]}> in else")
            node, index = _parse_block(pieces, index, inner, rest)
            return (word, pipe, body, [node]), index
        otherwise, index = _parse_nodes(pieces, index + 1, ("end",))
    return (word, pipe, body, otherwise), index


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise malformed(f"unexpected {text[position:].strip()[:1]!r} in command")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return found


def _parse_pipe(text: str) -> Any:
    tokens = _tokens(text)
    names: list[str] = []
    for marker in (":=", "="):
        if ("symbol", marker) in tokens:
            at = tokens.index(("symbol", marker))
            names = [value for kind, value in tokens[:at] if kind == "variable"]
            tokens = tokens[at + 1 :]
            break
    pipe, rest = _parse_commands(tokens)
    if rest:
        raise malformed(f"unexpected {rest[0][1]!r} in command")
    return names, pipe


def _parse_commands(tokens: list[tuple[str, str]]) -> tuple[list[list[Any]], list[tuple[str, str]]]:
    commands: list[list[Any]] = [[]]
    while tokens:
        (kind, value), tokens = tokens[0], tokens[1:]
        if kind == "symbol" and value == "|":
            commands.append([])
        elif kind == "symbol" and value == "(":
            inner, tokens = _parse_commands(tokens)
            if not tokens:
                raise malformed("unclosed left paren")
            tokens = tokens[1:]
            commands[-1].append(("pipe", inner))
        elif kind == "symbol" and value == ")":
            tokens = [(kind, value), *tokens]
            break
        else:
            commands[-1].append((kind, value))
    for command in commands:
        if not command:
            raise malformed("missing value for command")
        kind, value = command[0]
        if kind == "word" and value not in _FUNCTIONS and value not in ("true", "false", "nil", "and", "or"):
            raise malformed(f'function "{value}" not defined')
    return commands, tokens


def _render(nodes: list[Any], scope: Scope) -> str:
    return "".join(_render_node(node, scope) for node in nodes)


def _render_node(node: Any, scope: Scope) -> str:
    kind = node[0]
    if kind == "text":
        return str(node[1])
    names, commands = node[1]
    value = _evaluate(commands, scope)
    if kind == "pipe":
        if names:
            scope.variables[names[0]] = value
            return ""
        return _text(value)
    if kind == "range":
        return _render_range(node, names, value, scope)
    if not _truth(value):
        return _render(node[3], scope)
    inner = Scope(value if kind == "with" else scope.dot, dict(scope.variables))
    if names:
        inner.variables[names[0]] = value
    return _render(node[2], inner)


def _render_range(node: Any, names: list[str], value: Any, scope: Scope) -> str:
    pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or []))
    if not pairs:
        return _render(node[3], scope)
    parts = []
    for key, item in pairs:
        variables = dict(scope.variables)
        if len(names) == 1:
            variables[names[0]] = item
        elif names:
            variables[names[0]], variables[names[1]] = key, item
        parts.append(_render(node[2], Scope(item, variables)))
    return "".join(parts)


def _evaluate(commands: list[list[Any]], scope: Scope) -> Any:
    value: Any = _NOTHING
    for command in commands:
        value = _command(command, value, scope)
    return value


_NOTHING = object()


def _command(command: list[Any], piped: Any, scope: Scope) -> Any:
    kind, word = command[0]
    if kind == "word" and word in ("and", "or"):
        value: Any = None
        for operand in command[1:]:
            value = _operand(operand, scope)
            if _truth(value) == (word == "or"):
                return value
        return value
    if kind == "word" and word in _FUNCTIONS:
        arguments = [_operand(operand, scope) for operand in command[1:]]
        if piped is not _NOTHING:
            arguments.append(piped)
        try:
            return _FUNCTIONS[word](*arguments)
        except (TypeError, LookupError, ValueError) as error:
            raise InvalidArgument(f"template: error calling {word}: {error}") from None
    if len(command) > 1 or piped is not _NOTHING:
        raise InvalidArgument(f"template: can't give argument to non-function {word}")
    return _operand(command[0], scope)


def _operand(operand: Any, scope: Scope) -> Any:
    kind, value = operand
    if kind == "pipe":
        return _evaluate(value, scope)
    if kind == "string":
        return value[1:-1] if value[0] == "`" else value[1:-1].encode().decode("unicode_escape")
    if kind == "number":
        return float(value) if "." in value else int(value)
    if kind == "field":
        return _field(scope.dot, value[1:].split(".") if value != "." else [])
    if kind == "variable":
        name, *fields = value.split(".")
        if name not in scope.variables:
            raise malformed(f'undefined variable "{name}"')
        return _field(scope.variables[name], fields)
    if value in ("true", "false", "nil"):
        return {"true": True, "false": False, "nil": None}[value]
    return _command([operand], _NOTHING, scope)


def _field(value: Any, names: list[str]) -> Any:
    for name in names:
        if isinstance(value, dict):
            if name not in value:
                raise InvalidArgument(f"template: can't evaluate field {name} in type interface {{}}")
            value = value[name]
        elif value is None:
            return None
        else:
            raise InvalidArgument(f"template: can't evaluate field {name} in type {type(value).__name__}")
    return value


def _truth(value: Any) -> bool:
    return bool(value)


def _text(value: Any) -> str:
    """As Go's fmt prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_text(item) for item in value) + "]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else value[key]
    return value


def _equal(first: Any, *others: Any) -> bool:
    return any(first == other for other in others)


def _printf(template: str, *values: Any) -> str:
    converted = [_text(value) if isinstance(value, (dict, list, bool)) or value is None else value for value in values]
    return re.sub(r"%[vq]", "%s", template) % tuple(converted)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": lambda value: json_dumps(value).decode(),
    "join": lambda values, separator: separator.join(_text(value) for value in values or []),
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "title": lambda text: text[:1].upper() + text[1:],
    "split": lambda text, separator: text.split(separator),
    "truncate": lambda text, length: text[:length],
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "len": len,
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "not": lambda value: not _truth(value),
    "eq": _equal,
    "ne": lambda first, second: first != second,
    "lt": lambda first, second: first < second,
    "le": lambda first, second: first <= second,
    "gt": lambda first, second: first > second,
    "ge": lambda first, second: first >= second,
    "print": lambda *values: "".join(_text(value) for value in values),
    "println": lambda *values: " ".join(_text(value) for value in values) + "\n",
    "printf": _printf,
}
