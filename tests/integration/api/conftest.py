"""A server over the engine of the `cli` fixture, and the real docker client talking to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import transcript
from tests.conftest import need_tool
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Cli


class Api:
    """`pyctr serve`, and `docker -H` of it."""

    def __init__(self, cli: Cli, directory: Path) -> None:
        self.cli = cli
        self.path = str(directory / "api.sock")  # a short path: pytest's are too long for a socket's
        self.url = f"unix://{self.path}"
        self.log = directory / "log"
        self.env = {**os.environ, "DOCKER_HOST": self.url, "DOCKER_CONFIG": str(directory / "config")}
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.cli.command("serve", "-H", self.url), env=self.cli.env, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.path)
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def docker(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", *args], env=self.env, capture_output=True, text=True, timeout=180, check=False, **options
        )
        said = transcript.note_done(("docker", *args), done)
        assert code in (None, done.returncode), f"{said}  expected {code}; the server: {self.log.read_text()}"
        return done


@pytest.fixture(scope="module")
def api(cli: Cli) -> Iterator[Api]:
    need_tool("docker")
    directory = Path(tempfile.mkdtemp(prefix="pyctr-api."))
    api = Api(cli, directory)
    yield api
    api.stop()
    assert "Traceback" not in api.log.read_text(), api.log.read_text()
    assert not os.path.exists(api.path)
    shutil.rmtree(directory)
