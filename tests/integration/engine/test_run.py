"""Containers from create to remove, through the monitor protocol."""

import os
import signal
import threading
import time

import pytest

from pyctr.engine.containers.session import Attach
from pyctr.errors import CommandNotFound, Conflict, InvalidArgument, NotFound, StateError
from tests.waiting import wait_until


def run(engine, command, options=None, stdin=b""):
    """Exit code, stdout, stderr of a foreground run."""
    out_read, out = os.pipe()
    err_read, err = os.pipe()
    in_read, inn = os.pipe()
    os.write(inn, stdin)
    os.close(inn)
    try:
        code = engine.containers.run("img", command, options or {}, Attach(stdin=in_read, stdout=out, stderr=err))
    finally:
        for fd in (out, err, in_read):
            os.close(fd)
    streams = []
    for fd in (out_read, err_read):
        with os.fdopen(fd, "rb") as file:
            streams.append(file.read())
    return code, *streams


def test_run_foreground_passes_stdio_and_exit_code(engine):
    code, out, err = run(engine, ["sh", "-c", "cat; echo oops >&2; exit 7"], {"interactive": True}, b"hello")
    assert (code, out, err) == (7, b"hello", b"oops\n")


def test_run_without_interactive_lends_no_stdin(engine):
    assert run(engine, ["cat"], {"rm": True}, b"ignored") == (0, b"", b"")


def test_run_environment_is_image_then_options(engine):
    _, out, _ = run(
        engine, ["sh", "-c", "echo $FROM_IMAGE-$X-$HOSTNAME"], {"env": ["X=2"], "hostname": "box", "rm": True}
    )
    assert out == b"1-2-box\n"


def test_run_rm_leaves_nothing_and_frees_the_name_before_it_returns(engine):
    for _ in range(5):
        code, _, _ = run(engine, ["true"], {"rm": True, "name": "one", "volume": ["/anon"]})
        assert code == 0
    # The name is free at once; the rest is counted by the fixture.


def test_run_command_not_found_raises_127_and_keeps_the_container(engine):
    with pytest.raises(CommandNotFound) as caught:
        run(engine, ["no-such-command"], {"name": "kept"})
    assert caught.value.exit_code == 127
    assert engine.containers.inspect("kept")["State"]["Status"] == "created"


def test_run_rm_command_not_found_removes_the_container(engine):
    with pytest.raises(CommandNotFound):
        run(engine, ["no-such-command"], {"name": "gone", "rm": True})
    with pytest.raises(NotFound, match="No such container: gone"):
        engine.containers.resolve("gone")


def test_run_unknown_image_that_is_not_to_be_pulled_is_named(engine):
    with pytest.raises(NotFound, match="No such image: nope:latest"):
        engine.containers.run("nope", [], {"pull": "never"})


def test_run_detached_then_logs_wait_inspect_remove(engine):
    container = engine.containers.run("img", ["sh", "-c", "echo a; echo b >&2; exit 3"], {"detach": True, "name": "dd"})
    assert engine.containers.wait("dd") == 3
    assert sorted(engine.containers.logs("dd")) == [("stderr", b"b\n"), ("stdout", b"a\n")]
    info = engine.containers.inspect(container[:12])
    assert info["State"]["Status"] == "exited"
    assert info["State"]["ExitCode"] == 3
    assert info["Config"]["AttachStdout"] is False
    engine.containers.remove("dd")
    with pytest.raises(NotFound):
        engine.containers.inspect(container)


def test_list_shows_running_only_unless_all(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "up", "label": ["a=b"]})
    engine.containers.create("img", ["true"], {"name": "new"})
    (up,) = engine.containers.list()
    assert (up.names, up.state, up.labels) == (["up"], "running", {"a": "b", "from": "image"})
    assert up.status.startswith("Up ")
    assert {s.names[0]: s.status for s in engine.containers.list(all=True)}["new"] == "Created"
    assert [s.names for s in engine.containers.list(filters={"status": ["created"]})] == [["new"]]
    assert [s.names for s in engine.containers.list(filters={"name": ["^u"]})] == [["up"]]
    assert [s.names for s in engine.containers.list(all=True, filters={"label": ["a"]})] == [["up"]]


def test_kill_stop_and_remove_running(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one"})
    with pytest.raises(StateError, match="container is running"):
        engine.containers.remove("one")
    engine.containers.kill("one", "KILL")
    assert engine.containers.wait("one") == 137
    with pytest.raises(StateError, match="is not running"):
        engine.containers.kill("one", "KILL")
    engine.containers.start("one")
    began = time.monotonic()
    engine.containers.stop("one", timeout_s=120)
    assert time.monotonic() - began < 100
    assert engine.containers.wait("one") == 143


def test_stop_kills_after_the_grace_period(engine):
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    engine.containers.run("img", ["sh", "-c", deaf], {"detach": True, "name": "ss"})
    wait_until(lambda: list(engine.containers.logs("ss")), "ready")
    engine.containers.stop("ss", timeout_s=0.3)
    assert engine.containers.wait("ss") == 137


def test_start_running_container_does_nothing(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "one"})
    pid = engine.containers.inspect("one")["State"]["Pid"]
    assert engine.containers.start("one") is None
    assert engine.containers.inspect("one")["State"]["Pid"] == pid


def test_start_attached_returns_exit_code(engine):
    engine.containers.create("img", ["sh", "-c", "exit 5"], {"name": "one"})
    assert engine.containers.start("one", Attach(stdin=None, stdout=1, stderr=2)) == 5


def test_name_taken_twice_conflicts(engine):
    first = engine.containers.create("img", [], {"name": "one"})
    with pytest.raises(Conflict, match=f'The container name "/one" is already in use by container "{first.id}"'):
        engine.containers.create("img", [], {"name": "one"})


def test_rename_moves_the_name(engine):
    created = engine.containers.create("img", [], {"name": "old"})
    engine.containers.rename("old", "new")
    assert engine.containers.resolve("new") == created.id
    assert engine.containers.inspect("new")["Name"] == "/new"
    with pytest.raises(NotFound):
        engine.containers.resolve("old")
    engine.containers.create("img", [], {"name": "old"})


def test_failed_create_leaves_nothing(engine, tmp_path):
    engine.containers.create("img", [], {"name": "one", "cidfile": str(tmp_path / "cid")})
    before = sorted(os.listdir(engine.root + "/containers")), sorted(os.listdir(engine.root + "/names"))
    for options in ({"name": "one", "volume": ["/anon"]}, {"memory": "1m"}, {"volumes_from": ["nope"]}, {"name": "-x"}):
        with pytest.raises((Conflict, InvalidArgument, NotFound)):
            engine.containers.create("img", [], options | {"cidfile": str(tmp_path / "cid2")})
    assert (sorted(os.listdir(engine.root + "/containers")), sorted(os.listdir(engine.root + "/names"))) == before
    assert not os.path.exists(engine.root + "/volumes") or os.listdir(engine.root + "/volumes") == []
    assert not (tmp_path / "cid2").exists()


def test_volumes_are_made_shared_and_removed(engine):
    options = {"volume": ["named:/n", "/anon"], "name": "one"}
    engine.containers.create("img", [], options)
    mounts = {mount["Destination"]: mount for mount in engine.containers.inspect("one")["Mounts"]}
    assert mounts["/n"]["Source"] == engine.root + "/volumes/named/_data"
    assert os.path.isdir(mounts["/anon"]["Source"])
    engine.containers.create("img", [], {"volumes_from": ["one:ro"], "name": "two"})
    taken = {mount["Destination"]: mount for mount in engine.containers.inspect("two")["Mounts"]}
    assert taken["/anon"]["Source"] == mounts["/anon"]["Source"]
    assert taken["/anon"]["RW"] is False
    engine.containers.remove("one", volumes=True)
    assert os.path.isdir(mounts["/anon"]["Source"])  # "two" still has it
    engine.containers.remove("two", volumes=True)
    for name in os.listdir(engine.root + "/volumes"):
        os.rename(f"{engine.root}/volumes/{name}", f"{engine.root}/was-{name}")


def test_missing_bind_source_is_made_for_volume_and_refused_for_mount(engine, tmp_path):
    code, _, _ = run(engine, ["true"], {"volume": [f"{tmp_path}/made:/x"], "rm": True})
    assert code == 0
    assert (tmp_path / "made").is_dir()
    with pytest.raises(InvalidArgument, match="bind source path does not exist"):
        engine.containers.create("img", [], {"mount": [f"type=bind,src={tmp_path}/nope,dst=/x"]})


def test_signal_to_the_client_reaches_the_container(engine):
    reader, writer = os.pipe()
    said = []

    def signal_once_ready():
        said.append(os.read(reader, 100))
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=signal_once_ready)
    thread.start()
    command = ["sh", "-c", "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.05; done"]
    code = engine.containers.run("img", command, {"rm": True}, Attach(stdin=None, stdout=writer, stderr=None))
    thread.join()
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said.append(file.read())
    assert (code, said) == (9, [b"ready\n", b"got\n"])
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_logs_tail_since_and_follow(engine):
    engine.containers.run(
        "img", ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done"], {"detach": True, "name": "ll"}
    )
    assert b"".join(data for _, data in engine.containers.logs("ll", follow=True)) == b"1\n2\n3\n"
    assert list(engine.containers.logs("ll", tail=1)) == [("stdout", b"3\n")]
    assert list(engine.containers.logs("ll", tail="0")) == []
    assert list(engine.containers.logs("ll", until="1h")) == []
    assert b"".join(data for _, data in engine.containers.logs("ll", since="1h")).count(b"\n") == 3
    (stamped,) = engine.containers.logs("ll", tail=1, timestamps=True)
    assert len(stamped[1].split(b" ")[0]) == len("2026-01-01T00:00:00.000000000Z")


def test_logs_of_driver_none_are_refused(engine):
    engine.containers.create("img", [], {"name": "quiet", "log_driver": "none"})
    with pytest.raises(StateError, match="configured logging driver does not support reading"):
        list(engine.containers.logs("quiet"))


def test_resolve_by_prefix_and_ambiguity(engine):
    ids = [engine.containers.create("img", [], {}).id for _ in range(20)]
    assert engine.containers.resolve(ids[0][:20]) == ids[0]
    shared = next(c for c in "0123456789abcdef" if sum(i.startswith(c) for i in ids) > 1)
    with pytest.raises(InvalidArgument, match="Multiple IDs found"):
        engine.containers.resolve(shared)
    for bad in ("", "../x", "/", ".", "g" * 64, "zzz"):
        with pytest.raises(NotFound, match="No such container"):
            engine.containers.resolve(bad)


def test_prune_removes_what_does_not_run(engine):
    engine.containers.run("img", ["sleep", "1000"], {"detach": True, "name": "up"})
    engine.containers.create("img", [], {"name": "aa", "label": ["keep"]})
    dead = engine.containers.create("img", [], {"name": "bb"})
    removed, _ = engine.containers.prune({"label!": ["keep"]})
    assert removed == [dead.id]
    assert {s.names[0] for s in engine.containers.list(all=True)} == {"up", "aa"}


def test_joined_namespaces_need_a_running_container(engine):
    donor = engine.containers.create("img", [], {"name": "donor"})
    engine.containers.create("img", [], {"name": "guest", "network": "container:donor", "pid": "container:donor"})
    assert engine.containers.inspect("guest")["HostConfig"]["NetworkMode"] == "container:" + donor.id
    with pytest.raises(StateError, match="is not running"):
        engine.containers.start("guest")
    with pytest.raises(NotFound, match="No such container: nope"):
        engine.containers.create("img", [], {"pid": "container:nope"})
    with pytest.raises(InvalidArgument, match="non-shareable"):
        engine.containers.create("img", [], {"ipc": "container:donor"})
