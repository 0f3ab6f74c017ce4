"""Tokens to a tree (Go's text/template/parse/parse.go)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr.cli.template.errors import ParseError
from pyctr.cli.template.functions import FUNCTIONS
from pyctr.cli.template.lexer import Lexer, Token
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
from pyctr.cli.template.text import unquote

if TYPE_CHECKING:
    Nodes = list[Node]

_OPERANDS = frozenset(("bool", "character", "dot", "field", "identifier", "number", "nil", "string", "variable", "("))


class Parser:
    """One template, and those it defines."""

    def __init__(self, text: str) -> None:
        self.tokens = Lexer(text).run()
        self.index = 0
        self.variables = ["$"]
        self.loops = 0
        self.templates: dict[str, Nodes] = {}

    def parse(self) -> Nodes:
        """The tree. Raises ParseError."""
        nodes, ending = self._list(())
        assert ending.kind == "eof"  # noqa: S101 - _list stops at nothing else
        return nodes

    # -- tokens ----------------------------------------------------------------------------------------------------

    def _next(self) -> Token:
        token = self.tokens[self.index]
        self.index += 1 if token.kind != "eof" else 0
        return token

    def _peek(self) -> Token:
        return self.tokens[self.index]

    def _skip_space(self) -> None:
        while self._peek().kind == "space":
            self.index += 1

    def _next_word(self) -> Token:
        self._skip_space()
        return self._next()

    def _peek_word(self) -> Token:
        self._skip_space()
        return self._peek()

    def _fail(self, reason: str) -> ParseError:
        return ParseError(self.tokens[max(self.index - 1, 0)].line, reason)

    def _unexpected(self, token: Token, context: str) -> ParseError:
        return self._fail(f"unexpected {token} in {context}")

    # -- lists -----------------------------------------------------------------------------------------------------

    def _list(self, until: tuple[str, ...]) -> tuple[Nodes, Token]:
        """Nodes up to an `end` or `else`, whose token is given too, or to the end of the text."""
        nodes: Nodes = []
        while True:
            token = self._next()
            if token.kind == "eof":
                if until:
                    raise self._fail("unexpected EOF")
                return nodes, token
            if token.kind == "text":
                nodes.append(Text(token.position, token.value))
                continue
            word = self._peek_word()
            if word.kind in ("end", "else"):
                self._next()
                if word.kind not in until:
                    raise self._fail(f"unexpected {{{{{word.kind}}}}}")
                return nodes, word
            if word.kind == "define":
                self._next()
                self._define()
            else:
                nodes.append(self._action(word))

    def _action(self, word: Token) -> Node:
        kind = word.kind
        if kind in ("if", "range", "with"):
            self._next()
            return self._branch(kind, word.position)
        if kind in ("break", "continue"):
            self._next()
            if not self.loops:
                raise self._fail(f"{{{{{kind}}}}} outside {{{{range}}}}")
            self._close(kind)
            return Jump(word.position, kind)
        if kind in ("template", "block"):
            self._next()
            return self._call(kind)
        pipeline = self._pipeline("command", "right")
        return Action(word.position, pipeline)

    def _close(self, context: str) -> None:
        token = self._next_word()
        if token.kind != "right":
            raise self._unexpected(token, context)

    def _branch(self, kind: str, position: int) -> Branch:
        depth = len(self.variables)
        pipeline = self._pipeline(kind, "right")
        self.loops += kind == "range"
        body, ending = self._list(("end", "else"))
        self.loops -= kind == "range"
        otherwise: Nodes = []
        if ending.kind == "else":
            nested = self._peek_word()
            if nested.kind == kind and kind in ("if", "with"):
                self._next()
                otherwise = [self._branch(kind, nested.position)]
                del self.variables[depth:]
                return Branch(position, kind, pipeline, body, otherwise)
            self._close("else")
            otherwise, _ = self._list(("end",))
        self._close("end")
        del self.variables[depth:]
        return Branch(position, kind, pipeline, body, otherwise)

    def _define(self) -> None:
        name = self._name("define clause")
        self._close("define clause")
        variables, self.variables = self.variables, ["$"]
        self.templates[unquote(name.value)], _ = self._list(("end",))
        self._close("end")
        self.variables = variables

    def _call(self, kind: str) -> Call:
        name = self._name(f"{kind} clause")
        pipeline = None
        if self._peek_word().kind != "right" or kind == "block":
            pipeline = self._pipeline(f"{kind} clause", "right")
        else:
            self._next()
        if kind == "block":
            variables, self.variables = self.variables, ["$"]
            self.templates[unquote(name.value)], _ = self._list(("end",))
            self._close("end")
            self.variables = variables
        return Call(name.position, unquote(name.value), name.value, pipeline)

    def _name(self, context: str) -> Token:
        token = self._next_word()
        if token.kind != "string":
            raise self._unexpected(token, context)
        return token

    # -- pipelines -------------------------------------------------------------------------------------------------

    def _pipeline(self, context: str, end: str) -> Pipeline:
        pipeline = Pipeline(self._peek_word().position)
        self._declarations(pipeline, context)
        while True:
            token = self._next_word()
            if token.kind == end:
                break
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self.index -= 1
            pipeline.commands.append(self._command())
        if not pipeline.commands:
            raise self._fail(f"missing value for {context}")
        for stage, command in enumerate(pipeline.commands[1:], 2):
            first = command.words[0]
            if isinstance(first, Constant) or (isinstance(first, Field) and not first.names):
                raise self._fail(f"non executable command in pipeline stage {stage}")
        return pipeline

    def _declarations(self, pipeline: Pipeline, context: str) -> None:
        while self._peek_word().kind == "variable":
            back = self.index
            variable = self._next()
            following = self._peek_word()
            if following.kind in ("assign", "declare"):
                self._next()
                pipeline.is_assignment = following.kind == "assign"
                self._declare(pipeline, variable)
                return
            if following.value != "," or following.kind != "char":
                self.index = back
                return
            self._next()
            self._declare(pipeline, variable)
            if context != "range" or len(pipeline.names) > 1:
                raise self._fail(f"too many declarations in {context}")
            if self._peek_word().kind not in ("variable", "right", ")"):
                raise self._fail("range can only initialize variables")

    def _declare(self, pipeline: Pipeline, variable: Token) -> None:
        if pipeline.is_assignment and variable.value not in self.variables:
            raise self._fail(f'undefined variable "{variable.value}"')
        pipeline.names.append(variable.value)
        self.variables.append(variable.value)

    def _command(self) -> Command:
        command = Command(self._peek_word().position, [])
        while True:
            self._skip_space()
            operand = self._operand()
            if operand is not None:
                command.words.append(operand)
            token = self._next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self.index -= 1
            elif token.kind != "pipe":
                raise self._unexpected(token, "operand")
            break
        if not command.words:
            raise self._fail("empty command")
        return command

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self._peek().kind != "field":
            return node
        position = self._peek().position
        names: list[str] = []
        while self._peek().kind == "field":
            names.append(self._next().value[1:])
        if isinstance(node, Field) and node.names:
            return Field(position, [*node.names, *names])
        if isinstance(node, Variable):
            return Variable(position, node.name, [*node.names, *names])
        if isinstance(node, (Constant, Field)):
            raise self._fail(f'unexpected . after term "{node}"')
        return Chain(position, node, names)

    def _term(self) -> Node | None:
        token = self._next_word()
        kind, value, position = token.kind, token.value, token.position
        if kind == "identifier":
            if value not in FUNCTIONS:
                raise self._fail(f'function "{value}" not defined')
            return Function(position, value)
        if kind == "dot":
            return Field(position, [])
        if kind == "field":
            return Field(position, [value[1:]])
        if kind == "variable":
            if value not in self.variables:
                raise self._fail(f'undefined variable "{value}"')
            return Variable(position, value, [])
        if kind == "(":
            return self._pipeline("parenthesized pipeline", ")")
        if kind in ("bool", "nil", "number", "character", "string"):
            return Constant(position, value, self._constant(kind, value))
        self.index -= 1 if kind != "eof" else 0
        return None

    def _constant(self, kind: str, text: str) -> object:
        if kind in ("bool", "nil"):
            return {"true": True, "false": False, "nil": None}[text]
        if kind == "string":
            return unquote(text)
        if kind == "character":
            letter = unquote('"' + text[1:-1].replace('"', '\\"').replace("\\'", "'") + '"')
            if len(letter) != 1:
                raise self._fail(f"malformed character constant: {text}")
            return ord(letter)
        return self._number(text)

    def _number(self, text: str) -> int | float:
        bare = text.replace("_", "")
        digits = bare.lstrip("+-")
        try:
            if digits[:2].lower() in ("0x", "0o", "0b"):
                return int(bare, 0)
            if len(digits) > 1 and digits[0] == "0" and digits.isdigit():
                return int(bare, 8)
            if digits.isdigit():
                return int(bare)
            number = float(bare)
        except ValueError:
            raise self._fail(f'bad number syntax: "{text}"') from None
        # 1e3 is an integer too, and shown as one (Go parse newNumber).
        return int(number) if number.is_integer() and "." not in bare else number
