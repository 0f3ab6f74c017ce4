"""The completion scripts in real shells."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shell_env(tmp_path: Path) -> dict[str, str]:
    """`pyctr` on the path, and a state directory with a container's name."""
    (tmp_path / "names").mkdir()
    (tmp_path / "names/webserver").write_text("1" * 64)
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs/docker%2Eio%2Flibrary%2Fbusybox%3Av1").write_text("")
    program = tmp_path / "bin/pyctr"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pyctr "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PYCTR_ROOT": str(tmp_path), "PYCTR_RUN_ROOT": str(tmp_path / "run"), "HOME": str(tmp_path),
            "PATH": f"{program.parent}:{os.environ['PATH']}"}  # fmt: skip


def script(shell: str) -> str:
    from pyctr.cli.commands.completion import SCRIPTS

    return SCRIPTS[shell]


@pytest.mark.parametrize(
    ("line", "expected"),
    [("pyctr rm w", ["webserver"]), ("pyctr netw", ["network"]), ("pyctr rmi busybox:", ["v1"]), ("pyctr run --restart=al", ["always"]),
     ("pyctr load -i bi", ["bin"])],
)  # fmt: skip
def test_bash_completes(shell_env: dict[str, str], line: str, expected: list[str]) -> None:
    program = (
        f"{script('bash')}\ncompopt() {{ :; }}\ncd $HOME\nCOMP_LINE='{line}' COMP_POINT={len(line)}\n_pyctr\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        [need_tool("bash"), "-c", program], env=shell_env, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout.split(), done.stderr) == (expected, "")


def test_fish_completes(shell_env: dict[str, str]) -> None:
    fish = need_tool("fish")
    program = f"{script('fish')}\ncomplete -C 'pyctr rm w'\ncomplete -C 'pyctr run --restart al'"
    done = subprocess.run([fish, "-c", program], env=shell_env, capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("webserver\tcontainer\nalways\n", "")


def test_zsh_completes(shell_env: dict[str, str], tmp_path: Path) -> None:
    zsh = need_tool("zsh")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/_pyctr").write_text(script("zsh"))
    # What `_describe` is given is what the user sees.
    program = (
        "fpath=($HOME/functions $fpath)\nautoload -Uz _pyctr\n"
        "_describe() { print -rl -- ${(P)4} }\n_files() { print files }\n"
        "words=(pyctr rm w) CURRENT=3\n_pyctr\nwords=(pyctr rmi busybox:) CURRENT=3\n_pyctr\n"
        "words=(pyctr load -i '') CURRENT=4\n_pyctr\n"
    )
    done = subprocess.run([zsh, "-f", "-c", program], env=shell_env, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["webserver:container", "busybox\\:v1:image", "files"], done.stderr
