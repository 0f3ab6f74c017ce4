"""`pyctr logs` over every driver that can be read back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Cli, needs_root, wait_asleep
from tests.waiting import PATIENCE_S, children, wait_until

pytestmark = needs_root


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_logs_are_every_byte_through_rotation_and_compression(cli: Cli, driver: str) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf 'no newline'"
    limits = ["--log-opt", "max-size=100k", "--log-opt", "max-file=20", "--log-opt", "compress=true"]
    name = f"log-{driver}"
    cli("run", "--name", name, "--log-driver", driver, *limits, "busybox", "sh", "-c", script)
    expected = "".join(f"line {number}\n" for number in range(20000)) + "no newline"
    assert cli("logs", name).stdout == expected
    assert cli("logs", "-n", "3", name).stdout == "line 19998\nline 19999\nno newline"
    assert cli("logs", "-f", "-n", "15000", name).stdout == "".join(expected.splitlines(keepends=True)[-15000:])
    path = Path(cli("inspect", "-f", "{{.LogPath}}", name).stdout.strip())
    assert list(path.parent.glob(path.name + ".*.gz"))


def test_logs_large_binary_free_output_is_unharmed(cli: Cli) -> None:
    digest = cli("run", "--name", "large", "busybox", "sh", "-c", "seq 1 3000000 | tee /dev/stderr | sha256sum >/sum")
    assert digest.returncode == 0
    done = subprocess.run(cli.command("logs", "large"), env=cli.env, capture_output=True, check=True)
    expected = "".join(f"{number}\n" for number in range(1, 3000001)).encode()
    assert hashlib.sha256(done.stderr).hexdigest() == hashlib.sha256(expected).hexdigest()


def test_logs_details_show_labels_and_variables_asked_for(cli: Cli) -> None:
    chosen = ["--log-opt", "labels=team", "--log-opt", "env-regex=^V", "--log-opt", "tag={{.Name}}"]
    cli("run", "--name", "detailed", "-l", "team=a b", "-e", "V1=x", "-e", "W=y", *chosen, "busybox", "echo", "hi")
    assert cli("logs", "--details", "detailed").stdout == "V1=x,tag=detailed,team=a+b hi\n"
    assert cli("logs", "detailed").stdout == "hi\n"


def test_logs_of_syslog_are_refused(cli: Cli) -> None:
    cli("create", "--name", "syslog", "--log-driver", "syslog", "busybox", "true")
    done = cli("logs", "syslog", code=1)
    assert done.stderr == "pyctr: configured logging driver does not support reading\n"


def test_logs_follower_sleeps_until_something_happens(cli: Cli) -> None:
    script = "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two; exec sleep 1000"
    container = cli("run", "-d", "--name", "quiet", "--network", "none", "busybox", "sh", "-c", script).stdout.strip()
    with subprocess.Popen(
        cli.command("logs", "-f", "quiet"), env=cli.env, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "one\n"
        wait_asleep(follower.pid)
        cli("exec", "quiet", "touch", "/go")
        assert follower.stdout.readline() == "two\n"
        wait_asleep(follower.pid)
        os.kill(monitor_of(cli, container), signal.SIGKILL)  # nobody is left to write that it ended
        assert follower.stdout.read() == ""
        assert follower.wait(PATIENCE_S) == 0
    cli("rm", "quiet")


def monitor_of(cli: Cli, container: str) -> int:
    return int(json.loads((cli.root / "containers" / container / "state.json").read_bytes())["monitor_pid"])


_NON_BLOCKING = ["--log-opt", "mode=non-blocking", "--log-opt"]


def test_non_blocking_log_is_every_byte_where_the_disk_keeps_up(cli: Cli) -> None:
    limits = ["--log-opt", "max-size=200k", "--log-opt", "max-file=20", "--log-opt", "compress=true"]
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; printf 'no newline'"
    # Room for all of it: on a busy machine nobody can say who gets the processor, the container or the writer.
    cli("run", "--name", "ring", *_NON_BLOCKING, "max-buffer-size=4m", *limits, "busybox", "sh", "-c", script)
    expected = "".join(f"line {number}\n" for number in range(20000)) + "no newline"
    assert cli("logs", "ring").stdout == expected
    assert "LogLost" not in cli("inspect", "ring").stdout
    cli("rm", "ring")


def test_non_blocking_stalled_log_holds_nobody_up_and_says_what_it_lost(cli: Cli) -> None:
    script = "echo first; while [ ! -e /go ]; do sleep 0.05; done; seq 1 300000; touch /done; exec sleep 1000"
    run = [
        "run",
        "-d",
        "--name",
        "ring",
        "--network",
        "none",
        *_NON_BLOCKING,
        "max-buffer-size=100k",
        "busybox",
        "sh",
        "-c",
        script,
    ]
    container = cli(*run).stdout.strip()
    monitor = monitor_of(cli, container)
    wait_until(lambda: cli("logs", "ring").stdout == "first\n", "the first line")
    init = cli("inspect", "-f", "{{.State.Pid}}", "ring").stdout.strip()
    (writer,) = (pid for pid in children(monitor) if str(pid) != init)
    os.kill(writer, signal.SIGSTOP)  # a disk that stalls
    try:
        cli("exec", "ring", "sh", "-c", "touch /go; while [ ! -e /done ]; do sleep 0.05; done")
        lost = json.loads(cli("inspect", "ring").stdout)[0]["State"]["LogLost"]
        assert lost > 0, "told while it runs"
    finally:
        os.kill(writer, signal.SIGCONT)
    cli("stop", "-t", "0", "ring")
    numbers = [int(line) for line in cli("logs", "ring").stdout.splitlines()[1:]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 300000, "the newest stay"
    lost = json.loads(cli("inspect", "ring").stdout)[0]["State"]["LogLost"]
    kept = sum(len(str(number)) for number in numbers)
    assert kept + lost == sum(len(str(number)) for number in range(1, 300001)), "each byte is kept or counted"
    cli("rm", "ring")
