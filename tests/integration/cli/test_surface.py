"""The command line beside the real client's: every command, flag, usage line, and what a wrong command line is told."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache

import pytest

from pyctr.cli.absent import find_absent
from pyctr.cli.help import usage
from pyctr.cli.main import main, own_name
from pyctr.cli.table import ALIASES, COMMANDS, FLAG, LIST, TEXT
from tests.conftest import need_tool

#: Commands that the client does not have: pyctr's own, and those of its plugins buildx and compose.
OURS = {
    "builder du",
    "completion",
    "compose",
    "image bootstrap",
    "serve",
    "system boot",
    "system check",
    "system install",
}
#: Flags of the client that no command here has: they are of cluster volumes.
ABSENT = {
    "volume create": {"availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing",
                      "topology-preferred", "topology-required", "type"},
    "volume ls": {"cluster"},
}  # fmt: skip

REAL = sorted(name for name in COMMANDS if name not in OURS)
REAL_ALIASES = sorted(name for name in ALIASES if not name.startswith("buildx "))


@pytest.fixture(scope="module", autouse=True)
def _client() -> None:
    need_tool("docker")


def docker(*words: str) -> tuple[int, str, str]:
    """What the client says, as if its name were ours, without what it says of its old builder, its slips mended."""
    done = subprocess.run(
        ["docker", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "DOCKER_HOST": "unix:///none"},
    )
    old = re.compile(r"DEPRECATED: The legacy.*?\n\n", re.DOTALL)
    said, out = (
        re.sub(
            r"^(Usage:  docker (?:builder prune|manifest create|network rm))(?! \[OPTIONS])",
            r"\1 [OPTIONS]",
            text,
            flags=re.MULTILINE,
        )
        .replace("\nSRun", "\nRun")
        .replace("docker", "pyctr")
        for text in (old.sub("", done.stderr), done.stdout)
    )
    return done.returncode, out, said


@cache
def help_of(name: str) -> str:
    return docker(*name.split(), "--help")[1]


def listed(text: str) -> list[str]:
    """The commands that a help text lists."""
    sections = re.findall(r"^(?:[A-Z]\w+ )?Commands:\n((?:  .*\n)+)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z]+)", "".join(sections), re.MULTILINE)


def test_every_command_is_here_or_refused_by_name() -> None:
    names = []
    for name in listed(help_of("")):
        below = listed(help_of(name))
        names += [f"{name} {each}" for each in below] if below else [name]
    assert len(names) > 150
    assert [
        name for name in names if name not in COMMANDS and name not in ALIASES and not find_absent(name.split())
    ] == []


@pytest.mark.parametrize("name", [*REAL, *REAL_ALIASES])
def test_usage_and_flags(name: str) -> None:
    text = help_of(name)
    shown = re.search(r"^Usage:.*\n(?:\t.*\n)*", text, re.MULTILINE)
    assert shown is not None
    theirs = shown[0].rstrip("\n")
    assert usage(own_name(name)) == theirs
    flags = dict(re.findall(r"^  (?:-\w, |    )--([\w-]+)(.*)", text, re.MULTILINE))
    shorts = set(re.findall(r"^  -(\w), --([\w-]+)", text, re.MULTILINE))
    options = {option[0]: option for option in COMMANDS[ALIASES.get(name, name)][6]}
    assert flags.keys() - {"help"} - options.keys() == ABSENT.get(ALIASES.get(name, name), set())
    assert shorts <= {(option[1], option[0]) for option in options.values() if option[1]}
    for flag, rest in flags.items():  # one that takes a value is followed by its kind, one space away
        if flag in options:
            assert (options[flag][2] == FLAG) == (not re.match(r" \S", rest)), flag


def mistakes(name: str) -> list[list[str]]:
    """Command lines that are wrong, for a command."""
    _, fewest, most, *_, options = COMMANDS[name]
    lines = [["--no-such-flag"], ["-Z"]]
    lines += [["a"] * (fewest - 1)] if fewest else []
    lines += [["a"] * (most + 1)] if most is not None else []
    text = help_of(name)
    for kind, rest in ((FLAG, "=perhaps"), (TEXT, ""), (LIST, "")):
        flags = [option[0] for option in options if option[2] == kind and f"--{option[0]} " in text]
        lines += [[f"--{flags[0]}{rest}"]] if flags else []
    return lines


@pytest.mark.parametrize("name", REAL)
def test_a_wrong_command_line_is_told_the_same(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for line in mistakes(name):
        code, out, said = docker(*name.split(), *line)
        assert (main([*name.split(), *line]), capsys.readouterr()) == (code, (out, said)), line


@pytest.mark.parametrize(
    "line",
    ["nothing", "container nothing", "container --nothing", "network", "--nothing", "--version=x", "rm --help=x", "run -itZ b",
     "stop -t x c", "stop --time 1 --timeout 2 c", "ps -n x", "ps -f x", "search --limit x y", "update -m x c", "run -m x b",
     "run --health-interval x b", "network connect --gw-priority x n c", "image prune --filter x", "help nothing", "image remove", "image list a b", "container ps x", "container list --nothing", "ps --=x", "ps ---"],
)  # fmt: skip
def test_a_mistake_is_told_the_same(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = docker(*line.split())
    assert main(line.split()) == code
    ours = capsys.readouterr().err
    if line == "network":  # both show help, ours in our words
        assert said.splitlines()[:3] == ours.splitlines()[:3]
    else:
        assert ours.removeprefix("pyctr: ") == said.removeprefix("pyctr: ")


@pytest.mark.parametrize(
    "line",
    ["swarm init", "stack deploy -c a b", "context ls", "buildx create", "volume update x"],
)
def test_what_is_not_here_is_refused_by_name(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"pyctr: 'pyctr {find_absent(line.split())}' is not supported: ")
    assert said.count("\n") == 1
