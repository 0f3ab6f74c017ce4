"""Repositories served by git's own daemon."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

from tests.conftest import started_at_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def served_by_git(git: str, base: Path, name: str) -> Iterator[str]:
    """The URL of the repository called `name` in `base`, as long as it is served."""

    def start(port: int) -> subprocess.Popen[bytes]:
        listen = (f"--port={port}", "--listen=127.0.0.1", "--reuseaddr")
        command = [git, "daemon", "--export-all", *listen, f"--base-path={base}"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def answers(port: int) -> bool:
        ask = [git, "ls-remote", f"git://127.0.0.1:{port}/{name}"]
        return subprocess.run(ask, capture_output=True, check=False).returncode == 0

    port, daemon = started_at_free_port(start, answers)
    try:
        yield f"git://127.0.0.1:{port}/{name}"
    finally:
        daemon.terminate()
        daemon.wait()
