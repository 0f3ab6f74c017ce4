"""`_core.pyi` says what the built module is."""

import subprocess
import sys

import pytest


def test_stub_matches_the_built_module() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy.stubtest", "pyctr._core", "--ignore-missing-stub", "--concise"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
