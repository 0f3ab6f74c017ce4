"""`pyctr compose` on a project directory, with real containers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Cli

SLEEP = 'command: ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]'


class Compose:
    """One project; its file may be written again."""

    def __init__(self, cli: Cli, directory: Path) -> None:
        self.cli = cli
        self.directory = directory
        self.name = "t" + directory.name.replace("_", "")[-20:].lower()

    def write(self, text: str) -> None:
        """Write the compose file; SLEEP in it is a command that sleeps and ends at once when asked."""
        body = text.replace("SLEEP", SLEEP)
        (self.directory / "compose.yaml").write_text(f"name: {self.name}\n{body}")

    def __call__(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cli("compose", *args, code=code, cwd=self.directory, **options)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            self.cli.command("compose", *args),
            env=self.cli.env,
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inside(self, service: str, script: str) -> str:
        """What a shell in a service's container says."""
        return self("exec", "-T", service, "sh", "-c", script).stdout

    def events(self, *args: str, code: int | None = 0) -> list[str]:
        """The lines of a command's progress, sorted as they came."""
        return [line.strip().replace(f"{self.name}-", "") for line in self(*args, code=code).stderr.splitlines()]

    def container(self, number: int | str = 1, service: str = "web") -> str:
        """A container's name."""
        return f"{self.name}-{service}-{number}"


@pytest.fixture
def compose(cli: Cli, tmp_path: Path) -> Iterator[Callable[[str], Compose]]:
    """Makes a project of a compose file's text; it is taken down afterwards, and nothing is left of it."""
    made: list[Compose] = []

    def make(text: str) -> Compose:
        project = Compose(cli, tmp_path)
        project.write(text)
        made.append(project)
        return project

    yield make
    for project in made:
        project("down", "-v", "-t", "0", "--remove-orphans", code=None)
        left = cli("ps", "-aq", "--filter", f"label=com.docker.compose.project={project.name}").stdout
        assert left == "", "containers stayed"
        assert project.name not in cli("network", "ls").stdout, "a network stayed"
        assert not (cli.root / "compose" / project.name).exists(), "files stayed"
