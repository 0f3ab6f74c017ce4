"""Text and actions to tokens (Go's text/template/parse/lex.go)."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyctr.cli.template.errors import ParseError

LEFT, RIGHT = "{{", "}}"
KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"))
_COMMENT = re.compile(r"\{\{(-[ \t\r\n])?[ \t\r\n]*/\*")
_SPACES = " \t\r\n"
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*)?\.?\d[\d_]*\.?(?:[eE][+-]?[\d_]+)?)"
)


class Token(NamedTuple):
    """A piece of a template: kind, text, where it begins (characters) and on which line."""

    kind: str
    value: str
    position: int
    line: int

    def __str__(self) -> str:
        """As an error message shows it."""
        if self.kind == "eof":
            return "EOF"
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.value}>"
        shown = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{shown[:10]}"...' if len(self.value) > 10 else f'"{shown}"'


class Lexer:
    """Tokens of a template, one after another."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.tokens: list[Token] = []
        self.depth = 0

    def run(self) -> list[Token]:
        """All tokens, the last of kind ``eof``. Raises ParseError."""
        trim = False
        while True:
            start = self.text.find(LEFT, self.position)
            end = start if start >= 0 else len(self.text)
            piece = self.text[self.position : end]
            if trim:
                stripped = piece.lstrip(_SPACES)
                self.position += len(piece) - len(stripped)
                piece = stripped
            marks = (
                start >= 0
                and self.text[start + 2 : start + 3] == "-"
                and self.text[start + 3 : start + 4] in tuple(_SPACES)
            )
            piece = piece.rstrip(_SPACES) if marks else piece
            if piece:
                self._emit("text", piece)
            if start < 0:
                self.position = len(self.text)
                self._emit("eof", "")
                return self.tokens
            self.position = start
            trim = self._comment(start) if _COMMENT.match(self.text, start) else self._action(marks=marks)

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def _emit(self, kind: str, value: str, length: int | None = None) -> None:
        self.tokens.append(Token(kind, value, self.position, self._line(self.position)))
        self.position += len(value) if length is None else length

    def _fail(self, reason: str) -> ParseError:
        return ParseError(self._line(min(self.position, len(self.text))), reason)

    def _comment(self, start: int) -> bool:
        end = self.text.find("*/", start)
        if end < 0:
            raise self._fail("unclosed comment")
        rest = self.text[end + 2 :]
        trims = rest[:1] in tuple(_SPACES) and rest.lstrip(_SPACES).startswith("-}}")
        closing = rest.lstrip(_SPACES) if trims else rest
        if not closing.startswith("-}}" if trims else RIGHT):
            raise self._fail("comment ends before closing delimiter")
        self.position = len(self.text) - len(closing) + (3 if trims else 2)
        return trims

    def _action(self, *, marks: bool) -> bool:
        """The tokens of one action; whether the text behind it is trimmed."""
        self._emit("left", LEFT)
        if marks:
            self.position += 1
        self.depth = 0
        while True:
            rest = self.text[self.position : self.position + 4]
            if (rest[:1] in tuple(_SPACES) and rest.lstrip(_SPACES)[:1] == "-") or rest.startswith(" "):
                spaces = len(self.text[self.position :]) - len(self.text[self.position :].lstrip(_SPACES))
                if self.text.startswith("-}}", self.position + spaces):
                    self.position += spaces + 1
                    self._close()
                    return True
            if rest.startswith(RIGHT):
                self._close()
                return False
            if not rest:
                raise self._fail("unclosed action")
            self._token(rest[0])

    def _close(self) -> None:
        if self.depth:
            raise self._fail("unclosed left paren")
        self._emit("right", RIGHT)

    def _token(self, letter: str) -> None:
        text, position = self.text, self.position
        if letter in _SPACES:
            end = position
            while end < len(text) and text[end] in _SPACES:
                end += 1
            self._emit("space", text[position:end])
        elif text.startswith(":=", position):
            self._emit("declare", ":=")
        elif letter in "=|,":
            self._emit({"=": "assign", "|": "pipe", ",": "char"}[letter], letter)
        elif letter in '"`':
            self._emit("string", self._quoted(letter))
        elif letter == "'":
            self._emit("character", self._quoted(letter))
        elif letter == "(":
            self.depth += 1
            self._emit("(", letter)
        elif letter == ")":
            self.depth -= 1
            if self.depth < 0:
                raise self._fail("unexpected right paren")
            self._emit(")", letter)
        else:
            self._word(letter)

    def _word(self, letter: str) -> None:
        text, position = self.text, self.position
        after = text[position + 1 : position + 2]
        if letter in "+-0123456789" or (letter == "." and after.isdigit()):
            match = _NUMBER.match(text, position)
            end = match.end() if match else position + 1
            if match is None or _is_word(text[end : end + 1]):
                while end < len(text) and _is_word(text[end]):
                    end += 1
                raise self._fail(f'bad number syntax: "{text[position:end]}"')
            self._emit("number", text[position:end])
        elif letter == "." and not _is_word(after):
            self._emit("dot", ".")
        elif letter in ".$" or _is_word(letter):
            end = position + 1
            while end < len(text) and _is_word(text[end]):
                end += 1
            word = text[position:end]
            if not (
                text[end : end + 1] in (*_SPACES, "", ".", ",", "|", ":", ")", "(", "=") or text.startswith(RIGHT, end)
            ):
                raise self._fail(f"bad character U+{ord(text[end]):04X} {text[end]!r}")
            kind = {".": "field", "$": "variable"}.get(letter) or (
                "bool" if word in ("true", "false") else "identifier"
            )
            self._emit(word if word in KEYWORDS else kind, word)
        else:
            raise self._fail(f"unrecognized character in action: U+{ord(letter):04X} {letter!r}")

    def _quoted(self, quote: str) -> str:
        text, end = self.text, self.position + 1
        while end < len(text) and text[end] != quote:
            if text[end] == "\n" and quote != "`":
                break
            end += 2 if text[end] == "\\" and quote != "`" else 1
        if end >= len(text) or text[end] != quote:
            what = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}[quote]
            raise self._fail(f"unterminated {what}")
        return text[self.position : end + 1]


def _is_word(letter: str) -> bool:
    return bool(letter) and (letter == "_" or letter.isalnum())
