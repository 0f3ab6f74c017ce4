"""`pyctr exec` as a user calls it, in real containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, needs_root
from tests.terminal import Terminal
from tests.waiting import PATIENCE_S, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root


@pytest.fixture
def container(cli: Cli) -> Iterator[str]:
    options = ["--network", "none", "-u", "33", "-e", "A=1", "-w", "/tmp", "--cap-drop", "CHOWN"]
    yield cli("run", "-d", *options, "busybox", "sleep", "1000").stdout.strip()
    for left in cli("ps", "-aq").stdout.split():
        cli("rm", "-f", left)


def test_exec_streams_exit_code_and_surroundings_are_the_containers(cli: Cli, container: str) -> None:
    script = "id -u; pwd; echo $A $B; hostname; cat /proc/1/comm; echo err >&2; exit 9"
    done = cli("exec", "-e", "B=2", container, "sh", "-c", script, code=9)
    assert done.stdout.splitlines() == ["33", "/tmp", "1 2", container[:12], "sleep"]
    assert done.stderr == "err\n"


def test_exec_has_the_containers_security_not_more(cli: Cli, container: str) -> None:
    read = ["grep", "-E", "^(CapInh|CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp):", "/proc/self/status"]
    first = cli("exec", container, "sh", "-c", " ".join(["grep -E", f"'{read[2]}'", "/proc/1/status"])).stdout
    assert cli("exec", container, *read).stdout == first
    bounding = dict(line.split(":\t") for line in first.splitlines())["CapBnd"]
    assert cli("exec", "-u", "0", container, *read).stdout.count(bounding) == 2, "permitted and bounding"
    everything = cli("exec", "--privileged", "-u", "0", container, *read).stdout
    assert bounding not in everything
    assert "Seccomp:\t0" in everything


def test_exec_is_in_the_containers_control_groups(cli: Cli, container: str) -> None:
    groups = cli("exec", container, "cat", "/proc/self/cgroup").stdout
    assert groups == cli("exec", container, "cat", "/proc/1/cgroup").stdout
    assert container in groups


def test_exec_input_reaches_the_command_and_ends(cli: Cli, container: str) -> None:
    text = "line\n" * 20000
    assert cli("exec", "-i", container, "cat", input=text).stdout == text
    assert cli("exec", container, "cat", input=text).stdout == "", "without -i there is none"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nope"], 127, "executable file not found in $PATH"),
        (["/etc"], 126, "permission denied"),
        (["-u", "nobody-here", "id"], 126, "no matching entries in passwd file"),
        (["-w", "relative", "id"], 1, "absolute"),
        (["--nope", "id"], 125, "unknown flag"),
    ],
)
def test_exec_bad_input_is_one_line(cli: Cli, container: str, args: list[str], code: int, words: str) -> None:
    done = cli("exec", *args[:-1], container, args[-1], code=code)
    assert words in done.stderr.lower().replace("$path", "$PATH"), done.stderr
    assert done.stdout == ""


def test_exec_in_what_does_not_run_is_refused(cli: Cli, container: str) -> None:
    cli("kill", container)
    cli("wait", container)
    done = cli("exec", container, "true", code=1)
    assert done.stderr == f"pyctr: container {container} is not running\n"
    assert cli("exec", "no-such", "true", code=1).stderr == "pyctr: No such container: no-such\n"


def test_exec_detached_is_listed_until_it_ends(cli: Cli, container: str) -> None:
    assert cli("exec", "-d", container, "sleep", "1000").stdout == ""
    sessions = json.loads(cli("inspect", "-f", "{{json .ExecIDs}}", container).stdout)
    assert len(sessions) == 1
    cli("exec", "-u", "0", container, "killall", "-q", "sleep", code=None)
    wait_until(lambda: cli("exec", container, "pidof", "sleep", code=None).stdout.strip() == "1", "one sleep")
    wait_until(lambda: cli("inspect", "-f", "{{json .ExecIDs}}", container).stdout == "null\n", "no session")


def test_exec_terminal_has_a_size_is_resized_and_interrupted(cli: Cli, container: str) -> None:
    # What is typed and the size come by different ways: either may be first.
    script = "tty; stty size; read x; until stty size | grep '50 90'; do sleep 0.05; done; sleep 1000"
    command = cli.command("exec", "-it", container, "sh", "-c", script)
    with Terminal(command, {**os.environ, **cli.env}) as terminal:
        terminal.read_until("40 100")
        terminal.resize(50, 90)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.type("\n")
        terminal.read_until("50 90")
        terminal.type("\x03")
        text, code = terminal.end()
    assert text.startswith("/dev/pts/")
    assert code == 130


def test_exec_detach_keys_leave_it_running(cli: Cli, container: str) -> None:
    command = cli.command("exec", "-it", "--detach-keys", "ctrl-x", container, "sh", "-c", "echo up; exec sleep 77")
    with Terminal(command, {**os.environ, **cli.env}) as terminal:
        terminal.read_until("up")
        terminal.type("\x18")
        assert terminal.end()[1] == 0
    assert "sleep 77" in cli("exec", container, "ps").stdout


def test_exec_of_a_killed_client_goes_on_and_ends_with_the_container(cli: Cli, container: str) -> None:
    client = subprocess.Popen(
        cli.command("exec", container, "sh", "-c", "echo up; sleep 88"), env=cli.env, stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    client.kill()
    client.wait()
    client.stdout.close()
    assert "sleep 88" in cli("exec", container, "ps").stdout
    cli("kill", container)
    wait_until(lambda: not (cli.run_root / container).exists(), "nothing left of the container's run-time directory")


def test_exec_ends_when_the_container_does(cli: Cli, container: str) -> None:
    client = subprocess.Popen(cli.command("exec", container, "sleep", "99"), env=cli.env)
    wait_until(lambda: "sleep 99" in cli("exec", container, "ps").stdout, "the command")
    cli("kill", container)
    assert client.wait(PATIENCE_S) == 137


def test_exec_is_in_the_journal_worded_as_dockers(cli: Cli, container: str) -> None:
    cli("exec", container, "sh", "-c", "exit 3", code=3)
    lines = [json.loads(line) for line in (cli.root / "events.jsonl").read_text().splitlines()]
    mine = [event for event in lines if event["Actor"]["ID"] == container and "exec" in event["Action"]]
    assert [event["Action"] for event in mine] == ["exec_create: sh -c exit 3", "exec_start: sh -c exit 3", "exec_die"]
    assert mine[-1]["Actor"]["Attributes"]["exitCode"] == "3"
    assert len({event["Actor"]["Attributes"]["execID"] for event in mine}) == 1


def test_exec_many_at_once_each_gets_its_own(cli: Cli, container: str) -> None:
    clients = [
        subprocess.Popen(
            cli.command("exec", container, "echo", str(number)), env=cli.env, stdout=subprocess.PIPE, text=True
        )
        for number in range(20)
    ]
    assert [client.communicate(timeout=180)[0] for client in clients] == [f"{number}\n" for number in range(20)]
