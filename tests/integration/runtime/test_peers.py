"""podman and dockerd run containers by pyctr-runtime."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyctr
from tests.conftest import need_tool, needs_root
from tests.peers import PODMAN_LIMITS, Peer, podman_with, running_dockerd
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
RUNTIME = str(Path(pyctr.__file__).parent / "_bin/pyctr-runtime")


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


class RunningPeer:
    """A peer that runs its containers with our runtime; ``run`` and ``exec`` are the same everywhere."""

    def __init__(self, peer: Peer, run_options: list[str]) -> None:
        self.peer = peer
        self.run_options = run_options

    def __call__(self, *args: str, code: int | None = 0) -> str:
        return self.peer(*args, code=code)

    def run(self, *args: str, code: int = 0) -> str:
        return self.peer("run", *self.run_options, "--network", "none", *args, code=code)


@pytest.fixture(scope="module")
def podman(rootfs: Path) -> Iterator[RunningPeer]:
    with podman_with("--runtime", RUNTIME) as peer:
        peer("import", str(rootfs), "bb")
        yield RunningPeer(peer, PODMAN_LIMITS)


@pytest.fixture(scope="module")
def docker(rootfs: Path) -> Iterator[RunningPeer]:
    with running_dockerd("--add-runtime", f"pyctr={RUNTIME}") as peer:
        peer("import", str(rootfs), "bb")
        yield RunningPeer(peer, ["--runtime", "pyctr"])


@pytest.fixture(params=["podman", "docker"])
def peer(request: pytest.FixtureRequest) -> RunningPeer:
    found: RunningPeer = request.getfixturevalue(request.param)
    return found


def test_peer_runs_a_container_and_gets_its_exit_code(peer: RunningPeer) -> None:
    assert peer.run("--rm", "bb", "sh", "-c", "echo hi; exit 5", code=5) == "hi\n"


def test_peer_command_not_found_is_127(peer: RunningPeer) -> None:
    peer.run("--rm", "bb", "nothing", code=127)


def test_peer_terminal_is_one(peer: RunningPeer) -> None:
    assert peer.run("--rm", "-t", "bb", "busybox", "tty").strip() == "/dev/pts/0"


def test_peer_execs_pauses_and_removes(peer: RunningPeer) -> None:
    peer.run("-d", "--name", "one", "bb", "sleep", "1000")
    wait_until(lambda: "sleep 1000" in peer("exec", "one", "ps"), "its command is executed")
    assert peer("exec", "one", "sh", "-c", "exit 3", code=3) == ""
    peer("pause", "one")
    peer("unpause", "one")
    peer("rm", "-f", "one")
