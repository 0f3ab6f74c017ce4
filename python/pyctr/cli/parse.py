"""argv by the table: what pflag, Docker's parser, accepts, in the words it refuses with."""

from __future__ import annotations

from pyctr.cli.table import FLAG, LIST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class UsageError(Exception):
    """argv that the table does not allow; the message is Docker's."""


class HelpAsked(Exception):
    """``--help`` was among the options."""


def parse(
    options: tuple[tuple[str, str, str, str, str], ...], argv: list[str], *, stop_at_argument: bool
) -> tuple[dict[str, Any], list[str]]:
    """The options given, by name with ``-`` as ``_``, and the arguments. Raises UsageError, HelpAsked."""
    by_name = {option[0]: option for option in options}
    by_short = {option[1]: option for option in options if option[1]}
    values: dict[str, Any] = {}
    arguments: list[str] = []
    index = 0
    while index < len(argv):
        word = argv[index]
        index += 1
        if word == "--":
            arguments += argv[index:]
            break
        if word.startswith("--"):
            index = _long(word, argv, index, by_name, values)
        elif word.startswith("-") and len(word) > 1:
            index = _short(word, argv, index, by_short, values)
        elif stop_at_argument:
            arguments += argv[index - 1 :]
            break
        else:
            arguments.append(word)
    return values, arguments


def _long(word: str, argv: list[str], index: int, by_name: dict[str, Any], values: dict[str, Any]) -> int:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    option = by_name.get(name)
    if option is None:
        if name == "help":
            if parse_bool(value if equals else "true", "--help"):
                raise HelpAsked
            return index
        raise UsageError(f"unknown flag: --{name}")
    if option[2] == FLAG:
        _store(option, value if equals else "true", values)
        return index
    if not equals:
        if index >= len(argv):
            raise UsageError(f"flag needs an argument: --{name}")
        value = argv[index]
        index += 1
    _store(option, value, values)
    return index


def _short(word: str, argv: list[str], index: int, by_short: dict[str, Any], values: dict[str, Any]) -> int:
    letters = word[1:]
    for position, letter in enumerate(letters):
        option = by_short.get(letter)
        if option is None:
            if letter == "h":
                raise HelpAsked
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{letters[position:]}")
        rest = letters[position + 1 :]
        if option[2] == FLAG:
            if rest.startswith("="):
                _store(option, rest[1:], values)
                return index
            _store(option, "true", values)
            continue
        if rest:
            _store(option, rest.removeprefix("="), values)
            return index
        if index >= len(argv):
            raise UsageError(f"flag needs an argument: '{letter}' in -{letters[position:]}")
        _store(option, argv[index], values)
        return index + 1
    return index


def _store(option: tuple[str, str, str, str, str], value: str, values: dict[str, Any]) -> None:
    key = option[0].replace("-", "_")
    if option[2] == FLAG:
        values[key] = parse_bool(value, f"-{option[1]}, --{option[0]}" if option[1] else f"--{option[0]}")
    elif option[2] == LIST:
        values.setdefault(key, []).append(value)
    else:
        values[key] = value


def parse_bool(value: str, flag: str) -> bool:
    """Go's strconv.ParseBool, as pflag words its refusal."""
    if value not in _TRUE and value not in _FALSE:
        words = f'strconv.ParseBool: parsing "{value}": invalid syntax'
        raise UsageError(f'invalid argument "{value}" for "{flag}" flag: {words}')
    return value in _TRUE
