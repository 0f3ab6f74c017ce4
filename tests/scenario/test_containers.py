"""The tutorial's chapters on containers, exec, cp, logs and stats, command by command, beside a real docker."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import needs_root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenario.pair import Pair

pytestmark = needs_root
_NONE = ("--network", "none")
_LOOP = ("busybox", "sh", "-c", "echo out; echo err >&2; while :; do sleep 0.1; done")


def test_run_ps_inspect_stop_start_rm(pair: Pair) -> None:
    pair.same("run", "-d", "--name", "test_echo", *_NONE, "busybox", "echo", "1")
    pair.same("wait", "test_echo")
    pair.same("ps")
    pair.same("ps", "-a", "--format", "table {{.Names}}\t{{.Image}}\t{{.Command}}\t{{.State}}\t{{.Ports}}")
    assert "<ago>" not in pair.same("logs", "test_echo")
    pair.same("run", "-d", "--name", "web", *_NONE, *_LOOP)
    pair.same("ps")
    pair.same("ps", "-aq", "--filter", "status=exited")
    pair.same("ps", "-a", "--filter", "name=web", "--filter", "exited=3", "-q")
    pair.same("ps", "-s", "-n", "1", "--format", "{{.Names}} {{.Image}} {{.LocalVolumes}} {{.Mounts}} {{.Networks}}")
    pair.same("inspect", "-f", "{{.State.Status}} {{.Config.Image}} {{json .Config.Cmd}} {{.RestartCount}}", "web")
    pair.same("stop", "-t", "0", "web")
    pair.same("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Pid}}", "web")
    for words in (("start", "web"), ("restart", "-t", "0", "web"), ("rm", "test_echo"), ("rm", "-f", "web")):
        pair.same(*words)
    pair.same("ps", "-a")


def test_exec_logs_cp_top_and_changes(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("hello\n")
    pair.same("run", "-d", "--name", "web", "-h", "inside", *_NONE, *_LOOP)
    pair.same("exec", "web", "hostname")
    pair.same("exec", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "echo $A; pwd; exit 3")
    pair.same("cp", str(tmp_path / "test.txt"), "web:/tmp")
    assert pair.same("exec", "web", "cat", "/tmp/test.txt") == "hello\n"
    for name, command in (("ours", pair.ours.command()), ("docker", pair.theirs.command)):
        target = tmp_path / name
        subprocess.run(
            [*command, "cp", "web:/tmp/test.txt", str(target)], env=pair.ours.env, check=True, capture_output=True
        )
        assert target.read_text() == "hello\n"
    pair.same_soon("logs", "web")
    # Of one stream: which of two comes last nobody knows.
    pair.same("run", "-d", "--name", "lines", *_NONE, "busybox", "sh", "-c", "echo 1; echo 2")
    pair.same("wait", "lines")
    pair.same("logs", "--tail", "1", "lines")
    pair.same("rm", "lines")
    pair.same("diff", "web", sort=True)
    pair.same("pause", "web")
    pair.same("ps")
    pair.same("unpause", "web")
    pair.same("rename", "web", "app")
    pair.same("update", "--memory", "64m", "--memory-swap", "64m", "app")
    pair.same("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.Name}}", "app")
    pair.same("stats", "--no-stream", "--format", "table {{.Name}}\t{{.PIDs}}\t{{.NetIO}}", "nothing")
    assert pair.same("kill", "app") == "app\n"
    pair.same("wait", "app")
    pair.same("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "app")


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "nope", "x"), ("logs", "nope"), ("top", "nope"), ("port", "nope"), ("cp", "nope:/x", "/tmp"),
        ("container", "inspect", "nope"), ("inspect", "nope"), ("inspect", "--type", "volume", "nope"), ("wait", "nope"),
        ("stop", "nope"), ("rm", "nope"), ("rm", "-f", "nope"), ("attach", "nope"), ("update", "-m", "1m", "stopped"),
        ("attach", "stopped"), ("update", "stopped"), ("pause", "stopped"), ("run", "--bad"), ("nosuch",), ("ps", "x"),
        ("run", "--name", "stopped", "busybox"), ("run", "--rm", "--restart", "always", "busybox"),
        ("update", "--restart", "bad", "stopped"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_the_same_words(pair: Pair, words: tuple[str, ...]) -> None:
    pair.same("create", "--name", "stopped", *_NONE, "busybox", "true")
    pair.same(*words)
