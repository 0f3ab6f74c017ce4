"""The table's parser and typer's, made of the same table, agree."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from pyctr.cli import help as cli_help
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


def by_typer(name: str, words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What typer makes of the same words."""
    seen: dict[str, Any] = {}
    app = typer.Typer(add_completion=False)
    app.command()(
        cli_help._function("probe", COMMANDS[name][6], COMMANDS[name][4], lambda **values: seen.update(values))
    )
    app(words, standalone_mode=False)
    arguments = seen.pop("arguments", None) or []
    return {key: value for key, value in seen.items() if value is not None and value != []}, list(arguments)


@pytest.mark.parametrize("name", ["run", "rm", "logs", "images"])
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
        (["-itv"], "flag needs an argument: 'v' in -itv"),
        (["--rm=maybe"], 'invalid argument "maybe" for "--rm" flag: invalid syntax'),
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
