"""The table's parser and typer's, made of the same table, agree."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from pyctr.cli.parse import HelpAsked, UsageError, parse
from pyctr.cli.table import ALIASES, COMMANDS, FLAG, LIST, TEXT

_words = st.text(alphabet="abc=,:/. ", min_size=1, max_size=8)


@st.composite
def argv(draw: st.DrawFn, name: str) -> list[str]:
    """A command line of valid options in every spelling, and arguments behind them."""
    options = COMMANDS[name][6]
    words: list[str] = []
    for option in draw(st.lists(st.sampled_from(options), max_size=6)):
        long, short, kind, *_ = option
        value = draw(_words)
        if kind == FLAG:
            words.append(draw(st.sampled_from([f"--{long}", *([f"-{short}"] if short else [])])))
        else:
            spellings = [[f"--{long}", value], [f"--{long}={value}"]]
            if short:
                spellings += [[f"-{short}", value], [f"-{short}{value.lstrip('=') or 'x'}"]]
            words += draw(st.sampled_from(spellings))
    arguments = draw(st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3))
    return [*words, *(["--"] if arguments else []), *arguments]


def function(options: Any, arguments: str, seen: dict[str, Any]) -> Any:
    """A function with one parameter an option, as typer wants to see it; what it is called with goes to `seen`."""
    parameters = []
    if arguments:
        argument = Annotated[list[str] | None, typer.Argument(metavar=arguments)]
        parameters.append(
            inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=argument)
        )
    for long, short, kind, *_ in options:
        of_kind: Any = {FLAG: bool | None, LIST: list[str] | None}.get(kind, str | None)
        annotation = Annotated[of_kind, typer.Option(f"--{long}", *([f"-{short}"] if short else []))]
        name = long.replace("-", "_")
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))

    def probe(**values: Any) -> None:
        seen.update(values)

    probe.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    probe.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return probe


def by_typer(name: str, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What typer makes of the same words."""
    seen: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)
    app.command()(function(COMMANDS[name][6], COMMANDS[name][4], seen))
    app(words, standalone_mode=False)
    arguments = seen.pop("arguments", None) or []
    return {key: value for key, value in seen.items() if value is not None and value != []}, list(arguments)


@pytest.mark.parametrize("name", ["run", "rm", "logs", "images"])
@settings(deadline=None)  # typer is an oracle, not a promise of speed
@given(data=st.data())
def test_parsers_agree_on_valid_lines(name: str, data: st.DataObject) -> None:
    words = data.draw(argv(name))
    if not COMMANDS[name][4]:
        words = [word for word in words if word != "--"]
    ours = parse(COMMANDS[name][6], words, stop_at_argument=False)
    assert ours == by_typer(name, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nothing"], "unknown flag: --nothing"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["--name"], "flag needs an argument: --name"),
        (["-itv"], "flag needs an argument: 'v' in -v"),
        (
            ["--rm=maybe"],
            'invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (["---x"], "bad flag syntax: ---x"),
    ],
)
def test_parse_refuses_in_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(COMMANDS["run"][6], words, stop_at_argument=True)
    assert str(caught.value) == message


def test_parse_stops_at_the_image() -> None:
    options, arguments = parse(COMMANDS["run"][6], ["-it", "--rm=false", "img", "--rm", "-x"], stop_at_argument=True)
    assert options == {"interactive": True, "tty": True, "rm": False}
    assert arguments == ["img", "--rm", "-x"]


def test_parse_help_is_asked_anywhere() -> None:
    with pytest.raises(HelpAsked):
        parse(COMMANDS["ps"][6], ["-a", "--help"], stop_at_argument=False)


def test_table_is_consistent() -> None:
    for name, command in COMMANDS.items():
        shorts = [option[1] for option in command[6] if option[1]]
        longs = [option[0] for option in command[6]]
        assert len(set(shorts)) == len(shorts), name
        assert len(set(longs)) == len(longs), name
        assert {option[2] for option in command[6]} <= {FLAG, TEXT, LIST}
        assert all(option[4] for option in command[6])
    assert set(ALIASES.values()) <= set(COMMANDS)
