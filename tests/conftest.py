"""What every test may use: an isolated engine root, the command line as a user calls it, leftovers counted."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import transcript
from tests.waiting import PATIENCE_S, sockets, state_letter, wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def need_tool(name: str) -> str:
    """The path of a program, or a skip that names it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"needs {name}")
    return path


def pytest_configure() -> None:
    """What nohup, or a shell's ``&``, has this process ignore every command would ignore too: tests send it to them."""
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_runtest_setup() -> None:
    """Each test's commands are its own."""
    transcript.forget()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the commands of a failed test said, whatever it compared."""
    report = yield
    if report.failed and (told := transcript.told()):
        report.sections.append((f"commands of the {report.when}", told))
    return report


def started_at_free_port(
    start: Callable[[int], subprocess.Popen[bytes]], answers: Callable[[int], bool]
) -> tuple[int, Any]:
    """A server that has to be told its port: the port, and the process. Who was quicker to take one costs another attempt."""
    for _ in range(5):
        port = free_port()
        process = start(port)
        wait_until(lambda port=port, process=process: process.poll() is not None or answers(port), "a server")
        if process.poll() is None:
            return port, process
    raise AssertionError(f"the server ends at once: {process.args}")


def free_port() -> int:
    """A port of loopback for somebody who has to be told one: below those that the kernel gives to clients meanwhile."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


class Cli:
    """`pyctr` with its own root and run root."""

    def __init__(self, root: Path) -> None:
        self.root = root / "root"
        self.run_root = root / "run"
        self.env = {**os.environ, "PYCTR_ROOT": str(self.root), "PYCTR_RUN_ROOT": str(self.run_root)}

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pyctr", *args]

    def __call__(self, *args: str, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        how = {"env": self.env, "capture_output": True, "text": True, "timeout": 180, "check": False} | options
        try:
            done = subprocess.run(self.command(*args), **how)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(transcript.note_timeout(("pyctr", *args), error)) from None
        said = transcript.note_done(("pyctr", *args), done)
        assert code in (None, done.returncode), f"{said}  expected {code}"
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
    wait_monitors(cli)


def wait_monitors(cli: Cli) -> None:
    """Until no monitor of an engine is at work: what it has yet to take away it finds by files that go with the test."""
    wait_equal(lambda: {each for each in left_by(cli) if each.startswith("process")}, set(), "every monitor has ended")


def left_by(cli: Cli) -> set[str]:
    """What there is on the host of an engine's containers, whatever others do on it: mounts, groups, processes, links."""
    base, found = str(cli.root.parent), set()
    try:
        lines = (cli.root / "events.jsonl").read_text().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]  # the last may be half written
    except FileNotFoundError:
        events = []
    ids = {event["Actor"]["ID"] for event in events if event["Type"] == "container"} - {""}  # of `prune`, nobody
    with open("/proc/mounts", encoding="utf-8") as file:
        found.update(f"mount {line.strip()}" for line in file if base in line)
    found.update(
        f"group {path}/{name}" for path, names, _ in os.walk("/sys/fs/cgroup") for name in ids.intersection(names)
    )
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as command, open(f"/proc/{pid}/cgroup") as groups:
                words, groups_of_it = command.read().replace("\0", " "), groups.read()
        except OSError:
            continue
        if state_letter(int(pid)) in ("", "Z"):  # dead; who started it in this process has yet to reap it
            continue
        if f" monitor {base}" in words or any(each in groups_of_it for each in ids):
            found.add(f"process {pid} {words}")
    bridges = {name for path in (cli.root, cli.run_root) for name in _bridges(path / "networks")}
    for link in os.listdir("/sys/class/net"):
        if os.path.basename(os.path.realpath(f"/sys/class/net/{link}/master")) in bridges:
            found.add(f"link {link}")
    return found


def _bridges(directory: Path) -> set[str]:
    """The links that files about networks name."""
    found: set[str] = set()
    for top, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError), open(os.path.join(top, name), errors="replace") as file:
                found.update(re.findall(r'"link": ?"([^"]+)"', file.read()))
    return found


def sockets_of(cli: Cli, container: str) -> int:
    """How many sockets a container's monitor has when it has nothing to do: one more for each client that is connected."""
    directory = cli.root / "containers" / cli("inspect", "-f", "{{.Id}}", container).stdout.strip()
    monitor = json.loads((directory / "state.json").read_text())["monitor_pid"]
    # While it runs it may not have closed yet what the client before has left.
    wait_until(lambda: state_letter(monitor) == "S", f"monitor {monitor} sleeps")
    return sockets(monitor)


def wait_asleep(pid: int) -> None:
    """Until a process does not wake any more: who looks again and again, however seldom within a second, never gets there."""
    deadline = time.monotonic() + PATIENCE_S
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
