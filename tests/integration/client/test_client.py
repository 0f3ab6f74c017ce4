"""The Python API against real containers: what the documentation's examples do not show."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import pyctr
from pyctr.engine.containers.wait import wait_for
from pyctr.errors import CommandNotFound, ContainerError, InvalidArgument, NotFound, StateError
from tests.conftest import sockets_of
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Cli

SLEEP = ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"]


@pytest.fixture(scope="module")
def engine(cli: Cli) -> pyctr.Engine:
    return pyctr.Engine(str(cli.root), str(cli.run_root))


@pytest.fixture
def box(engine: pyctr.Engine) -> Iterator[Any]:
    box = engine.containers.run("busybox", SLEEP, detach=True, network_mode="none", stdin_open=True)
    wait_until(lambda: box.logs() == b"up\n", "what it says")
    yield box
    box.remove(force=True)


def test_run_streams_while_it_runs_and_raises_at_the_end(engine: pyctr.Engine) -> None:
    script = "echo first; sleep 0.3; echo second >&2; exit 4"
    chunks = engine.containers.run(
        "busybox", ["sh", "-c", script], stream=True, stderr=True, remove=True, network_mode="none"
    )
    assert next(chunks).startswith(b"first\n")
    with pytest.raises(ContainerError) as caught:
        list(chunks)
    assert caught.value.exit_status == 4
    assert engine.containers.list(all=True) == []


def test_run_gives_both_streams_or_one(engine: pyctr.Engine) -> None:
    script = "for n in 1 2 3 4 5; do echo $n; echo e$n >&2; done"
    output = engine.containers.run("busybox", ["sh", "-c", script], stderr=True, remove=True, network_mode="none")
    assert sorted(output.split()) == [b"1", b"2", b"3", b"4", b"5", b"e1", b"e2", b"e3", b"e4", b"e5"]
    output = engine.containers.run("busybox", ["sh", "-c", script], remove=True, network_mode="none")
    assert output == b"1\n2\n3\n4\n5\n"


def test_run_of_a_command_that_is_not_there_keeps_its_type(engine: pyctr.Engine) -> None:
    with pytest.raises(CommandNotFound):
        engine.containers.run("busybox", "no-such-command", remove=True, network_mode="none")
    with pytest.raises(NotFound):
        engine.containers.run("busybox", "true", pull="never", volumes_from=["nobody"])
    with pytest.raises(InvalidArgument, match="no such option"):
        engine.containers.create("busybox", lxc_conf={})  # type: ignore[call-arg]
    assert engine.containers.list(all=True) == []


def until_connected(cli: Cli, box: Any, start: Callable[[], None]) -> None:
    """Start something that then waits at a container's monitor."""
    before = sockets_of(cli, box.id)
    start()
    wait_until(lambda: sockets_of(cli, box.id) > before, "it waits")


def has_looked(thread: threading.Thread) -> bool:
    """Whether a thread that waits for a container has looked at its state for the first time."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not wait_for.__code__:
        frame = frame.f_back
    return frame is not None and "ended" in frame.f_locals


def test_wait_conditions_and_timeout(cli: Cli, engine: pyctr.Engine, box: Any) -> None:
    with pytest.raises(TimeoutError):
        box.wait(timeout=0.1)
    codes: list[int] = []

    def next_exit() -> threading.Thread:
        wait = {"condition": "next-exit", "timeout": PATIENCE_S}
        return threading.Thread(target=lambda: codes.append(box.wait(**wait)["StatusCode"]))

    waiter = next_exit()
    until_connected(cli, box, waiter.start)
    box.stop(timeout=PATIENCE_S)
    waiter.join(PATIENCE_S)
    assert codes == [7]
    assert box.wait() == {"StatusCode": 7, "Error": None}
    again = next_exit()
    again.start()
    wait_until(lambda: has_looked(again), "it knows which end is past")
    assert codes == [7], "that end is none of the next"
    box.start()
    box.kill()
    again.join(PATIENCE_S)
    assert codes == [7, 137]
    with pytest.raises(StateError):
        box.exec_run("true")


def test_wait_removed(cli: Cli, engine: pyctr.Engine) -> None:
    command = ["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"]
    short = engine.containers.run("busybox", command, detach=True, remove=True, network_mode="none")
    wait_until(lambda: short.logs() == b"up\n", "what it says")
    codes: list[int] = []
    wait = {"condition": "removed", "timeout": PATIENCE_S}
    waiter = threading.Thread(target=lambda: codes.append(short.wait(**wait)["StatusCode"]))
    until_connected(cli, short, waiter.start)
    short.kill("TERM")
    waiter.join(PATIENCE_S)
    assert codes == [5]
    with pytest.raises(NotFound):
        short.reload()


def test_exec_socket_is_both_ways(box: Any) -> None:
    with box.exec_run("cat", socket=True).output as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(b"there and back\n")
        assert connection.recv(100) == b"there and back\n"


def test_exec_terminal_environment_user_and_directory(box: Any) -> None:
    code, output = box.exec_run(
        ["sh", "-c", "tty; echo $A; id -u; pwd"], tty=True, environment={"A": "b"}, user="12", workdir="/tmp"
    )
    assert (code, output) == (0, b"/dev/pts/0\r\nb\r\n12\r\n/tmp\r\n")


def test_attach_follows_until_the_end(cli: Cli, box: Any) -> None:
    seen: list[bytes] = []
    # What is written between the reading of the log and the attach is missed, as in Docker.
    reader = threading.Thread(target=lambda: seen.extend(box.attach(stream=True, logs=True)))
    until_connected(cli, box, reader.start)
    box.kill()
    reader.join(PATIENCE_S)
    assert b"".join(seen).startswith(b"up\n")


def test_stats_stream_counts_processor_time(box: Any) -> None:
    readings = box.stats()
    first, second = next(readings), next(readings)
    assert second["precpu_stats"] == first["cpu_stats"]
    assert second["cpu_stats"]["cpu_usage"]["total_usage"] >= first["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert second["pids_stats"]["current"] >= 1
    assert first["id"] == box.id
    readings.close()


def test_get_archive_of_what_is_not_there(box: Any) -> None:
    with pytest.raises(NotFound, match="Could not find the file /nothing"):
        box.get_archive("/nothing")
    _, status = box.get_archive("/bin")
    assert status["mode"] & 1 << 31
    assert box.diff() is not None


def test_prune_and_history(engine: pyctr.Engine) -> None:
    made = engine.containers.create("busybox", labels={"prune": "me"})
    assert engine.containers.prune({"label": "prune=me"})["ContainersDeleted"] == [made.id]
    assert engine.images.get("busybox").history()
    assert engine.images.list("busybox")[0].tags == ["busybox:latest"]
