"""Commands killed at any moment, and commands side by side: the store stays consistent, and says so itself."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pyctr.engine import Engine
from pyctr.errors import NotFound, PyctrError
from tests.conftest import Cli, needs_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_root
TURNS = 12


@pytest.fixture(scope="module")
def archive(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of some megabytes on top of busybox, which is `big:1` too."""
    path = tmp_path_factory.mktemp("killed")
    cli("create", "--name", "killed", "busybox")
    upper = cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "killed").stdout.strip()
    generator = random.Random(1)
    for number in range(60):
        with open(f"{upper}/file{number}", "wb") as file:
            file.write(generator.randbytes(50_000))
    cli("commit", "killed", "big:1")
    cli("save", "-o", str(path / "big.tar"), "big:1")
    return path / "big.tar"


def killed_after(cli: Cli, seconds: float, *args: str) -> None:
    process = subprocess.Popen(cli.command(*args), env=cli.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def check_clean(cli: Cli) -> None:
    cli("system", "check", "--mend")
    assert cli("system", "check").stdout == ""
    hidden = [name for name in os.listdir(cli.root / "layers") if name.startswith(".")]
    hidden += [name for name in os.listdir(cli.root / "refs") if name.startswith(".")]
    assert hidden == []


@pytest.mark.parametrize("command", ["load", "commit", "rmi", "import"])
def test_killed_at_any_moment_leaves_nothing_broken(cli: Cli, archive: Path, command: str, tmp_path: Path) -> None:
    generator = random.Random(command)
    if command == "import":
        subprocess.run(["tar", "-C", cli.root / "layers", "-cf", tmp_path / "tree.tar", "."], check=True)
    for _ in range(TURNS):
        if command == "rmi":
            cli("load", "-i", str(archive))
        arguments = {
            "load": ["-i", str(archive)],
            "commit": ["killed", "big:1"],
            "rmi": ["-f", "big:1"],
            "import": [str(tmp_path / "tree.tar"), "big:1"],
        }[command]
        killed_after(cli, generator.uniform(0.0, 0.35), command, *arguments)
        for image in cli("images", "-q", "--no-trunc").stdout.split():
            cli("image", "inspect", image)  # what is listed is whole
        check_clean(cli)
        if command != "rmi":
            cli("rmi", "-f", "big:1", code=None)
    cli("load", "-i", str(archive))
    assert cli("run", "--rm", "big:1", "ls", "/file59").stdout == "/file59\n"
    cli("image", "prune", "-f")
    check_clean(cli)


def test_killed_commit_leaves_its_container_paused_no_longer_than_the_next(cli: Cli) -> None:
    cli("run", "-d", "--name", "pausing", "busybox", "sleep", "1000")
    for seconds in (0.08, 0.12, 0.16, 0.2):
        killed_after(cli, seconds, "commit", "pausing", "paused:1")
    cli("commit", "pausing", "paused:1")
    assert cli("inspect", "-f", "{{.State.Status}}", "pausing").stdout == "running\n"
    cli("rm", "-f", "pausing")
    cli("rmi", "paused:1")
    cli("image", "prune", "-f")


def test_create_beside_rmi_and_load_never_loses_its_layers(cli: Cli, archive: Path) -> None:
    """Whatever container there is, its layers are there; whatever could not be made says that there is no such image."""
    engine = Engine(str(cli.root), str(cli.run_root))
    stop = threading.Event()
    wrong: list[str] = []

    def remove_and_load() -> None:
        while not stop.is_set():
            cli("rmi", "-f", "big:1", code=None)
            cli("load", "-i", str(archive))

    def create() -> None:
        while not stop.is_set():
            try:
                created = engine.containers.create("big:1", ["true"], {"pull": "never"})
            except NotFound:
                continue
            except PyctrError as error:
                wrong.append(f"{type(error).__name__}: {error}")
                continue
            record = engine.containers.store.record(created.id)
            wrong.extend(
                f"{created.id[:12]} lost {layer}"
                for layer in record["Pyctr"]["layers"]
                if not os.path.isdir(cli.root / "layers" / layer)
            )
            engine.containers.remove(created.id)

    threads = [threading.Thread(target=target) for target in (remove_and_load, create, create)]
    for thread in threads:
        thread.start()
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    check_clean(cli)


def test_two_loads_at_once_agree(cli: Cli, archive: Path) -> None:
    cli("rmi", "-f", "big:1", code=None)
    processes = [
        subprocess.Popen(cli.command("load", "-i", str(archive)), env=cli.env, stdout=subprocess.PIPE) for _ in range(3)
    ]
    assert {process.communicate()[0] for process in processes} == {b"Loaded image: big:1\n"}
    check_clean(cli)


def test_check_finds_and_mends_what_is_damaged(cli: Cli, archive: Path) -> None:
    cli("load", "-i", str(archive))
    top = cli("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "big:1").stdout.strip()
    subprocess.run(["rm", "-r", top, top + ".json"], check=True)
    assert "is not extracted" in cli("system", "check", code=1).stdout
    assert "(mended)" in cli("system", "check", "--mend").stdout
    assert cli("run", "--rm", "big:1", "ls", "/file59").stdout == "/file59\n"
    config = cli("image", "inspect", "-f", "{{.Id}}", "big:1").stdout.strip()[7:]
    with open(cli.root / "blobs/sha256" / config, "ab") as file:
        file.write(b" ")
    found = cli("system", "check", code=1).stdout
    assert f"blob sha256:{config}: its content does not have this digest\n" in found
    assert "image big:1" in cli("system", "check", "--mend").stdout
    assert "big" not in cli("images").stdout
    assert cli("load", "-i", str(archive)).stdout == "Loaded image: big:1\n"
    (cli.root / "refs/odd").write_text("{")
    assert "refs/odd" in cli("system", "check", code=1).stdout
    check_clean(cli)
