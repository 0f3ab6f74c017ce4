"""The real docker-compose against `pyctr serve`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.api.conftest import Api

PROJECT = """
services:
  web:
    image: busybox
    command: httpd -f -p 80
    depends_on: {db: {condition: service_healthy}}
    networks: [back]
    environment: {A: b}
  db:
    image: busybox
    command: ["sh", "-c", "echo from the database > /data/index.html; exec httpd -f -p 80 -h /data"]
    networks: {back: {aliases: [database], ipv4_address: 10.221.3.9}}
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "wget", "-qO", "/dev/null", "http://127.0.0.1/"], interval: 1s, retries: 60}
networks: {back: {ipam: {config: [{subnet: 10.221.3.0/24}]}}}
volumes: {data: {}}
"""


def test_project_up_exec_logs_run_down(api: Api, tmp_path: Path) -> None:
    module = pytest.importorskip("compose")
    program = Path(module.__file__).parent / "docker-compose"  # its script forgets exit codes
    directory = tmp_path / "apiproject"
    directory.mkdir()
    (directory / "compose.yaml").write_text(PROJECT)

    def compose(*args: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(program), *args],
            cwd=directory,
            env={**os.environ, **api.env},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == code, f"{args}\n{done.stdout}\n{done.stderr}\n{api.log.read_text()}"
        return done.stdout

    compose("up", "-d")
    try:
        assert "(healthy)" in compose("ps", "db")
        assert compose("exec", "-T", "web", "sh", "-c", "echo $A; exit 4", code=4) == "b\n"
        assert compose("run", "--rm", "-T", "web", "wget", "-qO-", "http://10.221.3.9/") == "from the database\n"
        assert "httpd" in compose("top", "web")
        compose("stop", "-t", "0")
        compose("start")
        assert compose("ps", "-q").count("\n") == 2
    finally:
        compose("down", "-v", "-t", "0")
    assert api.docker("ps", "-aq").stdout == ""
    assert api.docker("volume", "ls", "-q").stdout == ""
