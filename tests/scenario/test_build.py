"""The tutorial's Flask image (Debian in the place of Alpine) and its image made by hand: built, run, asked over the network."""

from __future__ import annotations

import contextlib
import os
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need_tool
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Cli

_DOCKERFILE = """FROM debian:bookworm
WORKDIR /code
ENV FLASK_APP app.py
ENV FLASK_RUN_HOST 0.0.0.0
COPY requirements.txt requirements.txt
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt python3 -m venv /venv \\
    && PIP_CERT=/etc/ssl/certs/ca-certificates.crt /venv/bin/pip install -q -r requirements.txt
COPY . .
CMD ["/venv/bin/flask", "run"]
"""
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@pytest.mark.slow
def test_flask_image_is_built_serves_and_is_changed_by_hand(cli: Cli, tmp_path: Path) -> None:
    need_tool("mmdebstrap")
    if not os.path.exists(_CERTIFICATES):
        pytest.skip("needs ca-certificates")
    cli("image", "bootstrap", "debian:bookworm", "--include", "python3-venv", timeout=600)
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text(
        "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef hello():\n    return 'Hello World!\\n'\n"
    )
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    words = ["build", "-q", "--secret", f"id=ca,src={_CERTIFICATES}", "-t", "flask", str(tmp_path)]
    first = cli(*words, timeout=600).stdout
    assert cli(*words).stdout == first
    cli("run", "-d", "--name", "web", "-p", "127.0.0.1::5000", "flask")
    address = cli("port", "web", "5000").stdout.strip()
    assert _asked(f"http://{address}/") == "Hello World!\n"
    cli("exec", "web", "sh", "-c", "echo by hand > /manual")
    cli("commit", "-m", "by hand", "web", "manual")
    cli("rm", "-f", "web")
    cli("run", "-d", "--name", "again", "-p", "127.0.0.1::5000", "manual")
    assert _asked(f"http://{cli('port', 'again', '5000').stdout.strip()}/") == "Hello World!\n"
    assert cli("exec", "again", "cat", "/manual").stdout == "by hand\n"


def _asked(url: str) -> str:
    def answer() -> str:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
            return str(response.read().decode())
        return ""

    return str(wait_until(answer, f"somebody answers at {url}"))
