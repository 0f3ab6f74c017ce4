"""Command lines with too few or too many arguments, beside Docker's client, which needs no daemon to refuse them."""

from __future__ import annotations

import os
import subprocess

import pytest

from pyctr.cli.main import main
from tests.conftest import need_tool

WRONG = """
rmi | image rm | image remove | rmi --force=x a | load x | image load x | images a b | image ls a b | image list a b
tag | tag a | tag a b c | image tag a | history | history a b | image history | commit | commit a b c | container commit
diff | diff a b | container diff | export | export a b | container export | import | image import | save | image save
pull | pull a b | image pull | pull --platform | pull -Z | push | push a b | login a b | logout a b | search | search a b
manifest inspect | manifest inspect a b c | manifest create | manifest create a | manifest annotate | manifest annotate a
manifest push | manifest push a b | manifest rm | image inspect | inspect | image prune a | image foo | system df a
"""


def of_docker(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        [need_tool("docker"), *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
    )  # fmt: skip
    # One of its messages has a slip of the pen.
    return done.returncode, done.stderr.replace("docker", "pyctr").replace("\nSRun ", "\nRun ")


@pytest.mark.parametrize(
    "words", [words.strip() for line in WRONG.split("\n") for words in line.split("|") if words.strip()]
)
def test_wrong_number_of_arguments_is_refused_as_docker_does(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(words.split())
    # `manifest create` has options that Docker's usage line does not mention.
    said = capsys.readouterr().err.replace("create [OPTIONS]", "create")
    assert (code, said) == of_docker(words.split())
