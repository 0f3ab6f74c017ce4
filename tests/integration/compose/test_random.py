"""Files made at random, from seeds that stay: pairs of the good files merged, strings and words of any kind."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pyctr.compose import load
from pyctr.compose.render import to_json, to_yaml
from pyctr.errors import PyctrError
from tests.integration.compose.oracle import HERE, VARIABLES, docker_compose

if TYPE_CHECKING:
    from pathlib import Path

_LETTERS = [*"ab01yn-+.:,#'\"\\ \n\t[]{}&*!|>%@`=?~_eEx/<é中", "\x7f", "\U0001f600", "\r"]
_PLAIN = " .,:#-[]{}&*!|>%@`=?~_+/<'"


@pytest.mark.parametrize("seed", range(40))
def test_merges_of_good_files_are_docker_composes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    names = sorted(path.name for path in (HERE / "good").iterdir() if path.suffix == ".yaml")
    files = chance.sample(names, chance.choice([2, 2, 3]))
    monkeypatch.chdir(HERE / "good")
    monkeypatch.setenv("HOME", VARIABLES["HOME"])
    expected = docker_compose(
        *(word for name in files for word in ("-f", name)), "config", "--format", "json", cwd=HERE / "good"
    )
    if expected.returncode:
        with pytest.raises(PyctrError):
            load(files, environment=VARIABLES)
    else:
        assert to_json(load(files, environment=VARIABLES).model).replace("$", "$$") == expected.stdout


def escaped(text: str) -> str:
    letters = (letter if letter.isalnum() or letter in _PLAIN else f"\\U{ord(letter):08X}" for letter in text)
    return '"' + "".join(letters) + '"'


def quoted_labels(chance: random.Random) -> str:
    values = ("".join(chance.choices(_LETTERS, k=chance.randint(0, 7))) for _ in range(150))
    lines = [f"      k{number}: {escaped(value)}" for number, value in enumerate(values)]
    keys = ("".join(chance.choices("abAB019-_.z", k=chance.randint(1, 5))) for _ in range(60))
    return "\n".join([*lines, *(f'      "{key}{number}": x' for number, key in enumerate(keys))])


def plain_labels(chance: random.Random) -> str:
    values = ("".join(chance.choices("0123456789abxoXOeE+-._:yn~", k=chance.randint(1, 6))) for _ in range(200))
    words = (value for value in values if value not in ("-", "---") and not value.endswith(":") and value[0] != ":")
    return "\n".join(f"      k{number}: {value}" for number, value in enumerate(words))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [quoted_labels, plain_labels])
def test_scalars_are_read_and_printed_as_docker_compose_does(make: object, seed: int, tmp_path: Path) -> None:
    assert callable(make)
    file = tmp_path / "c.yaml"
    file.write_text(f"services:\n  a:\n    image: x\n    labels:\n{make(random.Random(seed))}\n")
    model = load([str(file)], environment=VARIABLES).model
    for form, render in (("yaml", to_yaml), ("json", to_json)):
        expected = docker_compose("-f", "c.yaml", "config", "--format", form, cwd=tmp_path)
        assert expected.returncode == 0, expected.stderr
        assert render(model) == expected.stdout
