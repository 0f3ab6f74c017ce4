"""What completion offers at the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyctr.cli.complete import complete, main
from pyctr.cli.table import ALIASES, COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two containers, one of them running; images, a volume, a network."""
    for name in ("names", "refs", "volumes/data", "networks"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "names/web").write_text("1" * 64)
    (tmp_path / "names/old").write_text("2" * 64)
    (tmp_path / "run" / ("1" * 64)).mkdir(parents=True)
    (tmp_path / "refs/docker%2Eio%2Flibrary%2Fbusybox%3Alatest").write_text("")
    (tmp_path / "refs/example%2Ecom%3A5000%2Fa%2Fb%3Av1").write_text("")
    (tmp_path / "networks/back.json").write_text("{}")
    monkeypatch.setenv("PYCTR_ROOT", str(tmp_path))
    monkeypatch.setenv("PYCTR_RUN_ROOT", str(tmp_path / "run"))
    return tmp_path


def words(line: str) -> tuple[list[str], str]:
    """Candidates that fit the last word, and the directive."""
    *before, current = line.split(" ")
    found, directive = complete(before, current)
    return [word for word, _ in found if word.startswith(current)], directive


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pus", ["push"]),
        ("network dis", ["disconnect"]),
        ("rm ", ["old", "web"]),
        ("rm web ", ["old"]),
        ("container rm o", ["old"]),
        ("stop ", ["web"]),
        ("exec -it ", ["web"]),
        ("exec -it -u root w", ["web"]),
        ("rmi ", ["busybox:latest", "example.com:5000/a/b:v1"]),
        ("run -it --rm b", ["busybox:latest"]),
        ("run --network ", ["back", "bridge", "host", "none"]),
        ("run --network=ba", ["--network=back"]),
        ("run -e A=b --rest", ["--restart"]),
        ("run --restart un", ["unless-stopped"]),
        ("run -p8080:80 --volumes-from w", ["web"]),
        ("run busybox:latest ", []),
        ("run busybox:latest --r", []),
        ("network connect back ", ["old", "web"]),
        ("volume rm ", ["data"]),
        ("inspect ", ["old", "web", "busybox:latest", "example.com:5000/a/b:v1", "data"]),
        ("ps --filter stat", ["status="]),
        ("completion f", ["fish"]),
        ("--ro", ["--root"]),
        ("nothing ", []),
    ],
)
def test_candidates(root: Path, line: str, expected: list[str]) -> None:
    assert words(line)[0] == expected


@pytest.mark.parametrize(
    ("line", "directive"),
    [("run --env-file ", ":files"), ("run -v ", ":files"), ("load -i ", ":files"), ("cp ", ":files"),
     ("cp web:/e", ":"), ("ps --filter ", ":nospace"), ("rm ", ":")],
)  # fmt: skip
def test_directives(root: Path, line: str, directive: str) -> None:
    assert words(line)[1] == directive


def test_root_given_on_the_line_is_looked_in(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other/names").mkdir(parents=True)
    (tmp_path / "other/names/there").write_text("3" * 64)
    assert words(f"--root {tmp_path}/other rm ")[0] == ["there"]


def test_answer_has_a_line_each_and_the_directive_last(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", ""]) == 0
    assert capsys.readouterr().out == "old\tcontainer\nweb\tcontainer\n:\n"


def test_every_command_and_option_can_be_completed(root: Path) -> None:
    for name in (*COMMANDS, *ALIASES):
        before = name.split()
        for option in COMMANDS[ALIASES.get(name, name)][6]:
            assert (f"--{option[0]}", option[4]) in complete(before, "--")[0] or name == "compose"
            complete([*before, f"--{option[0]}"], "")
        complete(before, "")
