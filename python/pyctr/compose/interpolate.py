"""Variables in the strings of one file, and the types the keys they stand in need.

Grammar (compose-spec, "Interpolation"): ``$$`` is a dollar sign; ``$NAME`` and ``${NAME}`` a variable, empty where unset;
``${NAME:-text}``, ``-``, ``:+``, ``+``, ``:?``, ``?`` as in a shell, with variables inside the text. A dollar sign before anything
else stays; ``${`` before anything else is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyctr.compose.errors import ComposeError, Path, Places, dotted
from pyctr.compose.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":-", ":+", ":?", "-", "+", "?")


class TemplateError(Exception):
    """A string that is no template, or lacks a variable it requires."""


def substitute(template: str, variables: Mapping[str, str], unset: Callable[[str], None] | None = None) -> str:
    """The text with its variables filled in; ``unset`` hears of those that have no value and no default."""
    if "$" not in template:
        return template
    text: list[str] = []
    position = 0
    while True:
        dollar = template.find("$", position)
        if dollar < 0:
            text.append(template[position:])
            return "".join(text)
        text.append(template[position:dollar])
        position = dollar + 1
        following = template[position : position + 1]
        if following == "$":
            text.append("$")
            position += 1
        elif following == "{":
            end = _closing(template, position)
            text.append(_braced(template, template[position + 1 : end], variables, unset))
            position = end + 1
        elif name := _NAME.match(template, position):
            text.append(_lookup(name[0], variables, unset))
            position = name.end()
        else:
            text.append("$")


def variables_of(template: str) -> list[tuple[str, str, bool, str]]:
    """The variables of a string as docker compose lists them: name, default, whether required, text when present."""
    found: list[tuple[str, str, bool, str]] = []
    position = 0
    while (position := template.find("$", position)) >= 0:
        position += 1
        following = template[position : position + 1]
        if following == "$":
            position += 1
        elif following == "{":
            end = _closing(template, position)
            name, operator, rest = _split(template, template[position + 1 : end])
            sign = operator[-1:]
            found.append((name, rest if sign == "-" else "", sign == "?", rest if sign == "+" else ""))
            position = end + 1
        elif name_match := _NAME.match(template, position):
            found.append((name_match[0], "", False, ""))
            position = name_match.end()
    return found


def _closing(template: str, start: int) -> int:
    """Where the brace that opens at ``start`` closes."""
    depth = 0
    for index in range(start, len(template)):
        if template[index] == "{":
            depth += 1
        elif template[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    # Braces that do not balance: docker compose takes the last one.
    last = template.rfind("}")
    if last <= start:
        raise TemplateError(f'invalid template: "{template}"')
    return last


def _split(template: str, inside: str) -> tuple[str, str, str]:
    """Name, operator and text of what stands between braces."""
    name = _NAME.match(inside)
    if name is None or "\n" in inside:
        raise TemplateError(f'invalid template: "{template}"')
    rest = inside[name.end() :]
    for operator in _OPERATORS:
        if rest.startswith(operator):
            return name[0], operator, rest[len(operator) :]
    if rest:
        raise TemplateError(f'invalid template: "{template}"')
    return name[0], "", ""


def _braced(template: str, inside: str, variables: Mapping[str, str], unset: Callable[[str], None] | None) -> str:
    name, operator, rest = _split(template, inside)
    if not operator:
        return _lookup(name, variables, unset)
    present = name in variables and (variables[name] != "" or ":" not in operator)
    text = substitute(rest, variables, unset)
    if operator[-1] == "-":
        return variables[name] if present else text
    if operator[-1] == "+":
        return text if present else variables.get(name, "")
    if not present:
        reason = f": {text}" if text else ""
        raise TemplateError(f"required variable {name} is missing a value{reason}")
    return variables[name]


def _lookup(name: str, variables: Mapping[str, str], unset: Callable[[str], None] | None) -> str:
    if name not in variables and unset:
        unset(name)
    return variables.get(name, "")


def interpolate(
    tree: dict[str, Any], variables: Mapping[str, str], places: Places, unset: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """A file's tree with its strings filled in and, where the key needs it, made numbers or booleans."""

    def walk(value: Any, path: Path, state: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(each, (*path, key), CASTS.step(state, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, (*path, index), CASTS.step(state, "[]")) for index, each in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            text = substitute(value, variables, unset)
        except TemplateError as error:
            raise _explain(error, value, path, places) from error
        cast = CASTS.at(state)
        if cast is None:
            return text
        try:
            return cast(text)
        except ValueError as error:
            raise places.error(
                path, f"error while interpolating {dotted(path)}: failed to cast to expected type: {error}"
            ) from error

    result: dict[str, Any] = walk(tree, (), CASTS.start)
    return result


def _explain(error: TemplateError, value: str, path: Path, places: Places) -> ComposeError:
    if str(error).startswith("invalid template"):
        return places.error(
            path,
            f'invalid interpolation format for {dotted(path)}: "{value}"',
            hint="You may need to escape any $ with another $.",
        )
    return places.error(path, f"error while interpolating {dotted(path)}: {error}")


def to_int(text: str) -> int:
    """A decimal number."""
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError(f'"{text}" is not an integer')
    return int(text)


def to_float(text: str) -> float:
    """A floating point number."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'"{text}" is not a number') from None


def to_bool(text: str) -> bool:
    """A boolean, YAML 1.1's words too."""
    word = text.lower()
    if word in ("true", "y", "yes", "on"):
        return True
    if word in ("false", "n", "no", "off"):
        return False
    raise ValueError(f"invalid boolean: {text}")


def _casts() -> Rules[Callable[[str], Any]]:
    integers = (
        "cpu_count cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares deploy.replicas"
        " deploy.update_config.parallelism deploy.rollback_config.parallelism deploy.restart_policy.max_attempts"
        " deploy.placement.max_replicas_per_node healthcheck.retries oom_score_adj pids_limit ports.[].target scale"
        " ulimits.* ulimits.*.hard ulimits.*.soft"
    )
    floats = "cpu_percent cpus deploy.update_config.max_failure_ratio deploy.rollback_config.max_failure_ratio"
    booleans = (
        "init healthcheck.disable oom_kill_disable privileged read_only stdin_open tty volumes.[].read_only"
        " volumes.[].volume.nocopy volumes.[].bind.create_host_path depends_on.*.restart"
    )
    rules: dict[str, Callable[[str], Any]] = {}
    for words, cast in ((integers, to_int), (floats, to_float), (booleans, to_bool)):
        rules |= {f"services.*.{word}": cast for word in words.split()}
    rules |= {
        f"networks.*.{key}": to_bool for key in ("external", "internal", "attachable", "enable_ipv4", "enable_ipv6")
    }
    rules |= {f"{kind}.*.external": to_bool for kind in ("volumes", "secrets", "configs")}
    return Rules(rules)


CASTS = _casts()
