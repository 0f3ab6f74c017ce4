"""Help and refusals of command lines, in Docker's form."""

from __future__ import annotations

import pytest

from pyctr.cli.examples import EXAMPLES
from pyctr.cli.help import hint_for, nearest, render_all, render_command, render_group, usage
from pyctr.cli.main import main
from pyctr.cli.table import ALIASES, COMMANDS, GROUPS


def test_every_command_has_examples_that_name_it() -> None:
    for name in COMMANDS:
        if name == "compose":  # draws its own
            continue
        assert any(f"pyctr {name}" in line for line in EXAMPLES[name]), name


@pytest.mark.parametrize("name", sorted((*COMMANDS, *ALIASES)))
def test_help_shows_every_option_once(name: str) -> None:
    text = render_command(name)
    assert text.startswith(usage(name))
    assert max(map(len, text.splitlines())) <= 110
    for option in COMMANDS[ALIASES.get(name, name)][6]:
        assert sum(f"{line} "[6:].startswith(f"--{option[0]} ") for line in text.splitlines()) == 1


def test_help_of_groups_and_of_all() -> None:
    everything = render_all()
    assert all(f"\n  {name.partition(' ')[0]} " in everything for name in COMMANDS)
    for group in GROUPS:
        assert f"Usage:  pyctr {group} COMMAND" in render_group(group)
    assert "  ls " in render_group("image")


@pytest.mark.parametrize(
    ("argv", "code", "lines"),
    [
        (["run", "--nme", "x"], 125, ["unknown flag: --nme", "Did you mean --name?", "", "Usage:  pyctr run [OPTIONS] IMAGE [COMMAND] [ARG...]"]),
        (["ps", "x"], 1, ["pyctr: 'pyctr ps' accepts no arguments", "", "Usage:  pyctr ps [OPTIONS]"]),
        (["rename", "a"], 1, ["pyctr: 'pyctr rename' requires 2 arguments"]),
        (["pull"], 1, ["pyctr: 'pyctr pull' requires 1 argument", "", "Usage:  pyctr pull [OPTIONS] NAME[:TAG|@DIGEST]", "", "Run 'pyctr pull --help' for more information"]),
        (["image", "remove"], 1, ["pyctr: 'pyctr image rm' requires at least 1 argument", "", "Usage:  pyctr image rm [OPTIONS] IMAGE [IMAGE...]", "", "See 'pyctr image rm --help' for more information"]),
        (["container", "list", "x"], 1, ["pyctr: 'pyctr container ls' accepts no arguments"]),
        (["image", "list", "x", "y"], 1, ["pyctr: 'pyctr image ls' requires at most 1 argument"]),
        (["rm"], 1, ["pyctr: 'pyctr rm' requires at least 1 argument"]),
        (["commit", "a", "b", "c"], 1, ["pyctr: 'pyctr commit' requires at least 1 and at most 2 arguments"]),
        (["rn"], 1, ["pyctr: unknown command: pyctr rn", "Did you mean 'pyctr run'?"]),
        (["image", "inspec"], 1, ["pyctr: unknown command: pyctr image inspec", "Did you mean 'pyctr image inspect'?"]),
        (["--foo", "ps"], 125, ["unknown flag: --foo", "", "Usage:  pyctr [OPTIONS] COMMAND [ARG...]"]),
        (["help", "fooo"], 1, ["unknown help topic: fooo"]),
        (["ps", "-Z"], 125, ["unknown shorthand flag: 'Z' in -Z"]),
    ],
)  # fmt: skip
def test_refusals(argv: list[str], code: int, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[: len(lines)] == lines
    assert "Traceback" not in said.err


def test_nearest() -> None:
    assert nearest("imgaes", ["images", "image", "info"]) == "images"
    assert nearest("ren", ["rename", "restart"]) == "rename"
    assert nearest("zzz", ["rename"]) is None


def test_hint_names_what_is_there(tmp_path: object) -> None:
    root = f"{tmp_path}"
    import os

    os.makedirs(f"{root}/names")
    with open(f"{root}/names/webserver", "w") as file:
        file.write("1" * 64)
    assert hint_for(root, root, "No such container: websrver") == "Did you mean webserver?"
    assert hint_for(root, root, "No such container: q") is None
    assert hint_for(root, root, "something else") is None
