"""Commands at once, commands killed, names that look like ids, output nobody reads."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, needs_root
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_root
_LOOP = ("--network", "none", "busybox", "sh", "-c", "while :; do sleep 0.1; done")


@pytest.fixture(autouse=True)
def emptied(cli: Cli) -> Iterator[None]:
    yield
    ids = cli("ps", "-aq").stdout.split()
    if ids:
        cli("rm", "-f", *ids)


def at_once(cli: Cli, count: int, *words: str) -> list[subprocess.CompletedProcess[str]]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: cli(*words, code=None), range(count)))


def test_same_command_at_once_does_it_once(cli: Cli) -> None:
    made = at_once(cli, 6, "create", "--name", "same", *_LOOP)
    assert sorted(done.returncode for done in made)[0] == 0
    assert sum(done.returncode == 0 for done in made) == 1
    assert all("is already in use" in done.stderr for done in made if done.returncode)
    assert [done.returncode for done in at_once(cli, 6, "start", "same")] == [0] * 6
    assert len(cli("top", "same").stdout.splitlines()) in (2, 3)
    assert [done.returncode for done in at_once(cli, 4, "stop", "-t", "0", "same")] == [0] * 4
    cli("start", "same")
    removed = at_once(cli, 4, "rm", "-f", "same")
    assert all(done.returncode == 0 for done in removed), removed
    assert cli("ps", "-aq").stdout == ""


def test_name_that_is_the_beginning_of_another_id_means_the_name(cli: Cli) -> None:
    other = cli("create", *_LOOP).stdout.strip()
    named = cli("create", "--name", other[:10], *_LOOP).stdout.strip()
    assert cli("inspect", "-f", "{{.Id}}", other[:10]).stdout.strip() == named
    assert cli("inspect", "-f", "{{.Id}}", other[:11]).stdout.strip() == other
    cli("rm", other[:10])
    assert cli("inspect", "-f", "{{.Id}}", other[:10]).stdout.strip() == other


def test_client_killed_container_runs_on_and_can_be_attached_to(cli: Cli) -> None:
    words = (
        "run",
        "--name",
        "left",
        "-i",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "while read x; do echo got $x; done",
    )
    with subprocess.Popen(cli.command(*words), env=cli.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"one\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"got one\n"
        client.kill()
    # Its input was the client's (stdin_once), so the loop ends with it, and by itself.
    assert cli("wait", "left").stdout == "0\n"
    assert cli("logs", "left").stdout == "got one\n"


def test_commands_killed_on_their_way_leave_nothing_that_hinders(cli: Cli) -> None:
    for delay_s in (0.02, 0.04, 0.06, 0.08, 0.1):
        with subprocess.Popen(
            cli.command("run", "-d", "--name", "killed", *_LOOP), env=cli.env, stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
        cli("rm", "-f", "killed")
        assert cli("ps", "-aq").stdout == ""
    assert os.listdir(cli.root / "names") == []


def test_log_without_a_newline_and_with_rotation_is_whole(cli: Cli) -> None:
    size = 30_000_000
    script = f"yes abcdefghijklm | tr -d '\\n' | head -c {size}"
    cli(
        "run",
        "-d",
        "--name",
        "long",
        "--network",
        "none",
        "--log-opt",
        "max-size=4m",
        "--log-opt",
        "max-file=20",
        "busybox",
        "sh",
        "-c",
        script,
    )
    assert cli("wait", "long").stdout == "0\n"
    expected = hashlib.sha256((b"abcdefghijklm" * (size // 13 + 1))[:size]).hexdigest()
    shown = subprocess.run(
        cli.command("logs", "long"), env=cli.env, capture_output=True, check=True, timeout=180
    ).stdout
    assert hashlib.sha256(shown).hexdigest() == expected
    container = cli("inspect", "-f", "{{.LogPath}}", "long").stdout.strip()
    directory = os.path.dirname(container)
    sizes = [os.stat(f"{directory}/{name}").st_size for name in os.listdir(directory) if "-json.log" in name]
    assert len(sizes) > 6
    # By one entry of 16 KiB and its frame over the limit at most.
    assert max(sizes) < (4 << 20) + 17_000


def test_follower_that_never_reads_holds_nobody(cli: Cli) -> None:
    script = "yes | head -c 20000000"
    cli("run", "-d", "--name", "loud", "--network", "none", "busybox", "sh", "-c", "sleep 0.3; " + script)
    with subprocess.Popen(cli.command("logs", "-f", "loud"), env=cli.env, stdout=subprocess.PIPE) as follower:
        assert cli("wait", "loud").stdout == "0\n"
        assert follower.poll() is None
        follower.kill()


def test_container_that_ignores_its_stop_signal_is_killed_after_the_grace(cli: Cli) -> None:
    cli(
        "run",
        "-d",
        "--stop-timeout",
        "600",
        "--name",
        "deaf",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; exec >&- 2>&-; while :; do sleep 1; done",
    )
    began = time.monotonic()
    cli("stop", "-t", "1", "deaf")
    assert 1 <= time.monotonic() - began < 100
    assert cli("inspect", "-f", "{{.State.ExitCode}}", "deaf").stdout == "137\n"


def test_full_disk_container_goes_on_and_is_seen_and_removed(tmp_path: Path) -> None:
    """What frees the disk must not need room on it."""
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", store], check=True)
    try:
        small = Cli(tmp_path / "elsewhere")
        small.env["PYCTR_ROOT"] = str(store)
        made = small("image", "bootstrap", "busybox", code=None)
        if made.returncode != 0:
            pytest.skip(f"needs busybox-static: {made.stderr.strip()}")
        small("network", "ls")
        script = "trap 'exit 7' TERM; seq 1 400000; while :; do sleep 0.1; done"
        small("run", "-d", "--name", "full", "--network", "none", "busybox", "sh", "-c", script)
        wait_until(
            lambda: any(line.endswith(" sleep 0.1") for line in small("top", "full").stdout.splitlines()),
            "the numbers are written",
        )
        assert small("ps", "--format", "{{.State}}").stdout == "running\n"
        numbers = [int(line) for line in small("logs", "full").stdout.splitlines()]
        assert numbers[0] == 1
        assert numbers == sorted(set(numbers))
        small("stop", "full")
        assert small("ps", "-a", "--format", "{{.State}}").stdout == "exited\n"
        assert small("inspect", "-f", "{{.State.ExitCode}} {{.State.Error}}", "full").stdout == "7 \n"
        small("rm", "full")
        assert small("ps", "-aq").stdout == ""
    finally:
        subprocess.run(["umount", store], check=True)
