"""The tutorial's chapter on limits: refused in docker's words, seen in the kernel, held to under stress-ng."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Cli, need_tool, needs_root
from tests.scenario.pair import Pair, paired

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs_root
_NONE = ("--network", "none")


@pytest.fixture(scope="module")
def pair(cli: Cli) -> Iterator[Pair]:
    with paired(cli) as pair:
        yield pair


@pytest.fixture(autouse=True)
def emptied(pair: Pair) -> Iterator[None]:
    yield
    pair.empty()


@pytest.mark.parametrize(
    "options",
    [
        ("-m", "4m"), ("--memory-swap", "10m"), ("-m", "10m", "--memory-swap", "9m"), ("--cpus", "900"),
        ("-m", "10m", "--memory-reservation", "20m"), ("--cpuset-cpus", "900"), ("--cpuset-cpus", "x"),
        ("--cpuset-mems", "900"), ("--memory-swappiness", "101"), ("--blkio-weight", "5"), ("--cpu-period", "10"),
        ("--cpu-quota", "10"), ("--cpus", "1", "--cpu-quota", "50000"), ("--oom-score-adj", "2000"), ("-m", "x"),
        ("--device-read-bps", "/dev/null"), ("--shm-size", "-1"), ("--ulimit", "nofile=2:1"), ("--ulimit", "bad=1"),
    ],
)  # fmt: skip
def test_wrong_limits_are_refused_in_the_same_words(pair: Pair, options: tuple[str, ...]) -> None:
    pair.same("create", *options, "busybox", "true", first_line=True)


def test_memory_limit_ends_who_exceeds_it(pair: Pair) -> None:
    eater = ("busybox", "sh", "-c", "tail -c 100m /dev/zero")
    pair.both("run", "--name", "eater", "-m", "20m", "--memory-swap", "20m", *_NONE, *eater)
    ours, theirs = pair.both("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "eater")
    assert ours[1] == "true 137\n"
    assert theirs[1].split()[1] == "137"


def cpu_ns(cli: Cli, name: str) -> int:
    container = cli("inspect", "-f", "{{.Id}}", name).stdout.strip()
    for path in (
        f"/sys/fs/cgroup/cpuacct/pyctr/{container}/cpuacct.usage",
        f"/sys/fs/cgroup/pyctr/{container}/cpu.stat",
    ):
        if Path(path).exists():
            text = Path(path).read_text()
            return int(text) if text.strip().isdigit() else 1000 * int(text.split()[1])
    raise AssertionError("no cpu counter")


def burn(cli: Cli, name: str, *options: str) -> None:
    cli("run", "-d", "--name", name, *_NONE, *options, "busybox", "sh", "-c", "while :; do :; done")


def test_shares_divide_one_processor(pair: Pair) -> None:
    """1024 : 512 : 512 on one CPU, which others may use too: what counts is how the three divide what they get."""
    cli = pair.ours
    for name, shares in (("big", "1024"), ("one", "512"), ("two", "512")):
        burn(cli, name, "--cpu-shares", shares, "--cpuset-cpus", "0")
    names = ("big", "one", "two")
    before = [cpu_ns(cli, name) for name in names]
    time.sleep(4)
    used = [cpu_ns(cli, name) - start for name, start in zip(names, before, strict=True)]
    assert [100 * part / sum(used) for part in used] == pytest.approx([50, 25, 25], abs=3)


def test_cpus_and_stats_agree(pair: Pair) -> None:
    burn(pair.ours, "half", "--cpus", "0.5")
    before, clock = cpu_ns(pair.ours, "half"), time.monotonic_ns()
    shown = json.loads(pair.ours("stats", "--no-stream", "--format", "json", "half").stdout)
    share = 100 * (cpu_ns(pair.ours, "half") - before) / (time.monotonic_ns() - clock)
    assert share < 53
    assert float(shown["CPUPerc"].rstrip("%")) < 55


def test_stress_ng_is_held_to_its_memory(pair: Pair) -> None:
    """The tutorial's stress-ng, the host's own program, two workers of 256 MB in a container of 64 MB."""
    program = need_tool("stress-ng")
    libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = [program, *(word for line in libraries.splitlines() for word in line.split() if word.startswith("/"))]
    mounts = [option for path in paths for option in ("-v", f"{Path(path).resolve()}:{path}:ro")]
    command = ("busybox", program, "--vm", "2", "--vm-bytes", "256m", "--temp-path", "/tmp", "-t", "30")
    pair.ours("run", "-d", "--name", "stress", "-m", "64m", "--memory-swap", "64m", *_NONE, *mounts, *command)
    highest = 0
    for _ in range(3):
        sample = json.loads(pair.ours("stats", "--no-stream", "--format", "json", "stress").stdout)
        assert sample["MemUsage"].endswith(" / 64MiB"), pair.ours("logs", "stress")
        highest = max(highest, int(float(sample["MemPerc"].rstrip("%"))))
    assert 5 < highest <= 100


def test_pids_limit_stops_a_fork_bomb_and_the_rest_goes_on(pair: Pair) -> None:
    bomb = "i=0; while [ $i -lt 10000 ]; do sleep 100 & i=$((i+1)); done"
    pair.ours("run", "-d", "--name", "bomb", "--pids-limit", "50", *_NONE, "busybox", "sh", "-c", bomb)
    for _ in range(50):
        if "can't fork" in pair.ours("logs", "bomb").stderr:
            break
        time.sleep(0.1)
    assert int(pair.ours("stats", "--no-stream", "--format", "{{.PIDs}}", "bomb").stdout) <= 50
    pair.ours("rm", "-f", "bomb")
