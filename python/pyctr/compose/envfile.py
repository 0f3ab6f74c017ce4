"""``.env`` files: docker compose's dotenv rules.

``NAME=value``, ``NAME: value``, ``export NAME=value``, comments; single quotes keep, double quotes fill in variables and know
``\\n``; a name alone is taken from the environment; a value may span lines inside quotes.
"""

from __future__ import annotations

import re
from collections import ChainMap
from typing import TYPE_CHECKING

from pyctr.compose.errors import ComposeError
from pyctr.compose.interpolate import TemplateError, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Longest env file read, in bytes.
MAX_BYTES = 16 << 20
_SPACES = " \t\v\f\r\u0085\u00a0"
_ESCAPE = re.compile(r"\\([abcfnrtv$\"\\]|0\d{0,3})")
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "c": "\\c",
}


def read(
    path: str, outer: Mapping[str, str], *, earlier: Mapping[str, str] | None = None, raw: bool = False
) -> dict[str, str]:
    """The variables of a file. It may use those of ``outer``, which win over its own, and of ``earlier``, which do not.

    Raises ComposeError, OSError.
    """
    with open(path, "rb") as file:
        text = file.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise ComposeError(f"{path}: file is longer than {MAX_BYTES} bytes")
    try:
        decoded = text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ComposeError(f"{path}: not UTF-8") from error
    return parse_raw(decoded) if raw else parse(decoded, outer, path, earlier or {})


def parse_raw(text: str) -> dict[str, str]:
    """``format: raw``: each line is NAME=value, taken as it is."""
    pairs = (line.partition("=") for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return {name.strip(): value for name, equals, value in pairs if equals}


def parse(text: str, outer: Mapping[str, str], file: str, earlier: Mapping[str, str]) -> dict[str, str]:
    """The variables of an env file's text. Raises ComposeError with file and line."""
    text = text.replace("\r\n", "\n")
    found: dict[str, str] = {}
    scope = ChainMap(dict(outer), found, dict(earlier))
    position = 0
    while True:
        position = _statement(text, position)
        if position >= len(text):
            return found
        line = text.count("\n", 0, position) + 1
        try:
            position = _assignment(text, position, found, scope)
        except (ValueError, TemplateError) as error:
            raise ComposeError(f"{file}:{line}: {error}") from error


def _statement(text: str, position: int) -> int:
    """The start of the next statement: past blanks and comments."""
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        else:
            break
    return position


def _assignment(text: str, position: int, found: dict[str, str], scope: Mapping[str, str]) -> int:
    exported = re.compile(r"export[ \t]+").match(text, position)
    start = exported.end() if exported else position
    end = start
    while end < len(text) and text[end] not in "=:\n":
        if not (text[end].isalnum() or text[end] in "_.-[]" or text[end] in _SPACES):
            rest = text[start:].split("\n", 1)[0]
            raise ValueError(f'unexpected character "{text[end]}" in variable name "{rest}"')
        end += 1
    name = text[start:end].rstrip()
    if any(letter in _SPACES for letter in name):
        raise ValueError(f'key cannot contain a space: "{name}"')
    if end >= len(text) or text[end] == "\n":
        if name in scope:
            found[name] = scope[name]
        return end
    if not name:
        raise ValueError("unexpected end of variable name")
    end += 1
    while end < len(text) and text[end] in _SPACES:
        end += 1
    found[name], end = _value(text, end, scope)
    return end


def _value(text: str, position: int, scope: Mapping[str, str]) -> tuple[str, int]:
    quote = text[position : position + 1]
    if quote not in ("'", '"') or not quote:
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        raw = text[position:end]
        comment = re.search(r"\s#", f" {raw}")
        if comment:
            raw = raw[: max(comment.start() - 1, 0)] if comment.start() else ""
        return substitute(raw.rstrip(), scope), end
    index = position + 1
    escaped = False
    while index < len(text):
        letter = text[index]
        if letter == quote and not escaped:
            inside = text[position + 1 : index]
            inside = substitute(_unescape(inside), scope) if quote == '"' else inside.replace("\\'", "'")
            return inside, _after_quote(text, index + 1)
        escaped = letter == "\\" and not escaped
        index += 1
    rest = text[position:].split("\n", 1)[0]
    raise ValueError(f"unterminated quoted value {rest}")


def _after_quote(text: str, position: int) -> int:
    """Past the rest of the line: nothing or a comment."""
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    rest = text[position:end].strip()
    return end if not rest or rest.startswith("#") else position


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        word = match[1]
        if word == "$":
            return "$$"
        if word[0] == "0":
            return chr(int(word, 8))
        return _ESCAPES[word]

    return _ESCAPE.sub(replace, text)
