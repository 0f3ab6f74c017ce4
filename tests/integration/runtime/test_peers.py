"""podman and dockerd run containers by pyctr-runtime."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyctr
from tests.conftest import need_tool, needs_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
RUNTIME = str(Path(pyctr.__file__).parent / "_bin/pyctr-runtime")
#: What a machine that may not raise hard limits grants.
LIMITS = ["--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:1024"]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    busybox = need_tool("busybox")
    base = tmp_path_factory.mktemp("rootfs")
    (base / "bin").mkdir()
    (base / "bin/busybox").write_bytes(Path(busybox).read_bytes())
    (base / "bin/busybox").chmod(0o755)
    for applet in ("sh", "true", "cat", "sleep", "ps"):
        (base / "bin" / applet).symlink_to("busybox")
    subprocess.run(["tar", "-C", str(base), "-cf", str(base.parent / "rootfs.tar"), "."], check=True)
    return base.parent / "rootfs.tar"


class Peer:
    """A command line of another engine; ``run`` and ``exec`` are the same everywhere."""

    def __init__(self, command: list[str], run_options: list[str]) -> None:
        self.command = command
        self.run_options = run_options

    def __call__(self, *args: str, code: int | None = 0) -> str:
        done = subprocess.run([*self.command, *args], capture_output=True, text=True, timeout=60, check=False)
        if code is not None:
            assert done.returncode == code, f"{args}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    def run(self, *args: str, code: int = 0) -> str:
        return self("run", *self.run_options, "--network", "none", *args, code=code)


@pytest.fixture(scope="module")
def podman(rootfs: Path) -> Iterator[Peer]:
    base = tempfile.mkdtemp(prefix="pyctr.")  # podman wants a run root of at most 50 characters
    command = [need_tool("podman"), "--root", f"{base}/root", "--runroot", f"{base}/run", "--runtime", RUNTIME]
    peer = Peer(command, LIMITS)
    peer("import", str(rootfs), "bb")
    yield peer
    peer("rm", "-af", "-t", "0", code=None)
    subprocess.run(["umount", "-l", f"{base}/root/overlay"], check=False, capture_output=True)
    shutil.rmtree(base)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Iterator[Peer]:
    base = tmp_path_factory.mktemp("docker")
    socket = f"unix://{base}/sock"
    client = need_tool("docker")
    daemon = subprocess.Popen(
        [
            need_tool("dockerd"), "--data-root", f"{base}/data", "--exec-root", f"{base}/exec", "-H", socket,
            "--default-ulimit", "nofile=1024:4096", "--iptables=false", "--ip6tables=false", "--bridge=none",
            "--add-runtime", f"pyctr={RUNTIME}", "--pidfile", f"{base}/pid",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peer = Peer([client, "-H", socket], ["--runtime", "pyctr"])
    try:
        for _ in range(150):
            if subprocess.run([client, "-H", socket, "info"], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            pytest.skip("dockerd does not start here")
        peer("import", str(rootfs), "bb")
        yield peer
        for container in peer("ps", "-aq", code=None).split():
            peer("rm", "-f", container, code=None)
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture(params=["podman", "docker"])
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(request.param)
    return found


def test_peer_runs_a_container_and_gets_its_exit_code(peer: Peer) -> None:
    assert peer.run("--rm", "bb", "sh", "-c", "echo hi; exit 5", code=5) == "hi\n"


def test_peer_command_not_found_is_127(peer: Peer) -> None:
    peer.run("--rm", "bb", "nothing", code=127)


def test_peer_terminal_is_one(peer: Peer) -> None:
    assert peer.run("--rm", "-t", "bb", "busybox", "tty").strip() == "/dev/pts/0"


def test_peer_execs_pauses_and_removes(peer: Peer) -> None:
    peer.run("-d", "--name", "one", "bb", "sleep", "100")
    assert "sleep 100" in peer("exec", "one", "ps")
    assert peer("exec", "one", "sh", "-c", "exit 3", code=3) == ""
    peer("pause", "one")
    peer("unpause", "one")
    peer("rm", "-f", "one")
