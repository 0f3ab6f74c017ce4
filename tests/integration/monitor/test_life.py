"""Start, exit codes, restarts, clean-up, what the monitor's own death means."""

import json
import os
import pathlib
import signal
import time

import pytest

from tests.integration.monitor.harness import poll_in
from tests.waiting import PATIENCE_S, children, wait_until


def test_monitor_container_ends_exit_code_is_told_and_written(container):
    out, err = container.run("echo out; echo err >&2; exit 7").start()
    assert container.client.expect("exited") == {"event": "exited", "code": 7, "oom_killed": False}
    assert (out.result(), err.result()) == (b"out\n", b"err\n")
    container.wait_monitor()
    state = container.state()
    assert (state["status"], state["exit_code"], state["pid"]) == ("exited", 7, 0)
    assert state["finished_at"] > state["started_at"] > "2026"
    assert container.actions() == ["start", "die"]
    attributes = container.events()[1]["Actor"]["Attributes"]
    assert attributes.pop("execDuration").isdecimal()
    assert attributes == {"image": "busybox", "name": "test", "exitCode": "7"}
    assert not container.run_dir.exists()
    assert container.cgroups() == []
    assert container.dir.exists()


def test_monitor_started_state_and_socket_are_there_before_it_is_told(container):
    container.run("sleep 1000").spawn()
    pid = container.client.expect("started")["pid"]
    state = container.state()
    assert (state["status"], state["pid"], state["monitor_pid"]) == ("running", pid, container.process)
    assert state["pid_start"] == int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert (container.run_dir / "sock").stat().st_mode & 0o777 == 0o600
    assert container.is_locked()
    assert container.kill(9) == {"event": "ok"}
    container.wait_monitor()
    assert not container.is_locked()


def test_monitor_paths_longer_than_a_socket_address_work(container, tmp_path):
    container.run_dir = tmp_path / ("x" * 200) / container.id
    container.run_dir.parent.mkdir()
    container.request["run_dir"] = str(container.run_dir)
    container.run("sleep 1000").spawn()
    container.client.expect("started")
    assert container.kill(9) == {"event": "ok"}
    container.wait_monitor()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["nothing-here"], 127, "exec nothing-here: executable file not found in $PATH"),
        (["/etc/passwd"], 126, "exec /etc/passwd: Permission denied"),
    ],
)
def test_monitor_failed_start_says_why_and_leaves_nothing(container, args, code, message):
    container.spec["process"]["args"] = args
    container.spawn()
    assert container.client.receive() == {"event": "error", "message": message, "code": code}
    assert not container.run_dir.exists()
    assert container.cgroups() == []
    container.wait_monitor()
    assert (container.state()["status"], container.state()["error"]) == ("created", message)


@pytest.mark.parametrize("change", [{"version": 2}, {"surprise": 1}, {"log": {"driver": "fluentd", "path": ""}}])
def test_monitor_request_not_understood_is_refused(container, change):
    container.request |= change
    container.spawn()
    event = container.client.expect("error")
    assert event["code"] == 125
    assert any(word in event["message"] for word in ("version 2", "surprise", "fluentd"))
    container.wait_monitor()


def test_monitor_remove_name_is_free_before_exited_and_nothing_stays(container, tmp_path):
    name = tmp_path / "name"
    name.write_text(container.id)
    volume = tmp_path / "volume"
    (volume / "_data/deep").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").touch()
    (volume / "_data/link").symlink_to(outside)
    container.request["remove"] = {"name": str(name), "volumes": [str(volume)]}
    container.run("mkdir -p /a/b/c; echo x > /a/b/c/d; cat /etc/passwd > /etc/passwd2").start()
    container.client.expect("exited")
    assert not name.exists()
    container.wait_monitor()
    assert not container.dir.exists()
    assert not volume.exists()
    assert (outside / "keep").exists()
    assert not container.run_dir.exists()
    assert container.cgroups() == []
    assert container.actions() == ["start", "die", "destroy"]


def test_monitor_killed_container_dies_with_it(container):
    """Also one whose command runs as another user: a change of credentials clears a parent-death signal (prctl(2))."""
    container.request["user"] = "web"
    container.run("sleep 1000 & sleep 1000").spawn()
    pid = container.client.expect("started")["pid"]
    inside = wait_until(lambda: children(pid), "a child")
    os.kill(container.process, signal.SIGKILL)
    container.wait_monitor()
    wait_until(lambda: not any(os.path.exists(f"/proc/{process}/exe") for process in [pid, *inside]), "all dead")
    assert container.state()["status"] == "running"
    assert not container.is_locked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_monitor_terminated_container_gets_the_stop_signal(container, number):
    container.request["restart"] = {"policy": "always"}
    container.run("trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done")
    container.request["stop_signal"] = int(signal.SIGUSR1)
    out, _ = container.start()
    wait_until(lambda: out.data, "ready")
    os.kill(container.process, number)
    assert container.client.expect("exited")["code"] == 5
    container.wait_monitor()
    # Nobody stopped it: after a boot it is to run again.
    assert container.state()["status"] == "exited"
    assert container.state()["stopped_by_user"] is False


def test_monitor_terminated_stubborn_container_is_killed_after_the_grace_period(container):
    container.request["stop_timeout_s"] = 1
    container.run("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    out, _ = container.start()
    wait_until(lambda: out.data, "ready")
    began = time.monotonic()
    os.kill(container.process, signal.SIGTERM)
    assert container.client.expect("exited")["code"] == 137
    assert time.monotonic() - began >= 1
    container.wait_monitor()


def test_kill_stop_signal_is_recorded_at_once(container):
    container.run("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    out, _ = container.start()
    wait_until(lambda: out.data, "ready")
    assert container.kill(15) == {"event": "ok"}
    assert container.state()["stopped_by_user"] is True
    assert container.state()["status"] == "running"
    assert container.kill(9) == {"event": "ok"}
    assert container.client.expect("exited")["code"] == 137
    container.wait_monitor()
    assert container.actions() == ["start", "kill", "kill", "die"]
    assert [event["Actor"]["Attributes"].get("signal") for event in container.events()[1:3]] == ["15", "9"]


def test_kill_other_signals_real_time_too_arrive_and_are_not_a_stop(container):
    container.run("trap 'echo one' USR1; trap 'echo two' 35; echo ready; while :; do sleep 0.05; done")
    out, _ = container.start()
    for number, word in ((None, b"ready"), (int(signal.SIGUSR1), b"one"), (35, b"two")):
        if number:
            assert container.kill(number) == {"event": "ok"}
        wait_until(lambda word=word: word in out.data, word)
    assert container.kill(99)["event"] == "error"
    assert container.state()["stopped_by_user"] is False
    container.kill(9)
    container.wait_monitor()


def test_kill_frozen_container_is_thawed(container):
    container.run("sleep 1000").spawn()
    container.client.expect("started")
    # On v1 the freezer's group is made by whoever first pauses.
    for path in container.cgroups():
        if "/memory/" in path and os.path.isdir("/sys/fs/cgroup/freezer"):
            group = pathlib.Path(path.replace("/memory/", "/freezer/"))
            group.mkdir(parents=True)
            for pid in pathlib.Path(path, "cgroup.procs").read_text().split():
                (group / "cgroup.procs").write_text(pid)
    freezers = [pathlib.Path(path, name) for path in container.cgroups() for name in ("freezer.state", "cgroup.freeze")]
    freezer = next((path for path in freezers if path.exists()), None)
    if freezer is None:
        pytest.skip("needs the freezer")
    freezer.write_text("FROZEN" if freezer.name == "freezer.state" else "1")
    with container.connect() as client:
        client.send(op="wait")
        client.send(op="kill", signal=9)
        client.expect("ok")
        assert client.expect("exited")["code"] == 137
    container.wait_monitor()


def test_wait_every_waiter_hears_the_end(container):
    container.run("echo ready; sleep 1000")
    out, _ = container.start()
    waiters = [container.connect() for _ in range(5)]
    for waiter in waiters:
        waiter.send(op="wait")
        waiter.send(op="kill", signal=0)  # what is answered after it was heard after it
        waiter.expect("ok")
    wait_until(lambda: out.data, "ready")
    container.client.send(op="signal", signal=9)
    for waiter in [*waiters, container.client]:
        assert waiter.expect("exited")["code"] == 137
        assert waiter.receive() is None
        waiter.close()
    signals = [event["Actor"]["Attributes"].get("signal") for event in container.events()]
    assert "9" not in signals, "`signal` is no kill"
    container.wait_monitor()


def test_restart_on_failure_counts_pauses_and_gives_up(container):
    container.request["restart"] = {"policy": "on-failure", "maximum_retry_count": 3}
    began = time.monotonic()
    container.run("echo run; exit 3").start()
    container.wait_monitor()
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4
    state = container.state()
    assert (state["status"], state["exit_code"], state["restart_count"]) == ("exited", 3, 3)
    assert container.actions() == ["start", "die"] * 4
    assert [entry["log"] for entry in container.log()] == ["run\n"] * 4


def test_restart_first_end_is_told_to_the_first_client(container):
    container.request["restart"] = {"policy": "always"}
    out, _ = container.run("echo run; exit 3").start()
    assert container.client.expect("exited")["code"] == 3
    assert out.result() == b"run\n"
    wait_until(lambda: container.state()["restart_count"] >= 2, "two restarts")
    wait_until(lambda: container.state()["status"] == "restarting", "a pause")
    assert container.kill(15) == {"event": "ok"}
    container.wait_monitor()
    state = container.state()
    assert (state["status"], state["stopped_by_user"], state["exit_code"]) == ("exited", True, 3)


def test_restart_stopped_by_user_stays_down(container):
    container.request["restart"] = {"policy": "unless-stopped"}
    container.run("sleep 1000").spawn()
    container.client.expect("started")
    container.kill(9)
    container.wait_monitor()
    assert (container.state()["restart_count"], container.state()["stopped_by_user"]) == (0, True)


def test_restart_that_fails_ends_with_its_reason(container):
    container.request["restart"] = {"policy": "always"}
    container.run("trap 'exit 1' USR1; echo ready; while :; do sleep 0.05; done")
    out, _ = container.start()
    wait_until(lambda: out.data, "ready")
    container.spec["process"]["args"] = ["gone"]
    container.write()
    container.client.send(op="signal", signal=int(signal.SIGUSR1))
    container.wait_monitor()
    state = container.state()
    assert (state["status"], state["exit_code"]) == ("exited", 127)
    assert "gone" in state["error"]
    assert not container.run_dir.exists()
    assert container.cgroups() == []


def test_oom_memory_exhausted_is_recorded(container):
    container.spec["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    container.run("exec dd if=/dev/zero of=/dev/null bs=100M count=1")
    container.start()
    event = container.client.expect("exited")
    if not container.state()["oom_killed"]:
        pytest.skip("needs the memory controller")
    assert (event["code"], event["oom_killed"]) == (137, True)
    container.wait_monitor()
    assert container.actions()[:2] == ["start", "oom"]
    assert container.actions()[-1] == "die"


def test_pid_host_grandchild_holding_the_pipe_does_not_hold_the_exit_back(container):
    container.spec["linux"]["namespaces"] = [
        space for space in container.spec["linux"]["namespaces"] if space["type"] != "pid"
    ]
    container.run("(trap '' HUP TERM; while :; do echo flood; done) & sleep 0.2; exit 4").start()
    assert container.client.expect("exited")["code"] == 4
    container.wait_monitor()
    assert container.cgroups() == []


def test_init_reaper_passes_code_and_signals_on(container):
    container.request["init"] = True
    container.run("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    out, _ = container.start()
    wait_until(lambda: out.data, "ready")
    container.client.send(op="signal", signal=15)
    assert container.client.expect("exited")["code"] == 9
    container.wait_monitor()


def test_fork_bomb_does_not_hurt_the_monitor(container):
    container.spec["linux"]["resources"] = {"pids": {"limit": 64}}
    container.run("bomb() { bomb | bomb & }; bomb; echo ready; while :; do sleep 0.1; done 2>/dev/null")
    container.start()
    time.sleep(0.5)
    assert container.kill(9) == {"event": "ok"}
    assert container.client.expect("exited")["code"] == 137
    container.wait_monitor()
    assert container.cgroups() == []


def test_client_killed_container_goes_on_and_descriptors_are_let_go(container):
    container.run("echo ready; sleep 1000")
    out, err = container.start()
    wait_until(lambda: out.data, "ready")
    container.client.close()
    assert (out.result(), err.result()) == (b"ready\n", b"")
    with container.connect() as client:
        reader, writer = os.pipe()
        client.attach(stdout=writer)
        os.close(writer)
        client.expect("started")
        assert not poll_in(reader, 0.1)
        os.close(reader)
    assert container.kill(9) == {"event": "ok"}
    container.wait_monitor()


def test_monitor_state_that_cannot_be_written_fails_the_start(container):
    (container.dir / ".state.json").mkdir()
    container.run("sleep 1000").spawn()
    event = container.client.expect("error")
    assert event["message"] == "write state.json: Is a directory"
    assert not container.run_dir.exists()
    assert container.cgroups() == []
    container.wait_monitor()


def test_monitor_hooks_of_the_specification_run(container, tmp_path):
    script = "cat >> " + str(tmp_path / "states")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    container.spec["hooks"] = {"poststart": [hook], "poststop": [{"path": "/bin/false"}, hook]}
    container.run("sleep 0.2").start()
    container.client.expect("exited")
    container.wait_monitor()
    decoder, text, states = json.JSONDecoder(), (tmp_path / "states").read_text(), []
    while text:
        state, end = decoder.raw_decode(text)
        states.append((state["id"], state["status"], "pid" in state))
        text = text[end:].lstrip()
    assert states == [(container.id, "running", True), (container.id, "stopped", False)]


def test_monitor_poststart_hook_that_fails_ends_the_start(container):
    container.spec["hooks"] = {"poststart": [{"path": "/bin/false"}]}
    container.run("sleep 1000").spawn()
    assert "poststart" in container.client.expect("error")["message"]
    container.wait_monitor()
    assert container.cgroups() == []


def test_monitor_inherited_descriptors_are_not_kept(container):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    container.run("sleep 1000").spawn()
    os.close(writer)
    container.client.expect("started")
    assert poll_in(reader, PATIENCE_S), "the end of the pipe"
    assert os.read(reader, 1) == b""
    os.close(reader)
    container.kill(9)
    container.wait_monitor()
