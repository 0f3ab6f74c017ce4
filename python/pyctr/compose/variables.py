"""The variables that compose files mention (`config --variables`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose import discover, document
from pyctr.compose.errors import Places
from pyctr.compose.interpolate import TemplateError, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Variable = tuple[str, str, bool, str]


def file_variables(
    files: Sequence[str] | None, directory: str | None, environment: Mapping[str, str]
) -> list[Variable]:
    """Name, default, whether required, and text when present, of each variable, sorted by name."""
    found = discover.discover(files, directory, (), environment)
    variables: dict[str, Variable] = {}
    for file in found.files:
        with open(file, "rb") as opened:
            text = opened.read(document.MAX_BYTES + 1)
        for each in document.parse(text, file, Places()):
            variables |= {variable[0]: variable for value in _strings(each.tree) for variable in _of(value)}
    return [variables[name] for name in sorted(variables)]


def _of(text: str) -> list[Variable]:
    try:
        return variables_of(text)
    except TemplateError:
        return []


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
