"""`pyctr events` on real containers."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

from tests.conftest import Cli, needs_root, wait_asleep
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

pytestmark = needs_root


def next_line(stream: IO[str]) -> str:
    line = stream.readline()
    assert line, "events ended"
    return line.rstrip("\n")


def test_events_follow_what_happens(cli: Cli) -> None:
    began = f"{time.time():.9f}"  # so that nobody need wait until it listens
    command = cli.command("events", "--since", began, "--filter", "container=seen", "--format", "{{.Action}}")
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        cli("create", "--name", "unseen", "busybox", "true")
        cli("run", "-d", "--name", "seen", "--network", "none", "busybox", "sh", "-c", script)
        assert [next_line(watcher.stdout) for _ in range(2)] == ["create", "start"]
        wait_until(lambda: cli("logs", "seen").stdout == "ready\n", "it hears signals")
        cli("exec", "seen", "true")
        assert next_line(watcher.stdout) == "exec_create: true"
        assert next_line(watcher.stdout) == "exec_start: true"
        assert next_line(watcher.stdout) == "exec_die"
        cli("pause", "seen")
        cli("unpause", "seen")
        cli("rename", "seen", "seen2")
        cli("restart", "seen2")
        cli("rm", "-f", "seen2")
        expected = ["pause", "unpause", "rename", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy"]
        assert [next_line(watcher.stdout) for _ in expected] == expected
        watcher.terminate()
    cli("rm", "unseen")


def test_events_end_at_the_time_they_are_told(cli: Cli) -> None:
    until = time.time() + 1
    cli("events", "--until", f"{until:.9f}", "--filter", "container=nobody")
    assert time.time() >= until


def test_events_of_the_past_in_dockers_form(cli: Cli) -> None:
    container = cli("create", "--name", "past", "-l", "b=2", "-l", "a=1", "busybox", "true").stdout.strip()
    cli("start", "-a", "past")
    lines = cli("events", "--since", "1h", "--until", "0s", "-f", "container=past").stdout.splitlines()
    words = [line.split(" ", 4) for line in lines]
    assert [word[2] for word in words] == ["create", "attach", "start", "die"]
    assert words[0][1:] == ["container", "create", container, "(a=1, b=2, image=busybox, name=past)"]
    assert re.fullmatch(r"\(a=1, b=2, execDuration=\d+, exitCode=0, image=busybox, name=past\)", words[3][4])
    assert len(words[0][0].partition(".")[2]) in (len("123456789Z"), len("123456789+01:00"))
    shown = cli(
        "events", "--since", "1h", "--until", "0s", "-f", "event=die", "-f", "label=a=1", "--format", "json"
    ).stdout
    died = json.loads(shown.splitlines()[-1])
    assert (died["status"], died["id"], died["from"]) == ("die", container, "busybox")
    cli("rm", "past")


def test_events_bad_input_is_refused(cli: Cli) -> None:
    assert cli("events", "--filter", "x=y", "--until", "0s", code=1).stderr == "pyctr: invalid filter 'x'\n"
    assert "failed to parse value as time or duration" in cli("events", "--since", "never", code=1).stderr
    assert (
        "can't evaluate field Nope"
        in cli("events", "--since", "1h", "--until", "0s", "--format", "{{.Nope}}", code=None).stderr
    )


def test_events_of_images_are_dockers(cli: Cli, tmp_path: Path) -> None:
    """What a dockerd tells of the same commands, action by action, by which name."""
    archive = tmp_path / "image.tar"
    with tarfile.open(archive, "w") as file:
        file.add(__file__, "file")
    begin = f"{time.time():.9f}"
    imported = cli("import", str(archive), "-c", "LABEL a=b", "seen:1").stdout.strip()
    cli("tag", "seen:1", "seen:2")
    cli("save", "-o", str(archive), "seen:1")
    cli("rmi", "seen:1")
    cli("rmi", "seen:2")
    cli("load", "-i", str(archive))
    cli("create", "--name", "changed", "seen:1", "/x")
    committed = cli("commit", "changed", "seen:3").stdout.strip()
    cli("rm", "changed")
    cli("rmi", "seen:1", "seen:3")
    cli("image", "prune", "-f")
    shown = cli("events", "--since", begin, "--until", "0s", "-f", "type=image", "--format", "json").stdout
    events = [json.loads(line) for line in shown.splitlines()]
    labels = {"a": "b"}
    by_id = {"name": imported}
    expected = [
        ("tag", imported, {**labels, "name": "seen:1"}),
        ("import", imported, {**labels, **by_id}),
        ("tag", imported, {**labels, "name": "seen:2"}),
        ("save", imported, {**labels, **by_id}),
        ("untag", imported, {**labels, **by_id}),
        ("untag", imported, {**labels, **by_id}),
        ("delete", imported, by_id),
        ("load", imported, {**labels, **by_id}),
        ("tag", committed, {**labels, "name": "seen:3"}),
        ("untag", imported, {**labels, **by_id}),
        ("delete", imported, by_id),
        ("untag", committed, {**labels, "name": committed}),
        ("delete", committed, {"name": committed}),
        ("prune", "", {"reclaimed": "0"}),
    ]
    assert [(event["Action"], event["Actor"]["ID"], event["Actor"]["Attributes"]) for event in events] == expected


def test_events_follower_sleeps_until_something_happens(cli: Cli) -> None:
    cli("create", "--name", "quiet", "busybox", "true")
    command = cli.command("events", "--since", "1h", "--filter", "container=quiet", "--format", "{{.Action}}")
    with subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert next_line(watcher.stdout) == "create"
        wait_asleep(watcher.pid)
        cli("rm", "quiet")
        assert next_line(watcher.stdout) == "destroy"
        watcher.terminate()
