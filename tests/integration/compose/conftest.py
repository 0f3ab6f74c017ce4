"""`pyctr compose` on a project directory, with real containers."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Cli

SLEEP = 'command: ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"]'


class Running:
    """A command that goes on. What it says is read all the time; whoever waits for something does not wait for ever."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = {"out": "", "err": ""}
        self.change = threading.Condition()
        self.readers = [
            threading.Thread(target=self._read, args=entry, daemon=True)
            for entry in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self.readers:
            reader.start()

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                with self.change:
                    self.said[name] += data.decode()
                    self.change.notify_all()

    def until(self, text: str, where: str = "out", timeout_s: float = PATIENCE_S) -> str:
        """Everything said so far, once ``text`` is in it."""
        with self.change:
            assert self.change.wait_for(lambda: text in self.said[where], timeout_s), (text, self.said)
            return self.said[where]

    def signal(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C."""
        self.process.send_signal(number)

    def end(self, timeout_s: float = PATIENCE_S) -> tuple[int, str, str]:
        """Exit code and what it said, once it has ended by itself."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for reader in self.readers:
            reader.join(timeout_s)
        return code, self.said["out"], self.said["err"]


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

    def change(self, name: str, content: str) -> None:
        """A file of the project, there at once with all its content: whoever watches sees no half of it."""
        draft = self.directory / ".draft"
        draft.write_text(content)
        draft.rename(self.directory / name)

    def __call__(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cli("compose", *args, code=code, cwd=self.directory, **options)

    def start(self, *args: str) -> Running:
        """A command that goes on."""
        return Running(self.cli.command("compose", *args), self.cli.env, self.directory)

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
