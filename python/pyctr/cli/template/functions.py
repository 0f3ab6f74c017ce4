"""The functions a template may call: Go's own and Docker's (cli/templates)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyctr._core import json_dumps
from pyctr.cli.template.text import join, show, sprintf
from pyctr.cli.template.values import Nil, plain, type_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class CallError(Exception):
    """A function that cannot do what it was asked to."""


class Function:
    """A function: what it does, how many arguments it takes (`most` None: any number), and which must be strings."""

    __slots__ = ("call", "fewest", "most", "strings")

    def __init__(self, call: Callable[..., Any], fewest: int, most: int | None, strings: tuple[int, ...] = ()) -> None:
        self.call = call
        self.fewest = fewest
        self.most = most
        self.strings = strings

    def count_error(self, name: str, count: int) -> str | None:
        """Go's words for the wrong number of arguments."""
        if self.most is None and count < self.fewest:
            return f"wrong number of args for {name}: want at least {self.fewest} got {count}"
        if self.most is not None and not self.fewest <= count <= self.most:
            return f"wrong number of args for {name}: want {self.fewest} got {count}"
        return None


def _json(value: Any) -> str:
    as_json = getattr(value, "template_json", None)
    if as_json is None:
        return json_dumps(plain(value)).decode()
    # Docker's `json` leaves <, > and & as they are, but its rows encode themselves with Go's defaults.
    text = json_dumps(as_json()).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _join(values: Any, separator: str) -> str:
    if isinstance(values, Nil):
        return ""
    if not isinstance(values, list):
        raise CallError(f"expected []string; found {show(values)}")
    return separator.join(show(value) for value in values)


def _title(text: str) -> str:
    """strings.Title: a letter behind anything that is none becomes a capital."""
    out, before = "", " "
    for letter in text:
        starts = not (before.isalnum() or before in "_'")
        out += letter.title() if starts and letter.isalpha() else letter
        before = letter
    return out


def _truncate(text: str, length: int) -> str:
    return text if len(text) < length else text[:length]


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else text


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (list, dict)) or (isinstance(value, Nil) and value.text != "<nil>"):
        return len(value)
    if value is None or isinstance(value, Nil):
        raise CallError("len of nil pointer")
    raise CallError(f"len of type {type_name(value)}")


def _index(value: Any, *keys: Any) -> Any:
    if value is None:
        raise CallError("index of untyped nil")
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise CallError(f"value has type {type_name(key)}; should be string")
            value = value.get(key, "" if all(isinstance(item, str) for item in value.values()) and value else None)
        elif isinstance(value, Nil) and value.text == "map[]":
            value = None
        elif isinstance(value, (list, str, Nil)):
            at = _position(key)
            items = value.encode() if isinstance(value, str) else value
            if isinstance(value, Nil) or not 0 <= at < len(items):
                raise CallError(f"index out of range: {at}")
            value = items[at]  # type: ignore[index]
        else:
            raise CallError(f"can't index item of type {type_name(value)}")
    return value


def _position(key: Any) -> int:
    if isinstance(key, bool) or not isinstance(key, int):
        raise CallError(
            "cannot index slice/array with nil"
            if key is None
            else f"cannot index slice/array with type {type_name(key)}"
        )
    return key


def _slice(value: Any, *bounds: Any) -> Any:
    if isinstance(value, Nil):
        value = []
    if not isinstance(value, (list, str)):
        raise CallError(f"can't slice item of type {type_name(value)}")
    if len(bounds) > 3 or (len(bounds) == 3 and isinstance(value, str)):
        raise CallError(
            "cannot 3-index slice a string" if isinstance(value, str) else f"too many slice indexes: {len(bounds)}"
        )
    positions = [_position(bound) for bound in bounds]
    for at in positions:
        if not 0 <= at <= len(value):
            raise CallError(f"index out of range: {at}")
    start = positions[0] if positions else 0
    end = positions[1] if len(positions) > 1 else len(value)
    if start > end:
        raise CallError(f"invalid slice index: {start} > {end}")
    return value[start:end]


def truth(value: Any) -> bool:
    """Whether a value counts as true (text/template, "if")."""
    return bool(value)


def _basic(value: Any) -> str | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "string" if isinstance(value, str) else None


def _equal(*values: Any) -> bool:
    if len(values) < 2:
        raise CallError("missing argument for comparison")
    first, *others = values
    for other in others:
        if _basic(first) != _basic(other) and plain(first) is not None and plain(other) is not None:
            raise CallError("incompatible types for comparison")
        if plain(first) == plain(other):
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    kind = _basic(first)
    if kind is None or kind == "bool" or _basic(second) is None:
        raise CallError("invalid type for comparison")
    if kind != _basic(second):
        raise CallError("incompatible types for comparison")
    return bool(first < second)


def _html(*values: Any) -> str:
    text = join(values) if len(values) != 1 else show(values[0])
    for letter, escaped in (
        ("&", "&amp;"),
        ("'", "&#39;"),
        ('"', "&#34;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\0", "\ufffd"),
    ):
        text = text.replace(letter, escaped)
    return text


def _js(*values: Any) -> str:
    text = join(values) if len(values) != 1 else show(values[0])
    plain_forms = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
    return "".join(plain_forms.get(letter, letter if letter >= " " else f"\\u{ord(letter):04X}") for letter in text)


def _url(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(join(values) if len(values) != 1 else show(values[0]), safe="~")


#: Functions that leave a table's headers alone.
OF_VALUES = frozenset(("json", "join", "lower", "upper", "title", "split", "pad", "truncate"))
FUNCTIONS: dict[str, Function] = {
    # Docker's
    "json": Function(_json, 1, 1),
    "join": Function(_join, 2, 2, (1,)),
    "lower": Function(lambda text: text.lower(), 1, 1, (0,)),
    "upper": Function(lambda text: text.upper(), 1, 1, (0,)),
    "title": Function(_title, 1, 1, (0,)),
    "split": Function(_split, 2, 2, (0, 1)),
    "pad": Function(_pad, 3, 3, (0,)),
    "truncate": Function(_truncate, 2, 2, (0,)),
    # Go's; `and` and `or` stop where the answer is known, so the evaluator knows them itself
    "and": Function(lambda *values: values[-1], 1, None),
    "or": Function(lambda *values: values[-1], 1, None),
    "not": Function(lambda value: not truth(value), 1, 1),
    "len": Function(_length, 1, 1),
    "index": Function(_index, 1, None),
    "slice": Function(_slice, 1, None),
    "eq": Function(_equal, 1, None),
    "ne": Function(lambda first, second: not _equal(first, second), 2, 2),
    "lt": Function(_less, 2, 2),
    "le": Function(lambda first, second: _less(first, second) or _equal(first, second), 2, 2),
    "gt": Function(lambda first, second: not (_less(first, second) or _equal(first, second)), 2, 2),
    "ge": Function(lambda first, second: not _less(first, second), 2, 2),
    "print": Function(lambda *values: join(values), 0, None),
    "println": Function(lambda *values: join(values, line=True), 0, None),
    "printf": Function(lambda template, *values: sprintf(template, values), 1, None, (0,)),
    "html": Function(_html, 0, None),
    "js": Function(_js, 0, None),
    "urlquery": Function(_url, 0, None),
    "call": Function(lambda value, *_: _uncallable(value), 1, None),
}


def _uncallable(value: Any) -> Any:
    raise CallError(f"non-function {show(value)} of type {type_name(value)}")
