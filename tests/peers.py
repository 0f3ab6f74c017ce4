"""Other engines, started and ended so that nothing of theirs stays: the oracles our behaviour is compared with."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from tests import transcript
from tests.conftest import need_tool
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a machine that may not raise hard limits grants.
PODMAN_LIMITS = ["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:1024"]
_NO_NETWORK = ["--bridge=none", "--iptables=false", "--ip6tables=false"]


class Peer:
    """A command line of another engine; its directories lie below ``directory``."""

    def __init__(self, command: list[str], directory: str, environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.directory = directory
        self.environment = environment

    def run(self, *args: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run a command whatever its end; options are `subprocess.run`'s."""
        how: dict[str, object] = {"capture_output": True, "timeout": 600, "check": False, "env": self.environment}
        done: subprocess.CompletedProcess[bytes]
        done = subprocess.run([*self.command, *args], **(how | options))  # type: ignore[call-overload]
        transcript.note_done([os.path.basename(self.command[0]), *args], done)
        return done

    def __call__(self, *args: str, code: int | None = 0, **options: object) -> str:
        """Run a command that must end with ``code``; its output."""
        done = self.run(*args, **options)
        if code is not None:
            said = f"{done.stdout.decode()} {done.stderr.decode()}"
            assert done.returncode == code, f"{args}: {done.returncode} {said}"
        return done.stdout.decode()


@contextlib.contextmanager
def running_dockerd(*options: str, network: bool = False, within: tuple[str, ...] = ()) -> Iterator[Peer]:
    """dockerd with directories of its own and ``options``; without ``network`` it makes no bridge and no rules.
    ``within`` is a command that starts it somewhere else (nsenter).

    Its directory is directly below /tmp: containerd's socket lies in it, and a socket's path has 108 bytes at most.
    """
    daemon, client = need_tool("dockerd"), need_tool("docker")
    base = tempfile.mkdtemp(prefix="pyctr.")
    address = f"unix://{base}/sock"
    command = [
        *within,
        daemon,
        "--data-root",
        f"{base}/data",
        "--exec-root",
        f"{base}/exec",
        "--pidfile",
        f"{base}/pid",
    ]
    command += ["-H", address, "--default-ulimit", "nofile=1024:4096", *([] if network else _NO_NETWORK), *options]
    with open(f"{base}/log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    peer = Peer([client, "-H", address], base, {**os.environ, "DOCKER_HOST": address, "HOME": base})
    try:
        deadline = time.monotonic() + PATIENCE_S
        while peer.run("version").returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                with open(f"{base}/log") as log_text:
                    pytest.skip("dockerd does not start here: " + log_text.read()[-300:])
            time.sleep(0.1)
        yield peer
        left = peer("ps", "-aq", code=None).split()
        if left:
            peer("rm", "-f", *left, code=None)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:  # it is no test of theirs
            process.kill()
            process.wait()
        remove_mounted(base)


@contextlib.contextmanager
def podman_with(*options: str) -> Iterator[Peer]:
    """Podman with directories of its own and global ``options``."""
    # Podman wants a run root of at most 50 characters.
    base = tempfile.mkdtemp(prefix="pyctr.")
    peer = Peer([need_tool("podman"), "--root", f"{base}/root", "--runroot", f"{base}/run", *options], base)
    try:
        yield peer
        peer("rm", "-af", "-t", "0", code=None)
    finally:
        remove_mounted(base)


def remove_mounted(directory: str) -> None:
    """Remove a directory after unmounting what an engine left mounted below it.

    Conmon tidies up in a process of its own that outlives `podman rm`: it may write while we remove.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with open("/proc/self/mountinfo") as mounts:
            left = [line.split(" ")[4] for line in mounts if f" {directory}/" in line]
        for path in reversed(left):
            subprocess.run(["umount", "-l", path], check=False)
        try:
            return shutil.rmtree(directory)
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
