"""The model as docker compose prints it: YAML as go-yaml v3 writes it, JSON as Go's encoding/json."""

from __future__ import annotations

import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError
from pyctr.compose.scalars import go_float, quoted
from pyctr.compose.shape import Map

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Keys of structs that Go prints empty in JSON and leaves out of YAML.
_EMPTY_IN_JSON = frozenset(("ipam", "resources", "placement"))
_ORDER = ("name", "services", "networks", "volumes", "secrets", "configs", "models")


def to_json(model: dict[str, Any]) -> str:
    """JSON, indented by two, without the extensions inside objects."""
    if isinstance(model, Map):
        return _escape_html(json.dumps(_json_value(model), indent=2, ensure_ascii=False))
    plain = {key: _json_value(model[key]) for key in sorted(model) if key != "models"}
    plain["services"] = {name: service_json(each) for name, each in model["services"].items()}
    return _escape_html(json.dumps(plain, indent=2, ensure_ascii=False))


def service_json(service: dict[str, Any]) -> dict[str, Any]:
    """A service as Go marshals it, with the odd names and empty structs that has."""
    result: dict[str, Any] = _json_value(service)
    if "env_file" in result:
        result["env_file"] = [
            each["path"] if isinstance(each, dict) and each["required"] else each for each in result["env_file"]
        ]
    for items in (result.get("blkio_config") or {}).values():
        if isinstance(items, list):
            items[:] = [{key.capitalize(): each for key, each in item.items()} for item in items]
    watch = (result.get("develop") or {}).get("watch")
    if watch:
        watch[:] = [_watch_json(rule) for rule in watch]
    for owner in (result, result.get("build") or {}):
        for name, limit in (owner.get("ulimits") or {}).items():
            if isinstance(limit, dict):
                owner["ulimits"][name] = {key: each for key, each in limit.items() if each}
    return result


def _watch_json(rule: dict[str, Any]) -> dict[str, Any]:
    before: dict[str, Any] = {key: rule[key] for key in ("path", "action", "target") if key in rule}
    hook = {"command": None, **rule.get("exec", {})}
    return {**before, "exec": hook, **{key: each for key, each in rule.items() if key not in before and key != "exec"}}


def _json_value(value: Any) -> Any:
    if isinstance(value, Map):
        return {key: _json_value(each) for key, each in value.items()}
    if isinstance(value, dict):
        return {key: _json_value(each) for key, each in value.items() if not key.startswith("x-")}
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ComposeError(f"json: unsupported value: {go_float(value)}")
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return value


def _escape_html(text: str) -> str:
    """encoding/json's habit of escaping what HTML and JavaScript could trip over."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.replace("\x7f", "\u007f")


def compact_json(value: Any) -> str:
    """JSON without spaces, as `json.Marshal` writes it."""
    return _escape_html(json.dumps(_json_value(value), separators=(",", ":"), ensure_ascii=False))


def to_yaml(model: dict[str, Any]) -> str:
    """YAML of the whole model."""
    keys = [key for key in _ORDER if key in model and not isinstance(model, Map)]
    keys += sorted((key for key in model if key not in keys), key=_NATURAL)
    ordered = {key: model[key] for key in keys}
    return "\n".join(_mapping(ordered, 0)) + "\n"


def yaml_document(value: dict[str, Any]) -> str:
    """One YAML document of an object, its keys in their order."""
    return "\n".join(_mapping(value, 0)) + "\n"


def _mapping(value: dict[str, Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    keys = sorted(value, key=_NATURAL) if isinstance(value, Map) else list(value)
    for key in keys:
        each = value[key]
        if not isinstance(value, Map) and (
            (each is None and key in ("command", "entrypoint")) or (key in _EMPTY_IN_JSON and each == {})
        ):
            continue
        yield from _entry(f"{pad}{_scalar(key, indent)}:", each, indent)


def _entry(head: str, value: Any, indent: int) -> Iterator[str]:
    """``key:`` and its value; what is a block stands below, indented."""
    if isinstance(value, dict) and any(True for _ in _mapping(value, indent + 2)):
        yield head
        yield from _mapping(value, indent + 2)
    elif isinstance(value, dict):
        yield f"{head} {{}}"
    elif isinstance(value, list) and value:
        yield head
        yield from _sequence(value, indent + 2)
    elif isinstance(value, list):
        yield f"{head} []"
    else:
        yield f"{head} {_scalar(value, indent + 2)}"


def _sequence(value: list[Any], indent: int) -> Iterator[str]:
    pad = " " * indent
    for each in value:
        lines = (
            list(_mapping(each, indent + 2))
            if isinstance(each, dict)
            else list(_sequence(each, indent + 2))
            if isinstance(each, list)
            else []
        )
        if lines:
            yield f"{pad}- {lines[0].lstrip(' ')}"
            yield from lines[1:]
        elif isinstance(each, dict):
            yield f"{pad}- {{}}"
        elif isinstance(each, list):
            yield f"{pad}- []"
        else:
            yield f"{pad}- {_scalar(each, indent + 2)}"


def _scalar(value: Any, indent: int) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}.get(text := go_float(value), text)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if "\n" in text and _block_allowed(text):
        return _literal(text, indent)
    if "\n" in text or quoted(text):
        return _double(text)
    return _plain(text)


_SPECIAL = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]")


def _plain(text: str) -> str:
    """Plain where YAML reads it back as itself; else single quotes, or double ones for what cannot be printed."""
    if _SPECIAL.search(text):
        return _double(text)
    if text[0] in "-?:,[]{}#&*!|>'\"%@`" and not _safe_start(text):
        return _single(text)
    if text[0] == " " or text[-1] == " " or ": " in text or " #" in text or text[-1] == ":":
        return _single(text)
    return _single(text) if text.startswith(("---", "...")) else text


def _safe_start(text: str) -> bool:
    return text[0] in "-?:" and len(text) > 1 and text[1] != " "


def _single(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_ESCAPES = {
    "\0": "0", "\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\x1b": "e", '"': '"',
    "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P",
}  # fmt: skip


def _double(text: str) -> str:
    out = []
    for letter in text:
        if letter in _ESCAPES and letter not in "\x85\xa0":
            out.append(f"\\{_ESCAPES[letter]}")
        elif letter in _ESCAPES or _SPECIAL.match(letter):
            code = ord(letter)
            name = _ESCAPES.get(letter)
            out.append(
                f"\\{name}"
                if name
                else f"\\x{code:02X}"
                if code < 256
                else f"\\u{code:04X}"
                if code < 65_536
                else f"\\U{code:08X}"
            )
        else:
            out.append(letter)
    return '"' + "".join(out) + '"'


def _block_allowed(text: str) -> bool:
    """Whether a literal block can hold the text: no blanks at a line's end, nothing unprintable."""
    return (
        not _SPECIAL.search(text.replace("\n", "").replace("\t", "")) and " \n" not in text and not text.endswith(" ")
    )


def _literal(text: str, indent: int) -> str:
    hint = "2" if text[0] in " \n" else ""
    chomp = "-" if not text.endswith("\n") else "+" if text.endswith("\n\n") or text == "\n" else ""
    body = text[:-1] if text.endswith("\n") else text
    lines = [f"{' ' * indent}{line}" if line else "" for line in body.split("\n")]
    return "\n".join((f"|{hint}{chomp}", *lines))


def _compare(left: str, right: str) -> int:
    """go-yaml's order of keys: numbers inside words by value, letters after what is none."""
    digits = False
    for index in range(min(len(left), len(right))):
        a, b = left[index], right[index]
        if a == b:
            digits = a.isdigit()
            continue
        a_letter, b_letter = a.isalpha(), b.isalpha()
        if a_letter and b_letter:
            return -1 if a < b else 1
        if a_letter or b_letter:
            return (-1 if a_letter else 1) if digits else (-1 if b_letter else 1)
        return _numbers(left, right, index)
    return len(left) - len(right)


def _numbers(left: str, right: str, index: int) -> int:
    first = second = 0
    if left[index] == "0" or right[index] == "0":
        back = index - 1
        while back >= 0 and left[back].isdigit():
            if left[back] != "0":
                first = second = 1
                break
            back -= 1
    ends = []
    for start, text in ((first, left), (second, right)):
        number, end = start, index
        while end < len(text) and text[end].isdigit():
            number = number * 10 + int(text[end])
            end += 1
        ends.append((number, end))
    if ends[0] != ends[1]:
        return -1 if ends[0] < ends[1] else 1
    return -1 if left[index] < right[index] else 1


_NATURAL = functools.cmp_to_key(_compare)
