"""The model in docker compose's form: its order of keys, its types, without what is empty.

Each kind of object is a list of ``key: kind`` in the order docker compose prints; a kind is a function from a value to its form.
`Map` marks what is keyed by names, which are printed sorted; other dicts are printed in their order.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import Path, Places, dotted
from pyctr.compose.scalars import go_text
from pyctr.compose.units import duration_ns, go_duration, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    Kind = Callable[[Any], Any]


class Map(dict[str, Any]):
    """A mapping by name, sorted when it is printed."""


class _Omit(Exception):
    """The value is empty, and empty values of its kind are not printed."""


def _sorted(pairs: dict[str, Any]) -> Map:
    return Map(sorted(pairs.items()))


def text(value: Any) -> str:
    """A string; empty ones are left out."""
    result = go_text(value)
    if not result:
        raise _Omit
    return result


def number(value: Any) -> int:
    """A whole number; zero is left out."""
    result = _whole(value)
    if not result:
        raise _Omit
    return result


def _whole(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not a whole number")
    return int(value)


def any_number(value: Any) -> int:
    """A whole number, zero too."""
    return _whole(value)


def real(value: Any) -> float | int:
    """A 32 bit floating point number, as Go prints one; zero is left out."""
    result = _single(float(value))
    if not result:
        raise _Omit
    return int(result) if result.is_integer() and abs(result) < 1e21 else result


def _single(value: float) -> float:
    """The shortest decimal that is the same 32 bit number."""
    target = struct.pack("f", value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == target:
            return short
    return value


def flag(value: Any) -> bool:
    """A boolean; false is left out."""
    if not any_flag(value):
        raise _Omit
    return True


def any_flag(value: Any) -> bool:
    """A boolean, false too."""
    if isinstance(value, str):
        from pyctr.compose.interpolate import to_bool

        return to_bool(value)
    return bool(value)


def size(value: Any) -> str:
    """Bytes, as a decimal string; zero is left out."""
    result = _bytes(value)
    if not result:
        raise _Omit
    return result


def _bytes(value: Any) -> str:
    if isinstance(value, str) and value.startswith("-"):
        value = int(value)
    return (
        str(to_bytes(value) if isinstance(value, str) else int(value)).replace("-0", "0")
        if value not in ("", 0)
        else ""
    )


def duration(value: Any) -> str:
    """A duration as Go prints it."""
    return go_duration(duration_ns(str(value)))


def some_duration(value: Any) -> str:
    """A duration; none is left out."""
    result = duration(value)
    if result == "0s":
        raise _Omit
    return result


def mode(value: Any) -> str:
    """A file's mode: octal text."""
    return f"0{int(value, 8) if isinstance(value, str) else int(value):o}"


def texts(value: Any) -> list[str]:
    """A list of strings; a string is a list of one; empty ones are left out."""
    if isinstance(value, str):
        value = [value]
    if not value:
        raise _Omit
    return [go_text(each) for each in value]


def words(value: Any) -> list[str]:
    """A scalar is a list of one."""
    return [go_text(each) for each in (value if isinstance(value, list) else [value])]


def command(value: Any) -> list[str] | None:
    """A command: a string is split as a shell would."""
    import shlex

    if value is None:
        raise _Omit
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"invalid command line string: {str(error).lower()}") from error
    return [go_text(each) for each in value]


def test(value: Any) -> list[str]:
    """A health check's command."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    if not value:
        raise _Omit
    return [go_text(each) for each in value]


def pairs(empty: str | None) -> Kind:
    """A mapping of strings, or ``KEY=value`` strings; ``empty`` stands for no value."""

    def form(value: Any) -> Map:
        found: dict[str, str | None] = {}
        if isinstance(value, dict):
            found = {key: empty if each is None else go_text(each) for key, each in value.items()}
        else:
            for item in value or ():
                key, equals, rest = go_text(item).partition("=")
                found[key] = rest if equals else empty
        if not found:
            raise _Omit
        return _sorted(found)

    return form


def hosts(value: Any) -> list[str]:
    """extra_hosts: ``NAME=ADDRESS`` words, sorted by name."""
    found: dict[str, list[str]] = {}
    if isinstance(value, dict):
        found = {
            name: [str(one) for one in (each if isinstance(each, list) else [each])] for name, each in value.items()
        }
    else:
        for item in value or ():
            name, sign, address = item.partition("=")
            if not sign:
                name, sign, address = item.partition(":")
            if not sign or not name or not address:
                raise ValueError(
                    f"invalid extra_hosts: {item}" if sign else f"invalid additional host, missing IP: {item}"
                )
            found.setdefault(name, []).append(address)
    if not found:
        raise _Omit
    return sorted(f"{name}={_bare(address)}" for name, addresses in found.items() for address in addresses)


def _bare(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def ssh(value: Any) -> list[str]:
    """build.ssh: ``NAME=PATH`` words, sorted."""
    if not value:
        raise _Omit
    items = {item.partition("=")[0]: item.partition("=")[2] for item in value} if isinstance(value, list) else value
    return sorted(f"{name}={path}" if path else str(name) for name, path in items.items())


def env_file(value: Any) -> Any:
    """A path, or an object where more than the path is said."""
    if not isinstance(value, dict) or (value.get("required", True) is True and not value.get("format")):
        return text(value["path"] if isinstance(value, dict) else value)
    return {"path": value["path"], "required": any_flag(value.get("required", True))} | {
        key: value[key] for key in ("format",) if value.get(key)
    }


def count(value: Any) -> int:
    """How many devices; ``all`` is -1."""
    if isinstance(value, str):
        if value.lower() == "all":
            return -1
        return int(value)
    return int(value)


def ulimit(value: Any) -> Any:
    """One number, or soft and hard; 0 is no number of its own (Go's zero value), so it is both."""
    if not isinstance(value, dict):
        return _whole(value) or {"soft": 0, "hard": 0}
    return {key: _whole(value.get(key, 0)) for key in ("soft", "hard")}


def struct_of(*fields: tuple[str, Kind], always: tuple[str, ...] = ()) -> Kind:
    """An object of these keys in this order; those in ``always`` are there, be they empty."""
    kinds = dict(fields)

    def form(value: Any) -> Any:
        if value is None:
            value = {}
        result: dict[str, Any] = {}
        for key, kind in kinds.items():
            if key in value and value[key] is not None:
                _put(result, key, kind, value[key])
            elif key in always:
                result[key] = kind({}) if key not in _COMMANDS else None
        result |= {key: _extension(value[key]) for key in sorted(value) if key.startswith("x-")}
        return result

    return form


#: Printed as null where they are not given: an empty list means something else.
_COMMANDS = ("command", "entrypoint")


class ShapeError(ValueError):
    """A value has no form: where below the object, and why."""

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.path = path


def _put(result: dict[str, Any], key: str, kind: Kind, value: Any) -> None:
    try:
        result[key] = kind(value)
    except _Omit:
        return
    except ShapeError as error:
        raise ShapeError((key, *error.path), str(error)) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise ShapeError((key,), str(error)) from error


def _extension(value: Any) -> Any:
    if isinstance(value, dict):
        return _sorted({key: _extension(each) for key, each in value.items()})
    return [_extension(each) for each in value] if isinstance(value, list) else value


def list_of(kind: Kind) -> Kind:
    """A list; empty ones are left out."""

    def form(value: Any) -> list[Any]:
        if not value:
            raise _Omit
        result = []
        for index, each in enumerate(value):
            holder: dict[str, Any] = {}
            try:
                _put(holder, "", kind, each)
            except ShapeError as error:
                raise ShapeError((index, *error.path[1:]), str(error)) from error
            result.append(holder.get("", {}))
        return result

    return form


def map_of(kind: Kind, *, null: bool = False) -> Kind:
    """A mapping by name; ``null`` values stay null; empty mappings are left out."""

    def form(value: Any) -> Map:
        if not value:
            raise _Omit
        result = Map()
        for name in sorted(value):
            if null and value[name] is None:
                result[name] = None
            else:
                _put(result, name, kind, value[name])
        return result

    return form


def shape_project(tree: dict[str, Any], places: Places) -> dict[str, Any]:
    """The whole model. Raises ComposeError."""
    from pyctr.compose import shapes

    model: dict[str, Any] = {"name": tree["name"], "services": Map()}
    for name in sorted(tree.get("services") or {}):
        model["services"][name] = shape_service(tree["services"][name], places, ("services", name))
    for key, kind in shapes.RESOURCES.items():
        if tree.get(key):
            model[key] = _formed(map_of(kind), tree[key], places, (key,))
    model |= {key: _extension(tree[key]) for key in sorted(tree) if key.startswith("x-")}
    return model


def plain_project(tree: dict[str, Any]) -> dict[str, Any]:
    """The model as it is, sorted: what `--no-interpolate` prints, since variables stand where numbers would."""
    plain: dict[str, Any] = _extension({"services": {}, **tree})
    return plain


def shape_service(service: dict[str, Any], places: Places, path: Path) -> dict[str, Any]:
    """One service; `command` and `entrypoint` are null where they are not given. Raises ComposeError."""
    from pyctr.compose import shapes

    shaped: dict[str, Any] = _formed(shapes.SERVICE, service, places, path)
    return shaped


def _formed(kind: Kind, value: Any, places: Places, path: Path) -> Any:
    try:
        return kind(value)
    except ShapeError as error:
        where = (*path, *error.path)
        raise places.error(where, f"{dotted(where)}: {error}") from error
