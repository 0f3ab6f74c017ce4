"""Killed clients, killed monitors, races for one name, many at once: nothing lost, nothing left behind."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from pyctr._core import process_start_time
from pyctr.engine.containers.store import Store
from pyctr.errors import CorruptData, NotFound, PyctrError, StateError
from tests.waiting import PATIENCE_S, wait_until

HERE = os.path.dirname(__file__)
CLIENT = """
import sys
sys.path[:0] = [{here!r}]
from conftest import FakeImages
from pyctr.engine import Engine
from pyctr.errors import PyctrError
engine = Engine({root!r}, {run!r}, runtime={runtime!r})
engine._image_store = FakeImages({root!r})
try:
    {code}
except PyctrError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""


def client(engine, code, **popen):
    """Another process that uses the same root."""
    source = CLIENT.format(here=HERE, root=engine.root, run=engine.run_root, runtime=engine.runtime, code=code)
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen([sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": path}, **popen)


def read_state(engine):
    with open(engine.store_path("one") + "/state.json") as file:
        return json.load(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", ['{"detach": True, "name": "one", "rm": True, "volume": ["/anon"]}', '{"name": "one"}']
)
def test_client_killed_at_any_moment_leaves_a_name_that_can_be_used(engine, options):
    run = f'engine.containers.run("img", ["true"], {options})'
    began = time.monotonic()
    assert client(engine, run).wait() == 0
    length_s = time.monotonic() - began
    chosen = random.Random(7)
    for _ in range(25):
        with contextlib.suppress(NotFound):
            engine.containers.remove("one", force=True)
        process = client(engine, run)
        time.sleep(chosen.uniform(0.3, 1.1) * length_s)
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while True:  # a monitor may still be at work on it; then it is a container like any other
            with contextlib.suppress(NotFound):
                engine.containers.remove("one", force=True)
            try:
                engine.containers.create("img", [], {"name": "one"})
                break
            except PyctrError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_two_with_one_name_at_once_one_wins(engine):
    code = 'print(engine.containers.create("img", [], {"name": "one"}).id)'
    clients = [client(engine, code, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    outputs = [process.communicate()[0].strip() for process in clients]
    winners = [text for text in outputs if len(text) == 64]
    assert winners == [engine.containers.resolve("one")]
    assert all(text.startswith("Conflict") for text in outputs if text not in winners)
    assert len(engine.containers.list(all=True)) == 1


def test_two_who_start_one_container_start_it_once(engine):
    engine.containers.create("img", ["sleep", "1000"], {"name": "one"})
    clients = [client(engine, 'engine.containers.start("one")') for _ in range(6)]
    assert [process.wait() for process in clients] == [0] * 6
    info = engine.containers.inspect("one")["State"]
    assert info["Running"]
    children = subprocess.run(["pgrep", "-fc", engine.store_path("one")], capture_output=True, check=False, text=True)
    assert int(children.stdout) == 1  # one monitor


def test_stale_name_of_a_killed_creator_is_freed(engine):
    store = engine.containers.store
    dead, lock = store.new_directory()
    store.take_name("one", dead, directory=store.temporary_path(dead))
    with pytest.raises(Exception, match="already in use"):  # its creator lives: this process
        engine.containers.create("img", [], {"name": "one"})
    os.close(lock)
    created = engine.containers.create("img", [], {"name": "one"})
    assert engine.containers.resolve("one") == created.id
    assert not os.path.exists(store.temporary_path(dead))


def test_directory_of_a_killed_creator_is_swept_by_the_next_listing(engine):
    store = engine.containers.store
    dead, lock = store.new_directory()
    alive, held = store.new_directory()
    os.close(lock)
    engine.containers.list(all=True)
    assert not os.path.exists(store.temporary_path(dead))
    assert os.path.exists(store.temporary_path(alive))
    store.discard(alive)
    os.close(held)


def test_killed_monitor_is_repaired_by_whoever_looks(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one"})
    state = read_state(engine)
    os.kill(state["monitor_pid"], signal.SIGKILL)
    os.waitpid(state["monitor_pid"], 0)
    assert engine.containers.list() == []
    info = engine.containers.inspect("one")["State"]
    assert (info["Status"], info["ExitCode"], info["Pid"]) == ("exited", 137, 0)
    wait_until(lambda: process_start_time(state["pid"]) != state["pid_start"], "its process is gone")
    engine.containers.start("one")
    assert engine.containers.inspect("one")["State"]["Running"]


def test_killed_monitor_of_rm_container_takes_it_away(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one", "rm": True, "volume": ["/anon"]})
    state = read_state(engine)
    os.kill(state["monitor_pid"], signal.SIGKILL)
    os.waitpid(state["monitor_pid"], 0)
    assert engine.containers.list(all=True) == []
    with pytest.raises(NotFound):
        engine.containers.resolve("one")


def test_monitor_killed_while_a_client_waits_is_an_error_not_a_hang(engine):
    engine.containers.create("img", ["sleep", "1000"], {"name": "one"})
    process = client(
        engine, "from pyctr.engine.containers.session import Attach; engine.containers.start('one', Attach())"
    )
    wait_until(engine.containers.list, "it runs")
    state = read_state(engine)
    os.kill(state["monitor_pid"], signal.SIGKILL)
    assert process.wait(PATIENCE_S) == 125
    assert engine.containers.inspect("one")["State"]["ExitCode"] == 137


def test_pid_reused_by_another_process_is_not_killed(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one"})
    path = engine.store_path("one") + "/state.json"
    state = read_state(engine)
    os.kill(state["monitor_pid"], signal.SIGKILL)
    os.waitpid(state["monitor_pid"], 0)
    os.kill(state["pid"], signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        with open(path, "w") as file:
            json.dump(state | {"pid": bystander.pid, "pid_start": process_start_time(bystander.pid) - 1}, file)
        assert engine.containers.inspect("one")["State"]["ExitCode"] == 137
        time.sleep(0.1)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_monitor_killed_after_it_hid_an_rm_container_leaves_nothing(engine):
    created = engine.containers.create("img", [], {"name": "one"})
    store = engine.containers.store
    os.unlink(store.names_dir + "/one")
    os.unlink(store.path(created.id) + "/config.json")
    assert engine.containers.list(all=True) == []
    assert not os.path.exists(store.path(created.id))


def test_corrupt_record_is_named_and_can_be_forced_away(engine):
    engine.containers.create("img", [], {"name": "one"})
    with open(engine.store_path("one") + "/config.json", "w") as file:
        file.write("{")
    with pytest.raises(CorruptData, match=r"config\.json"):
        engine.containers.inspect("one")
    with pytest.raises(CorruptData):
        engine.containers.remove("one")
    engine.containers.remove("one", force=True)
    engine.containers.create("img", [], {"name": "one"})


def test_runtime_that_is_missing_is_one_error_and_nothing_runs(engine):
    engine.runtime = "/nonexistent/pyctr-runtime"
    with pytest.raises(Exception, match=r"spawn /nonexistent/pyctr.runtime: no such file or directory"):
        engine.containers.run("img", [], {"rm": True, "name": "one"})
    with pytest.raises(NotFound):
        engine.containers.resolve("one")


def test_runtime_that_dies_at_once_is_an_error(engine, tmp_path):
    engine.runtime = "/bin/false"
    with pytest.raises(StateError, match="gone without a word"):
        engine.containers.run("img", [], {"rm": True, "name": "one"})
    with pytest.raises(StateError, match="gone without a word"):
        engine.containers.run("img", [], {"detach": True, "name": "two"})
    assert engine.containers.inspect("two")["State"]["Status"] == "created"


@pytest.mark.slow
def test_five_hundred_at_once(engine):
    code = 'for _ in range(25): engine.containers.run("img", ["sleep", "inf"], {"detach": True, "label": ["batch"]})'
    clients = [client(engine, code) for _ in range(20)]
    assert [process.wait() for process in clients] == [0] * 20
    running = engine.containers.list(filters={"label": ["batch"]})
    assert len({summary.names[0] for summary in running}) == 500
    for summary in running:
        engine.containers.remove(summary.id, force=True)
    assert engine.containers.list(all=True) == []


def test_store_lock_waits_for_who_only_looks(engine):
    created = engine.containers.create("img", [], {})
    store = Store(engine.root, engine.run_root)
    import fcntl

    looker = os.open(store.path(created.id) + "/lock", os.O_RDWR)
    fcntl.flock(looker, fcntl.LOCK_SH)
    subprocess.Popen(["sleep", "0"]).wait()
    import threading

    threading.Timer(0.2, os.close, (looker,)).start()
    lock = store.lock(created.id)
    assert lock is not None
    os.close(lock)
