"""The real docker client against `pyctr serve`: what people type, its output and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sockets_of
from tests.terminal import Terminal
from tests.waiting import PATIENCE_S, descriptors, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api.conftest import Api

NONE = ("--network", "none")


def test_version_and_info_name_the_server(api: Api) -> None:
    found = json.loads(api.docker("version", "--format", "json").stdout)
    assert found["Server"]["ApiVersion"] == "1.47"
    assert found["Client"]["ApiVersion"] <= "1.47"
    assert json.loads(api.docker("info", "--format", "json").stdout)["Driver"] == "overlay2"


def test_our_info_and_version_are_what_the_client_shows_of_a_server(api: Api) -> None:
    not_ours = (
        "containerd version",
        "runc version",
        "init version",
        "Experimental",
        "Go version",
        "Git commit",
        "Built",
    )
    for command in ("info", "version"):
        theirs = api.docker(command).stdout.partition("\nServer:")[2].splitlines()
        ours = api.cli(command).stdout.partition("\nServer:")[2].splitlines()
        assert ours == [line for line in theirs if not line.strip().startswith(not_ours)]
    assert json.loads(api.cli("version", "--format", "json").stdout)["Server"]["MinAPIVersion"] == "1.24"


@pytest.mark.parametrize("rm", [("--rm",), ()])
def test_run_streams_and_exit_codes(api: Api, rm: tuple[str, ...]) -> None:
    done = api.docker("run", *rm, *NONE, "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert api.docker("run", *rm, "-i", *NONE, "busybox", "md5sum", input="x" * 200_000).stdout.startswith(
        "4b98146705d4b0b98b758a78ff6fb73f "
    )
    refused = api.docker("run", *rm, *NONE, "busybox", "no-such-command", code=127)
    assert "executable file not found" in refused.stderr
    api.docker("run", *rm, *NONE, "busybox", "/etc", code=126)
    api.docker("container", "prune", "-f")
    assert api.docker("ps", "-aq").stdout == ""


def test_a_day_of_a_container(api: Api, tmp_path: Path) -> None:
    docker = api.docker
    made = docker("run", "-d", "--name", "web", "-m", "64m", "-e", "A=b", "-l", "tier=front", *NONE, "busybox", "sh", "-c",
                  "echo up; echo no >&2; exec sleep 1000").stdout.strip()  # fmt: skip
    assert docker("ps", "--format", "{{.ID}} {{.Names}} {{.State}}", "--no-trunc").stdout == f"{made} web running\n"

    def logs() -> tuple[str, str]:
        done = docker("logs", "web")
        return done.stdout, done.stderr

    wait_until(lambda: logs() == ("up\n", "no\n"), "what it says")
    done = docker("exec", "web", "sh", "-c", "echo $A; echo e >&2; exit 3", code=3)
    assert (done.stdout, done.stderr) == ("b\n", "e\n")
    assert docker("exec", "-i", "web", "cat", input="in and out").stdout == "in and out"
    docker("exec", "web", "no-such-command", code=127)
    docker("exec", "-d", "web", "touch", "/tmp/made")
    (tmp_path / "file").write_text("data")
    docker("cp", str(tmp_path / "file"), "web:/tmp/copied")
    docker("cp", "web:/tmp/copied", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "data"
    changed = {"C /tmp", "A /tmp/copied", "A /tmp/made"}
    wait_until(lambda: set(docker("diff", "web").stdout.splitlines()) >= changed, "what both have made")
    assert docker("inspect", "-f", "{{.HostConfig.Memory}} {{.Config.Labels.tier}}", "web").stdout == "67108864 front\n"
    assert "sleep 1000" in docker("top", "web").stdout
    # The client shows dashes where the answer took longer than its two seconds.
    wait_until(lambda: "64MiB" in docker("stats", "--no-stream", "web").stdout, "a reading")
    docker("pause", "web")
    assert "(Paused)" in docker("ps", "--format", "{{.Status}}").stdout
    docker("unpause", "web")
    docker("update", "-m", "96m", "--memory-swap", "192m", "web")
    docker("rename", "web", "front")
    docker("restart", "-t", "1", "front")
    assert "conflict" in docker("run", "--name", "front", *NONE, "busybox", code=125).stderr.lower()
    docker("rm", "front", code=1)
    docker("stop", "-t", "1", "front")
    assert docker("wait", "front").stdout == "137\n"
    docker("rm", "front")
    docker("logs", "front", code=1)


def test_logs_follow_ends_with_the_container(api: Api) -> None:
    api.docker(
        "run", "-d", "--name", "talker", *NONE, "busybox", "sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.2; done"
    )
    assert api.docker("logs", "-f", "talker").stdout == "1\n2\n3\n"
    assert api.docker("logs", "--tail", "1", "-t", "talker").stdout.endswith("Z 3\n")
    api.docker("rm", "-f", "talker")


def test_terminal_run_detach_attach_and_exec(api: Api) -> None:
    run = ["docker", "run", "-it", "--name", "tty", *NONE, "busybox", "sh"]
    with Terminal(run, api.env, rows=33, columns=101) as terminal:
        terminal.read_until("/ #")
        terminal.type("stty size; tty\n")
        terminal.read_until("33 101")
        terminal.type("\x10\x11")
        assert terminal.end()[1] == 0
    with Terminal(["docker", "exec", "-it", "tty", "sh"], api.env, rows=20, columns=70) as terminal:
        terminal.read_until("/ #")
        terminal.type("stty size; exit 6\n")
        terminal.read_until("20 70")
        assert terminal.end()[1] == 6
    before = sockets_of(api.cli, "tty")
    with Terminal(["docker", "attach", "tty"], api.env) as terminal:
        wait_until(lambda: sockets_of(api.cli, "tty") > before, "it is attached")
        terminal.type("echo a''gain; exit 3\n")
        terminal.read_until("\nagain")
        assert terminal.end()[1] == 3
    api.docker("rm", "tty")


def test_images_travel(api: Api, tmp_path: Path) -> None:
    docker = api.docker
    docker("create", "--name", "base", *NONE, "busybox", "true")
    docker("commit", "-m", "why", "-c", 'CMD ["echo", "hi"]', "base", "made:1")
    assert docker("run", "--rm", *NONE, "made:1").stdout == "hi\n"
    assert "why" in docker("history", "made:1").stdout
    docker("tag", "made:1", "made:2")
    docker("save", "-o", str(tmp_path / "made.tar"), "made:1")
    docker("rmi", "made:1", "made:2")
    assert "Loaded image: made:1" in docker("load", "-i", str(tmp_path / "made.tar")).stdout
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "made").stdout == "made:1\n"
    with (tmp_path / "root.tar").open("wb") as file:
        subprocess.run(["docker", "export", "base"], env=api.env, stdout=file, timeout=180, check=True)
    with (tmp_path / "root.tar").open("rb") as file:
        subprocess.run(["docker", "import", "-", "imported:1"], env=api.env, stdin=file, timeout=180, check=True)
    assert docker("run", "--rm", *NONE, "imported:1", "/bin/busybox", "echo", "there").stdout == "there\n"
    docker("rmi", "made:1", "imported:1")
    docker("rm", "base")
    assert "No such image" in docker("image", "inspect", "made:1", code=1).stderr


def test_the_image_the_package_carries_needs_no_registry(api: Api) -> None:
    assert api.docker("run", "--rm", *NONE, "hello").returncode == 0
    api.docker("rmi", "hello")


def test_networks_volumes_and_ports(api: Api) -> None:
    docker = api.docker
    docker("network", "create", "--subnet", "10.219.7.0/24", "apinet")
    docker("volume", "create", "apidata")
    docker("run", "-d", "--name", "server", "--network", "apinet", "--ip", "10.219.7.9", "-v", "apidata:/www", "-p", "127.0.0.1::80",
           "busybox", "httpd", "-f", "-p", "80", "-h", "/www")  # fmt: skip
    docker("exec", "server", "sh", "-c", "echo served > /www/index.html")
    port = docker("port", "server", "80").stdout.strip().rpartition(":")[2]
    ask = ("run", "--rm", "--network", "host", "busybox", "wget", "-qO-", f"http://127.0.0.1:{port}/")
    wait_until(lambda: docker(*ask, code=None).stdout == "served\n", "the server listens")
    shown = docker("network", "inspect", "-f", "{{range .Containers}}{{.IPv4Address}}{{end}}", "apinet").stdout
    assert shown == "10.219.7.9/24\n"
    assert "is in use" in docker("volume", "rm", "apidata", code=1).stderr
    assert "active endpoints" in docker("network", "rm", "apinet", code=1).stderr
    docker("rm", "-f", "server")
    docker("network", "rm", "apinet")
    docker("volume", "rm", "apidata")


def test_events_are_streamed_as_they_happen(api: Api) -> None:
    watcher = subprocess.Popen(
        ["docker", "events", "--since", f"{time.time():.9f}", "--filter", "container=seen", "--format", "{{.Action}}"],
        env=api.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    api.docker("run", "--rm", "--name", "seen", *NONE, "busybox", "true")
    seen: list[str] = []
    assert watcher.stdout is not None
    timer = threading.Timer(PATIENCE_S, watcher.kill)
    timer.start()
    for line in watcher.stdout:
        seen.append(line.strip())
        if line.strip() == "destroy":
            break
    timer.cancel()
    watcher.terminate()
    watcher.wait(PATIENCE_S)
    watcher.stdout.close()
    assert [action for action in seen if action in ("create", "start", "die", "destroy")] == [
        "create",
        "start",
        "die",
        "destroy",
    ]


def test_the_servers_death_leaves_containers_alone(api: Api) -> None:
    api.docker("run", "-d", "--name", "survivor", *NONE, "busybox", "sleep", "1000")
    before = api.docker("inspect", "-f", "{{.State.Pid}}", "survivor").stdout
    api.stop(signal.SIGKILL)
    api.start()
    assert api.docker("inspect", "-f", "{{.State.Pid}}", "survivor").stdout == before
    assert api.docker("exec", "survivor", "echo", "alive").stdout == "alive\n"
    again = api.cli("serve", "-H", api.url, code=1)
    assert "somebody listens there already" in again.stderr
    api.docker("rm", "-f", "survivor")


def test_socket_is_not_open_to_everybody(api: Api) -> None:
    status = os.stat(api.path)
    assert status.st_mode & 0o777 == 0o660
    assert status.st_uid == 0
    assert "TCP is not supported" in api.cli("serve", "-H", "tcp://0.0.0.0:2375", code=1).stderr


def test_clients_that_go_away_leave_no_thread_behind(api: Api) -> None:
    api.docker("run", "-d", "--name", "quiet", *NONE, "busybox", "sleep", "1000")
    api.docker("ps")
    before = len(descriptors(api.process.pid))
    clients = [
        subprocess.Popen(["docker", *words], env=api.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for words in (["logs", "-f", "quiet"], ["events"], ["wait", "quiet"], ["stats", "quiet"], ["attach", "quiet"])
    ]
    wait_until(lambda: len(descriptors(api.process.pid)) >= before + len(clients), "all are served")
    for client in clients:
        client.kill()
        client.wait(PATIENCE_S)
    wait_until(lambda: len(descriptors(api.process.pid)) <= before, "their descriptors are closed")
    api.docker("rm", "-f", "quiet")
