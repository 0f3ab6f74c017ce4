"""The compose-spec schema, and what is wrong in words a person can use.

`compose-spec.json` is the schema of the Compose Specification (Apache-2.0, see compose-spec.NOTICE), as docker compose 2.40 has it.
"""

from __future__ import annotations

import functools
import math
import os
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyctr.compose import known
from pyctr.compose.errors import ComposeError, Path, Places, dotted, nearest
from pyctr.compose.units import duration_ns

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator, ValidationError

_SCHEMA = os.path.join(os.path.dirname(__file__), "compose-spec.json")
_PORTS = re.compile(r"(?:.*:)?(?:[0-9]+(?:-[0-9]+)?)?:?[0-9]+(?:-[0-9]+)?(?:/[a-zA-Z]+)?")
_EXPOSE = re.compile(r"[0-9]+(?:-[0-9]+)?(?:/[a-zA-Z]+)?")


def validate(tree: dict[str, Any], places: Places, *, known_dir: str | None = None) -> None:
    """Raise ComposeError for the first thing the schema does not allow; `known_dir` keeps marks of what it allowed."""
    plain = _plain(tree)
    mark = known.mark_of(known_dir, plain, (_SCHEMA, __file__)) if known_dir else None
    if mark and known.is_marked(mark):
        return
    try:
        error = next(iter(_validator().iter_errors(plain)), None)
    except ValueError as failure:
        raise ComposeError(f"the file cannot be checked: {failure}") from failure
    if error is not None:
        raise _explain(error, tree, places)
    if mark:
        known.remember(mark)


def _plain(value: Any) -> Any:
    """The tree with what JSON cannot say put as a number or string, which is all the schema asks of it."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return 0.5
    # A moment is none of the types the schema knows; a list of its text is refused with the place named.
    return [str(value)] if isinstance(value, datetime) else value


@functools.cache
def _validator() -> Draft7Validator:
    import json

    import jsonschema_rs

    with open(_SCHEMA, encoding="utf-8") as file:
        schema = json.load(file)
    return jsonschema_rs.Draft7Validator(
        schema,
        validate_formats=True,
        formats={"duration": _is_duration, "ports": _is_ports, "expose": _is_expose, "subnet_ip_address": _is_subnet},
    )


def _is_duration(text: str) -> bool:
    try:
        duration_ns(text)
    except ValueError:
        return False
    return True


def _is_ports(text: str) -> bool:
    return _PORTS.fullmatch(text) is not None


def _is_expose(text: str) -> bool:
    return _EXPOSE.fullmatch(text) is not None


def _is_subnet(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _explain(error: ValidationError, tree: dict[str, Any], places: Places) -> ComposeError:
    path: Path = tuple(error.instance_path)
    kind = error.kind
    alternatives = getattr(kind, "context", None)
    if alternatives:
        deepest = max((each for branch in alternatives for each in branch), key=_depth)
        if len(deepest.instance_path) > len(path) or _unexpected(deepest):
            return _explain(deepest, tree, places)
    unexpected = _unexpected(error)
    if unexpected:
        key = unexpected[0]
        known = _known(error)
        where = dotted(path) or "(root)"
        return places.error((*path, key), f"{where} additional properties '{key}' not allowed{nearest(key, known)}")
    return places.error(path, f"{dotted(path) or '(root)'} {_words(error)}")


def _depth(error: ValidationError) -> tuple[int, bool]:
    return len(error.instance_path), bool(_unexpected(error))


def _unexpected(error: ValidationError) -> list[str]:
    return list(getattr(error.kind, "unexpected", None) or [])


def _known(error: ValidationError) -> list[str]:
    """The keys the schema has where an unknown one was found."""
    import json

    with open(os.path.join(os.path.dirname(__file__), "compose-spec.json"), encoding="utf-8") as file:
        node: Any = json.load(file)
    root = node
    for part in list(error.schema_path)[:-1]:
        while isinstance(node, dict) and "$ref" in node and part not in node:
            node = root["definitions"][node["$ref"].rpartition("/")[2]]
        if part == "$ref" and isinstance(node, dict):
            node = root["definitions"][node["$ref"].rpartition("/")[2]]
            continue
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return []
    return list(node.get("properties", ())) if isinstance(node, dict) else []


def _words(error: ValidationError) -> str:
    message = error.message
    types = getattr(error.kind, "types", None)
    if types:
        names = ["mapping" if each == "object" else "list" if each == "array" else each for each in types]
        return f"must be a {' or '.join(names)}"
    options = getattr(error.kind, "options", None)
    if options:
        return f"must be one of {', '.join(options)}"
    if error.kind.name == "required":
        return f"lacks the property {getattr(error.kind, 'property', '')}"
    return message[0].lower() + message[1:] if len(message) < 300 else f"{message[:300]}…"
