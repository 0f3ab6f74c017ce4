"""`pause`, `unpause`, `update` on real containers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, needs_root
from tests.waiting import wait_equal, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root


@pytest.fixture
def container(cli: Cli) -> Iterator[str]:
    script = "while :; do echo >>/count; done"
    yield cli("run", "-d", "--network", "none", "-m", "64m", "busybox", "sh", "-c", script).stdout.strip()
    for left in cli("ps", "-aq").stdout.split():
        cli("rm", "-f", left)


def cgroup_file(container: str, v1: str, v2: str) -> str:
    base = Path("/sys/fs/cgroup")
    for path in (base / v1.partition(".")[0] / "pyctr" / container / v1, base / "pyctr" / container / v2):
        if path.exists():
            return path.read_text().strip()
    raise AssertionError(f"neither {v1} nor {v2}")


def test_pause_stops_every_process_until_unpause(cli: Cli, container: str) -> None:
    upper = Path(cli("inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", container).stdout.strip())
    wait_until((upper / "count").exists, "it has begun")
    assert cli("pause", container).stdout == container + "\n"
    assert "(Paused)" in cli("ps").stdout
    before = (upper / "count").stat().st_size
    time.sleep(0.3)
    assert (upper / "count").stat().st_size == before
    assert cli("pause", container, code=1).stderr == f"pyctr: Container {container} is already paused\n"
    refused = cli("exec", container, "true", code=1).stderr
    assert refused == f"pyctr: Container {container} is paused, unpause the container before exec\n"
    cli("unpause", container)
    assert "(Paused)" not in cli("ps").stdout
    assert cli("unpause", container, code=1).stderr == f"pyctr: Container {container} is not paused\n"
    wait_until(lambda: (upper / "count").stat().st_size != before, "the command goes on")


def test_paused_container_can_be_stopped_and_removed(cli: Cli, container: str) -> None:
    cli("pause", container)
    cli("stop", "-t", "1", container)
    assert cli("inspect", "-f", "{{.State.Status}}", container).stdout == "exited\n"
    cli("start", container)
    cli("pause", container)
    cli("rm", "-f", container)
    assert cli("ps", "-aq").stdout == ""


def test_paused_container_that_ignores_its_stop_signal_runs_until_it_is_killed(cli: Cli) -> None:
    script = "trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done"
    cli("run", "-d", "--name", "deaf", "--network", "none", "busybox", "sh", "-c", script)
    wait_until(lambda: cli("logs", "deaf").stdout, "the trap")
    cli("pause", "deaf")
    cli("kill", "-s", "WINCH", "deaf")
    assert cli("inspect", "-f", "{{.State.Status}}", "deaf").stdout == "paused\n"
    cli("kill", "-s", "TERM", "deaf")
    wait_until(lambda: "heard" in cli("logs", "deaf").stdout, "the signal")
    seen = "{{.State.Status}} {{.State.Running}} {{.State.Paused}}"
    assert cli("inspect", "-f", seen, "deaf").stdout == "running true false\n"
    assert cli("unpause", "deaf", code=1).stderr.endswith("is not paused\n")
    assert cli("exec", "deaf", "true").returncode == 0
    cli("pause", "deaf")
    cli("stop", "-t", "0", "deaf")

    def told() -> list[str]:
        events = cli(
            "events", "--since", "0", "--until", "0s", "--filter", "container=deaf", "--format", "{{.Action}}"
        ).stdout
        return [word for word in events.split() if word in ("pause", "kill", "unpause", "die", "stop")]

    signalled = ["kill", "unpause"]
    wanted = ["pause", "kill", *signalled, "pause", *signalled, "kill", "die", "stop"]
    wait_equal(told, wanted, "the journal")
    cli("rm", "deaf")


def test_update_limits_are_in_the_kernel_and_in_the_record(cli: Cli, container: str) -> None:
    options = ["-m", "128m", "--memory-swap", "256m", "--cpus", "0.5", "--pids-limit", "50"]
    assert cli("update", *options, container).stdout == container + "\n"
    assert cgroup_file(container, "memory.limit_in_bytes", "memory.max") == str(128 << 20)
    assert cgroup_file(container, "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert cgroup_file(container, "pids.max", "pids.max") == "50"
    template = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    assert cli("inspect", "-f", template, container).stdout == f"{128 << 20} 500000000 50\n"
    cli("update", "--pids-limit", "-1", container)
    assert cgroup_file(container, "pids.max", "pids.max") == "max"
    cli("kill", container)
    cli("wait", container)
    cli("update", "-m", "100m", container)
    cli("start", container)
    assert cgroup_file(container, "memory.limit_in_bytes", "memory.max") == str(100 << 20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "you must provide one or more flags when using this command"),
        (["-m", "1m"], "Minimum memory limit allowed is 6MB"),
        (["-m", "1g"], "Memory limit should be smaller than already set memoryswap limit"),
        (["--cpuset-cpus", "900"], "900"),
        (["--restart", "sometimes"], "invalid restart policy 'sometimes'"),
        (["--privileged"], "unknown flag: --privileged"),
    ],
)
def test_update_refusals_change_nothing(cli: Cli, container: str, options: list[str], words: str) -> None:
    before = cli("inspect", "-f", "{{json .HostConfig}}", container).stdout
    assert words in cli("update", *options, container, code=None).stderr
    assert cli("inspect", "-f", "{{json .HostConfig}}", container).stdout == before
    assert cgroup_file(container, "memory.limit_in_bytes", "memory.max") == str(64 << 20)


def test_update_restart_policy_of_a_running_container_holds(cli: Cli, tmp_path: Path) -> None:
    script = "until [ -e /at/go ]; do sleep 0.05; done; exit 3"
    cli("run", "-d", "--name", "policy", "--network", "none", "-v", f"{tmp_path}:/at", "busybox", "sh", "-c", script)
    cli("update", "--restart", "on-failure:1", "policy")
    (tmp_path / "go").touch()
    shown = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}"
    wait_until(lambda: cli("inspect", "-f", shown, "policy").stdout == "1 exited 3\n", "the second end")
    cli("rm", "-f", "policy")
