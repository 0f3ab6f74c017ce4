"""Values as Go's fmt prints them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyctr.cli.template.values import Nil

if TYPE_CHECKING:
    from typing import Any

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))")
_VERB = re.compile(r"%([+\-# 0]*)(\d+|\*)?(?:\.(\d+|\*)?)?([a-zA-Z%])?")


def unquote(text: str) -> str:
    """A Go string literal's value."""
    if text.startswith("`"):
        return text[1:-1]

    def one(match: re.Match[str]) -> str:
        number = match[1] or match[2] or match[3]
        if number:
            return chr(int(number, 16))
        return chr(int(match[4], 8)) if match[4] else _ESCAPES.get(match[5], match[0])

    return _ESCAPE.sub(one, text[1:-1])


def show(value: Any) -> str:
    """As ``%v``."""
    if value is None:
        return "<no value>"
    if isinstance(value, Nil):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_inside(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_inside(item) for item in value) + "]"
    return str(value)


def _inside(value: Any) -> str:
    return "<nil>" if value is None else show(value)


def _float(value: float) -> str:
    """The shortest form, with an exponent from 1e21 on (fmt, ``%v`` of a float64)."""
    text = repr(value)
    if "e" in text and abs(value) < 1e21 and abs(value) >= 1e-4:
        text = f"{value:f}"
    text = text.removesuffix(".0")
    return re.sub(r"e([+-])(\d)$", r"e\g<1>0\2", text)


def _code(letter: str) -> str:
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def quote(text: str) -> str:
    """As ``%q``."""
    shown = "".join(
        {
            "\n": "\\n",
            "\t": "\\t",
            "\r": "\\r",
            '"': '\\"',
            "\\": "\\\\",
            "\a": "\\a",
            "\b": "\\b",
            "\f": "\\f",
            "\v": "\\v",
        }.get(
            letter,
            letter if letter.isprintable() else f"\\x{ord(letter):02x}" if ord(letter) < 128 else _code(letter),
        )
        for letter in text
    )
    return f'"{shown}"'


def join(values: tuple[Any, ...], *, line: bool = False) -> str:
    """As fmt.Sprint: blanks between operands of which neither is a string; as Sprintln: blanks between all."""
    out = ""
    for index, value in enumerate(values):
        before = values[index - 1] if index else ""
        if index and (line or not (isinstance(value, str) or isinstance(before, str))):
            out += " "
        out += _inside(value)
    return out + ("\n" if line else "")


def sprintf(template: str, values: tuple[Any, ...]) -> str:
    """As fmt.Sprintf, for the verbs that values of JSON have."""
    rest = list(values)

    def operand(match: re.Match[str]) -> str:
        flags, width, precision, verb = match[1], match[2], match[3], match[4]
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if width == "*":
            width = str(rest.pop(0)) if rest else None
        if precision == "*":
            precision = str(rest.pop(0)) if rest else None
        if not rest:
            return f"%!{verb}(MISSING)"
        text = _verb(verb, rest.pop(0), flags, None if precision is None else int(precision))
        return _pad(text, int(width or 0), flags, numeric=verb in "dxXobfeg")

    out = _VERB.sub(operand, template)
    if rest:
        out += "%!(EXTRA " + ", ".join(f"{_type(value)}={_inside(value)}" for value in rest) + ")"
    return out


def _verb(verb: str, value: Any, flags: str, precision: int | None) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    sign = "+" if "+" in flags and is_number and value >= 0 else ""
    if verb in "vs" and (verb == "v" or isinstance(value, (str, list, dict))):
        shown = _inside(value)
        return sign + (shown if precision is None or not isinstance(value, str) else shown[:precision])
    if verb == "q" and isinstance(value, str):
        return quote(value if precision is None else value[:precision])
    if verb == "q" and isinstance(value, list):
        return "[" + " ".join(quote(str(item)) for item in value) + "]"
    if verb == "t" and isinstance(value, bool):
        return show(value)
    if verb == "T":
        return _type(value)
    if verb in "dxXob" and isinstance(value, int) and not isinstance(value, bool):
        return sign + format(value, verb)
    if verb == "c" and isinstance(value, int) and not isinstance(value, bool):
        return chr(value)
    if verb in "xX" and isinstance(value, str):
        return value.encode().hex() if verb == "x" else value.encode().hex().upper()
    if verb in "feg" and isinstance(value, float):
        return sign + format(value, f".{6 if precision is None and verb != 'g' else precision or 6}{verb}")
    return f"%!{verb}({_type(value)}={_inside(value)})"


def _type(value: Any) -> str:
    names = {
        bool: "bool",
        int: "int",
        float: "float64",
        str: "string",
        dict: "map[string]interface {}",
        list: "[]interface {}",
    }
    return names.get(type(value), "<nil>")


def _pad(text: str, width: int, flags: str, *, numeric: bool) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and numeric:
        return text.zfill(width)
    return text.rjust(width)
