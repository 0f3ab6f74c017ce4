"""``-e``, ``--env-file``, ``-l``, ``--label-file``: variables and labels."""

from __future__ import annotations

import os

from pyctr.errors import InvalidArgument, InvalidFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.engine.options import Request

_SPACES = " \t\n\v\f\r\x85\xa0"


def parse(request: Request, options: dict[str, Any]) -> None:
    """Fill Env and Labels; files come first, so that a flag overrides a file."""
    variables: list[str] = []
    for path in options.get("env_file", ()):
        variables += read_file(path, "env file", inherit=True)
    for text in options.get("env", ()):
        variables += parse_variable(text)
    request.config["Env"] = unique(variables)
    labels: dict[str, str] = {}
    for path in options.get("label_file", ()):
        for line in read_file(path, "label file", inherit=False):
            add_label(labels, line)
    for text in options.get("label", ()):
        if not text.partition("=")[0]:
            raise InvalidFlag(text, "-l, --label", f"invalid label '{text}': empty name")
        add_label(labels, text)
    request.config["Labels"] = labels


def parse_variable(text: str) -> list[str]:
    """``NAME=value`` as it is; ``NAME`` takes the caller's value; a variable the caller lacks is not passed."""
    name, equals, _ = text.partition("=")
    if not name:
        raise InvalidFlag(text, "-e, --env", f"invalid environment variable: {text}")
    if equals:
        return [text]
    value = os.environ.get(name)
    return [] if value is None else [f"{name}={value}"]


def unique(variables: list[str]) -> list[str]:
    """The last value of each name, at the place of its first."""
    merged: dict[str, str] = {}
    for variable in variables:
        merged[variable.partition("=")[0]] = variable
    return list(merged.values())


def add_label(labels: dict[str, str], text: str) -> None:
    """``name=value``; a bare name has an empty value."""
    name, _, value = text.partition("=")
    labels[name] = value


def read_file(path: str, kind: str, *, inherit: bool) -> list[str]:
    """Lines ``NAME=value`` of a file, comments and blank lines left out; with `inherit` a bare name takes our value."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InvalidArgument(f"open {path}: {os.strerror(error.errno or 0).lower()}") from None
    lines: list[str] = []
    for number, ended in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        raw = ended.removesuffix(b"\r")
        try:
            line = raw.decode().lstrip(_SPACES)
        except UnicodeDecodeError:
            listed = " ".join(str(byte) for byte in raw)
            raise InvalidArgument(f"invalid {kind} ({path}): invalid utf8 bytes at line {number}: [{listed}]") from None
        if not line or line[0] == "#":
            continue
        name, equals, _ = line.partition("=")
        if any(space in name for space in _SPACES):
            raise InvalidArgument(f"invalid {kind} ({path}): variable '{name}' contains whitespaces")
        if not name:
            raise InvalidArgument(f"invalid {kind} ({path}): no variable name on line '{line}'")
        if equals or not inherit:
            lines.append(line)
        elif name in os.environ:
            lines.append(f"{name}={os.environ[name]}")
    return lines
