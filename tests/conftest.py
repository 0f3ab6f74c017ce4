"""What every test may use: an isolated engine root, the command line as a user calls it, leftovers counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def need_tool(name: str) -> str:
    """The path of a program, or a skip that names it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"needs {name}")
    return path


class Cli:
    """`pyctr` with its own root and run root."""

    def __init__(self, root: Path) -> None:
        self.root = root / "root"
        self.run_root = root / "run"
        self.env = {**os.environ, "PYCTR_ROOT": str(self.root), "PYCTR_RUN_ROOT": str(self.run_root)}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pyctr", *args]

    def __call__(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*args),
            **({"env": self.env, "capture_output": True, "text": True, "timeout": 120, "check": False} | options),
        )
        if code is not None:
            assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A command line with a busybox image; every container is removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    cli = Cli(tmp_path_factory.mktemp("pyctr"))
    made = cli("image", "bootstrap", "busybox", code=None)
    if made.returncode != 0:
        pytest.skip(f"needs busybox-static: {made.stderr.strip()}")
    yield cli
    ids = cli("ps", "-aq").stdout.split()
    if ids:
        cli("rm", "-f", "-v", *ids)


def system_state() -> dict[str, set[str]]:
    """What a container could leave behind on the host."""
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = {line for line in file if "pyctr" in line}
    groups = set()
    for base, directories, _ in os.walk("/sys/fs/cgroup"):
        depth = base.count("/")
        groups.update(f"{base}/{name}" for name in directories if "/pyctr/" in f"{base}/{name}" and depth > 4)
        if depth > 6:
            directories.clear()
    processes = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                name = file.read().strip()
        except OSError:
            continue
        if name.startswith("pyctr"):
            processes.add(pid)
    return {"mounts": mounts, "cgroups": groups, "processes": processes, "links": set(os.listdir("/sys/class/net"))}


def wait_asleep(pid: int) -> None:
    """Until a process does not wake any more: who looks again and again, however seldom within a second, never gets there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        before = wake_ups(pid)
        time.sleep(0.7)
        if wake_ups(pid) == before:
            return
    raise AssertionError(f"process {pid} keeps waking up")


def wake_ups(pid: int) -> int:
    """How often a process went to sleep so far (proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return int(lines["voluntary_ctxt_switches"])
